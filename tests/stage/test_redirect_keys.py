"""The keys that an app signs its JWTs with are noted where the stage alone can read them, and nothing else is."""

import hashlib
import hmac
import stat
import sys
import textwrap
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from holdtrue.stage.process import AppProcess, Redirect, run
from holdtrue.stage.process.zygote import Zygote
from holdtrue.stage.tokens.keys import noted

SIGNS = """
    import base64, hashlib, hmac
    key = hmac.new(b"root secret", b"app/jwt", hashlib.sha256).digest()
    enc = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    message = enc(b'{"alg":"HS256"}') + b"." + enc(b'{"sub":"7"}')
"""


async def output_of(redirect: Redirect, tmp_path: Path, code: str) -> str:
    script = redirect.root / "app.py"
    script.write_text(textwrap.dedent(code))
    environment = redirect.environment({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    done = await run(
        [sys.executable, "app.py"], cwd=redirect.root, env=environment, log_path=tmp_path / "log", patience=60
    )
    assert done.returncode == 0, done.output
    return done.output


@pytest.fixture
def redirect(tmp_path: Path) -> Redirect:
    app = tmp_path / "app"
    app.mkdir()
    return Redirect(tmp_path / "hooks", routes={}, ca=None, root=app)


@pytest.mark.parametrize(
    "sign",
    [
        "print(hmac.new(key, message, hashlib.sha256).hexdigest())",
        "print(hmac.new(key, msg=message, digestmod='sha256').hexdigest())",
        "print(hmac.digest(key, message, 'sha256').hex())",
        "print(hmac.digest(key=key, msg=message, digest='sha256').hex())",
        "print(hmac.HMAC(key, message, 'sha256').hexdigest())",
    ],
)
async def test_a_derived_key_is_noted_once_and_its_signature_is_what_it_was(
    redirect: Redirect, tmp_path: Path, sign: str
) -> None:
    told = await output_of(redirect, tmp_path, SIGNS + f"\n    {sign}\n    {sign}")
    key = hmac.digest(b"root secret", b"app/jwt", "sha256")
    message = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0"
    assert told.split() == [hmac.new(key, message, hashlib.sha256).hexdigest()] * 2
    assert list(noted([redirect.keys])) == [key]
    assert stat.S_IMODE(redirect.keys.stat().st_mode) == 0o600


async def test_what_signs_something_else_is_not_noted(redirect: Redirect, tmp_path: Path) -> None:
    await output_of(
        redirect,
        tmp_path,
        """
        import hmac
        for message in (b"", b"1700000000.{}", b"eyJhbGciOiJIUzI1NiJ9", b"ey.a.b", bytearray(b"app/jwt"), None):
            hmac.new(b"webhook secret", message, "sha256").hexdigest()
        hmac.digest(b"webhook secret", b"1700000000.{}", "sha256")
        """,
    )
    assert not redirect.keys.exists()


async def test_a_private_key_is_noted_when_a_library_signs_with_it(redirect: Redirect, tmp_path: Path) -> None:
    pytest.importorskip("joserfc")
    await output_of(
        redirect,
        tmp_path,
        """
        from joserfc import jwt
        from joserfc.jwk import RSAKey
        key = RSAKey.generate_key(2048, private=True)
        jwt.decode(jwt.encode({"alg": "RS256"}, {"sub": "7"}, key), key)
        """,
    )
    (pem,) = noted([redirect.keys])
    assert isinstance(load_pem_private_key(pem, password=None), rsa.RSAPrivateKey)


async def test_an_app_whose_disk_is_full_signs_all_the_same(redirect: Redirect, tmp_path: Path) -> None:
    redirect.keys.mkdir()
    assert (
        await output_of(redirect, tmp_path, SIGNS + "\n    print(len(hmac.digest(key, message, 'sha256')))") == "32\n"
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="zygotes are forked on Linux")
async def test_a_forked_process_notes_its_keys_where_it_is_told_to(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    app.joinpath("app.py").write_text(textwrap.dedent(SIGNS + "\n    hmac.digest(key, message, 'sha256')"))
    mothers, own = (Redirect(tmp_path / name, routes={}, ca=None, root=app) for name in ("mothers", "own"))
    names = tmp_path / "names"
    names.write_text("hmac\n")
    words = [sys.executable, "app.py"]
    async with AsyncExitStack() as stack:
        zygote = Zygote(
            "zygote",
            words,
            cwd=app,
            env=mothers.environment({}),
            log_path=tmp_path / "zygote.log",
            redact=str,
            names=names,
        )
        stack.push_async_callback(zygote.close)
        process = AppProcess(
            "app", words, cwd=app, env=own.environment({}), log_path=tmp_path / "app.log", mother=zygote
        )
        stack.push_async_callback(process.kill)
        await process.start()
        assert await process.wait() == 0, process.log()
    assert zygote.unfit is None
    assert len(list(noted([own.keys]))) == 1
    assert not mothers.keys.exists()
