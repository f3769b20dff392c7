"""Notes the keys an app signs its JWTs with, for the stage to make tokens that are right but for one claim.

A key that is derived from a setting, or kept in the database, can be had nowhere else. Noted is only what signs or
verifies a JWS signing input (RFC 7515 §5.1): two base64url segments, the first of which begins with ``{``. The file
lies in the run's private directory, is read by nobody but the stage, and goes with it.

Runs in the app's interpreter, so: standard library only, Python 3.8 and later, nothing of holdtrue.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_MOST = 32
"""Keys a process notes: an app has a few, and one that signs with a new one each time is not to fill the disk."""
_noted: set[bytes] = set()
_path: str | None = None


def write_to(path: str | None) -> None:
    """Note this process's keys in a file from now on; in none, if None."""
    global _path  # noqa: PLW0603
    _path = path
    _noted.clear()


def _is_signing_input(message: Any) -> bool:
    return isinstance(message, (bytes, bytearray)) and message[:2] == b"ey" and message.count(b".") == 1


def _note(key: Any) -> None:
    data = bytes(key) if isinstance(key, (bytes, bytearray)) else _pem(key)
    if _path is None or data is None or data in _noted or len(_noted) >= _MOST:
        return
    _noted.add(data)
    from binascii import b2a_base64

    line = b'{"key": "' + b2a_base64(data, newline=False) + b'"}\n'
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(_path, flags, 0o600)
        try:
            os.write(descriptor, line)  # a single short append is atomic: several processes share the file
        finally:
            os.close(descriptor)
    except OSError:
        return  # a full disk is the app's to stumble over, not ours to stumble it by


def _pem(key: Any) -> bytes | None:
    """A private key of the cryptography package, or of a library's class around one."""
    if not hasattr(key, "private_bytes"):
        # joserfc has a property, Authlib a method.
        inner = getattr(key, "private_key", None) or getattr(key, "get_private_key", None)
        key = inner() if callable(inner) else inner
    if not hasattr(key, "private_bytes"):
        return None
    forms = sys.modules["cryptography.hazmat.primitives.serialization"]
    pem: bytes = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    return pem


def _patch_hmac(module: ModuleType) -> None:
    hmac: Any = module
    real_init, real_digest = hmac.HMAC.__init__, hmac.digest

    def begin(self: Any, key: Any, *args: Any, **named: Any) -> None:
        if _is_signing_input(args[0] if args else named.get("msg")):
            _note(key)
        real_init(self, key, *args, **named)

    def noting_digest(key: Any, msg: Any, digest: Any) -> Any:
        if _is_signing_input(msg):
            _note(key)
        return real_digest(key, msg, digest)

    hmac.HMAC.__init__ = begin  # of the class: `hmac.new` and whoever imported it early both end there
    hmac.digest = noting_digest


def _patch_algorithms(module: ModuleType) -> None:
    """``sign`` of each algorithm's class: its key is an argument or, in python-jose, the object's."""
    for each in list(vars(module).values()):
        if isinstance(each, type) and each.__module__ == module.__name__ and callable(vars(each).get("sign")):
            each.sign = _noting(vars(each)["sign"])  # type: ignore[attr-defined]


def _noting(sign: Callable[..., Any]) -> Callable[..., Any]:
    def noting_sign(self: Any, msg: Any, *args: Any, **named: Any) -> Any:
        if _is_signing_input(msg):
            own = [getattr(self, name, None) for name in ("prepared_key", "_prepared_key")]
            for key in (*args, *named.values(), *own):
                try:
                    _note(key)
                except (TypeError, ValueError, AttributeError, KeyError):
                    continue  # not a key, or one that cannot be had
        return sign(self, msg, *args, **named)

    return noting_sign


PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "authlib.jose.rfc7518.jws_algs": _patch_algorithms,
    "hmac": _patch_hmac,
    "jose.backends.cryptography_backend": _patch_algorithms,
    "joserfc._rfc7518.jws_algs": _patch_algorithms,
    "jwt.algorithms": _patch_algorithms,
}
"""Module → what is done to it once it was imported."""
