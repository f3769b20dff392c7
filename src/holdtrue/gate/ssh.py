"""Signatures by SSH keys, made and verified by ``ssh-keygen -Y`` (OpenSSH 8.2 or later; format: PROTOCOL.sshsig).

Who may sign stands in an ``allowed_signers`` file (ssh-keygen(1)). Keys may be in a file, in an agent or on a hardware
token; ``namespaces="…"`` limits what a key may sign: ``holdtrue-plan`` approves, ``holdtrue-admission`` seals.

Verification runs the system's own ssh-keygen in an empty environment: a PATH that somebody prepared shows no other one.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from holdtrue.contract.errors import HoldtrueError, UsageError

PLAN_NAMESPACE = "holdtrue-plan"
ADMISSION_NAMESPACE = "holdtrue-admission"
_PLACES = "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin"
_GOOD = re.compile(r'Good "(?P<namespace>[^"]+)" signature for (?P<who>.+) with \S+ key (?P<key>SHA256:\S+)')


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Whose signature it is."""

    who: str
    """The principal, as the signers file names it."""
    key: str
    """The key's fingerprint."""

    def __str__(self) -> str:
        return f"{self.who} ({self.key})"


def _program() -> str:
    found = shutil.which("ssh-keygen", path=_PLACES)
    if found is None:
        raise HoldtrueError(
            f"there is no ssh-keygen in {_PLACES}",
            why="Approvals are SSH signatures.",
            do="Install OpenSSH's client (Debian: apt-get install openssh-client).",
        )
    return found


async def sign(message: bytes, key: Path, namespace: str) -> str:
    """Sign with a private key, or with the public half of one that an SSH agent holds. May ask for a passphrase.

    Raises:
        UsageError: the key cannot be used.
    """
    process = await asyncio.create_subprocess_exec(
        *(_program(), "-q", "-Y", "sign", "-f", str(key), "-n", namespace),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(message)
    if process.returncode != 0:
        raise UsageError(
            f"ssh-keygen does not sign: {_words(err)}", where=str(key), do="Name an SSH key: --key ~/.ssh/id_ed25519"
        )
    return out.decode()


async def verify(message: bytes, signature: str, signers: str, namespace: str) -> tuple[Signer | None, str]:
    """Whose signature it is, according to the text of a signers file; or None, and why it counts for nothing."""
    with tempfile.TemporaryDirectory(prefix="holdtrue-gate-") as scratch:
        allowed, file = _kept(scratch, "signers", signers), _kept(scratch, "signature", signature)
        status, out, err = await _ask("find-principals", "-s", file, "-f", allowed, message=b"")
        if status != 0:
            return None, f"its key is none of the signers ({_words(err or out)})"
        for who in out.decode().splitlines():
            words = ("verify", "-s", file, "-f", allowed, "-I", who, "-n", namespace)
            status, out, err = await _ask(*words, message=message)
            good = _GOOD.search(out.decode())
            if status == 0 and good and good["namespace"] == namespace:
                return Signer(who=good["who"], key=good["key"]), ""
    return None, f"ssh-keygen: {_words(err or out)}"


def _kept(folder: str, name: str, text: str) -> Path:
    path = Path(folder, name)
    path.write_text(text, encoding="utf-8")
    return path


async def _ask(verb: str, *words: str | Path, message: bytes) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(_program(), "-Y", verb, *map(str, words)),
        env={},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(message)
    return process.returncode or 0, out, err


def _words(output: bytes) -> str:
    return " ".join(output.decode(errors="replace").split()) or "no reason given"


def file_name(key: str) -> str:
    """A part of a file's name for a key's fingerprint."""
    return re.sub(r"[^A-Za-z0-9]", "", key.removeprefix("SHA256:"))[:12]


def default_key() -> Path:
    """The key that ssh itself would take first."""
    return Path.home() / ".ssh" / "id_ed25519"
