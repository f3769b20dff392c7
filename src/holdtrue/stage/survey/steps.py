"""Drives a migration tool that stays up and takes one revision at a time (`contract.document.Migrations.steps`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.survey.runner import Interpreter, Probe, SurveyError

FIRST_PATIENCE, PATIENCE = 120.0, 300.0
"""Seconds until the first answer, and for each step."""


class StepDriver:
    """A tool's own stepping command. Between two steps it holds no connection."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    @classmethod
    async def start(cls, words: Sequence[str], interpreter: Interpreter) -> Self:
        """Start the command. Raises `SurveyError` when it cannot be executed."""
        return cls(await Probe.command("the migrations", words, interpreter))

    async def revisions(self) -> list[str]:
        """Every revision, oldest first. Raises `SurveyError`, and `HoldtrueError` with the tool's own words."""
        found = await self._ask("revisions", FIRST_PATIENCE)
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise _disagrees("revisions", f"{found!r} is no list of names")
        return found

    async def up(self, revision: str) -> None:
        """Apply the next revision, which must be this one. Raises as `revisions` does."""
        await self._move("up", revision)

    async def down(self, revision: str) -> None:
        """Undo the newest revision, which must be this one. Raises as `revisions` does."""
        await self._move("down", revision)

    async def close(self) -> None:
        """End the process."""
        await self._probe.close()

    async def _move(self, direction: str, revision: str) -> None:
        moved = await self._ask(direction, PATIENCE)
        if moved != revision:
            raise _disagrees(f"{direction} of {revision}", f"it moved {moved!r}")

    async def _ask(self, do: str, patience: float) -> Any:
        answer = await self._probe.ask({"do": do}, patience=patience)
        if "error" in answer:
            first, _, rest = str(answer["error"]).partition("\n")
            raise HoldtrueError(first, where=do, why=rest)
        return answer.get("revisions" if do == "revisions" else "moved")


def _disagrees(asked: str, seen: str) -> SurveyError:
    return SurveyError(
        f"the stepping command was asked for {asked}; {seen}",
        where="migrations.steps",
        why="What a step leaves behind could be laid to the wrong revision.",
        do="Take one revision at a time, in the order of `revisions`, and name what was moved.",
    )
