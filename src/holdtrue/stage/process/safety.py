"""Refuses, before anything starts, what could let a rehearsal touch real money, real mail or real data.

Every refusal names the variable or ``file:line``, never the value.
"""

import asyncio
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from holdtrue.stage.process.addresses import remote_database, remote_mail_server
from holdtrue.stage.process.credentials import live_credential, live_variable
from holdtrue.stage.process.errors import Danger, UnsafeToStartError

_INHERITED = re.compile(r"PATH|LANG|LANGUAGE|LC_[A-Z_]+|TZ")
_LARGEST_TEXT = 2_000_000


def base_environment(scratch: Path, *, parent: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that the app gets besides what its document declares: PATH, language and time zone, and a HOME and a TMPDIR
    in ``scratch`` (created), so that no credential file of the person at the machine is in reach.
    """
    home, temporary = scratch / "home", scratch / "tmp"
    for directory in (home, temporary):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.environ if parent is None else parent
    inherited = {name: value for name, value in parent.items() if _INHERITED.fullmatch(name)}
    return {"PATH": os.defpath, **inherited, "HOME": str(home), "TMPDIR": str(temporary)}


def refuse_live_secrets(declared: Mapping[str, str], *, parent: Mapping[str, str] | None = None) -> None:
    """Raises ``UnsafeToStartError`` when the declared environment, or the one we run in, holds a live credential.

    The app does not inherit ours, but its tools and ours do; and a live key at hand in the shell in which things are
    killed and replayed is one mistake from being used.
    """
    places = (
        (declared, "in the document's environment", "Declare a test key, or the stage's own: {stripe_key}."),
        (
            os.environ if parent is None else parent,
            "in the environment of this shell",
            "Unset it here, and keep live keys out of shells in which things are rehearsed.",
        ),
    )
    _raise_if_any(
        Danger(what=f"{what}, {place}", where=name, do=do)
        for environment, place, do in places
        for name, value in sorted(environment.items())
        if (what := live_variable(name, value))
    )


def refuse_remote_addresses(environment: Mapping[str, str], *, redirected: Collection[str] = ()) -> None:
    """Raises ``UnsafeToStartError`` when the app's final environment names a database or a mail server elsewhere.

    Databases must be on loopback: their drivers connect in C, where no redirection reaches. A mail server may be one of
    the ``redirected`` host names. Live credentials that only appear once rendered are refused as well.
    """
    dangers = []
    for name, value in sorted(environment.items()):
        if what := live_variable(name, value):
            dangers.append(Danger(what=what, where=name, do="Use a test key, or the stage's own: {stripe_key}."))
        if host := remote_database(name, value):
            do = "Use the stage's database: {postgres_url}, or {postgres_host} and its like."
            dangers.append(Danger(what=f"a database at {host}", where=name, do=do))
        if (host := remote_mail_server(name, value)) and host not in redirected:
            do = "Use the stage's mail server: {smtp_host} and {smtp_port}."
            dangers.append(Danger(what=f"a mail server at {host}", where=name, do=do))
    _raise_if_any(dangers)


async def refuse_live_keys_in_files(directory: Path, *, ignore: Collection[str] = ()) -> None:
    """Raises ``UnsafeToStartError`` when a text file of the app (up to 2 MB) holds a live credential.

    ``ignore`` lists paths below ``directory`` that somebody looked at and vouches for.
    """
    dangers = []
    for path in _files(directory):
        await asyncio.sleep(0)
        relative = path.relative_to(directory).as_posix()
        if relative in ignore:
            continue
        do = "Revoke it at its provider, since it is in a file that is shared; then read it from the environment."
        dangers += [Danger(what=what, where=f"{relative}:{line}", do=do) for line, what in _live_lines(path)]
    _raise_if_any(dangers)


def _files(directory: Path) -> list[Path]:
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in files if path.stat().st_size <= _LARGEST_TEXT)


def _live_lines(path: Path) -> Iterator[tuple[int, str]]:
    data = path.read_bytes()
    if b"\0" in data[:8192]:
        return
    text = data.decode(errors="replace")
    if live_credential(text) is None:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if what := live_credential(line):
            yield number, what


def _raise_if_any(dangers: Iterator[Danger] | list[Danger]) -> None:
    if found := tuple(dangers):
        raise UnsafeToStartError(found)
