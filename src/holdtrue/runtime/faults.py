"""Mistakes of an app's code or its surroundings, each with a code to search for. Not for what a caller did."""

from __future__ import annotations

from holdtrue.contract.errors import HoldtrueError


class Fault(HoldtrueError):  # noqa: N818  (one of several, as a finding is)
    """A coded error; ``code`` is stable, the words are not."""

    def __init__(self, code: str, seen: str, *, where: str = "", why: str = "", do: str = "") -> None:
        super().__init__(seen, where=where, why=why, do=do)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"


class Faults(Fault):
    """Several at once, so that nobody mends them one restart after the other."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults[0].code, f"{len(faults)} faults" if len(faults) > 1 else "1 fault")
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)
