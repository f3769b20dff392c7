"""What a check refuses to do, and what the machine refuses to a check."""

from __future__ import annotations

from holdtrue.contract.document import Document
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.process.safety import refuse_live_secrets, refuse_remote_addresses


def refuse_unsafe(document: Document) -> None:
    """Refuse what could reach real money, mail or data, as far as the document and this shell tell it.

    Raises:
        UnsafeToStartError: a live key, or an address outside this machine.
    """
    process = document.process
    refuse_live_secrets(process.env | process.migrate_env)
    # What placeholders stand for is on this machine; which port it is makes no difference here.
    nobody = Instruments.nobody()
    for templates in (process.env, process.env | process.migrate_env):
        refuse_remote_addresses(nobody.environment(templates, {}))


def machine_refused(error: OSError) -> HoldtrueError:
    """What the machine does not let a check do, such as writing to a full disk."""
    return HoldtrueError(
        f"the stage cannot be set: {error.strerror or error}",
        where=str(error.filename or ""),
        why="A check needs room for a copy of the app, its logs, and a scratch database.",
        do="Free some disk space, or name a directory that has room: TMPDIR=/path holdtrue check …",
    )
