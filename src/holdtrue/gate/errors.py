"""What the gate says when it does not let something pass."""

from __future__ import annotations

from holdtrue.contract.errors import HoldtrueError


class GateRefusal(HoldtrueError):  # noqa: N818 - a refusal is an answer, and no fault
    """The gate stays shut. ``code`` is stable, for scripts and agents; the exit code is that of *broken*."""

    exit_code = 1

    def __init__(self, code: str, seen: str, *, where: str = "", why: str = "", do: str = "") -> None:
        super().__init__(seen, where=where, why=why, do=do)
        self.code = code

    def __str__(self) -> str:
        return f"refused ({self.code}): {super().__str__()}"
