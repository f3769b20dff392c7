"""What the hooks inside the app's processes wrote down: who was guarded, and who wanted to leave."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One refused look-up, connection or datagram. ``where`` is the app's own innermost ``file:line``, if it was seen.

    ``kind`` is ``look-up``, ``connection`` or ``datagram``; a look-up may come without a port. ``process`` is the
    script's name, ``pid`` its process.
    """

    host: str
    port: int | None
    process: str
    pid: int
    where: str | None
    kind: str

    def __str__(self) -> str:
        target = self.host if self.port is None else f"{self.host}:{self.port}"
        return f"{self.kind} {target} from {self.where or self.process}"


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """One process in which the hook was loaded. A process of the app that is missing here was not guarded by it."""

    pid: int
    process: str
    runtime: str


class Egress:
    """Reads the record file of one redirect. The order is the order in which the attempts happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def attempts(self) -> list[Attempt]:
        """Every attempt to leave the stage so far, repeated ones included."""
        return [
            Attempt(
                host=record["host"],
                port=record["port"],
                process=record["process"],
                pid=record["pid"],
                where=record["where"],
                kind="look-up" if record["kind"] == "lookup" else record["kind"],
            )
            for record in self._records("refused")
        ]

    def guarded(self) -> list[Guarded]:
        """Every process that loaded the hook."""
        return [
            Guarded(pid=record["pid"], process=record["process"], runtime=record["runtime"])
            for record in self._records("guarded")
        ]

    def clear(self) -> None:
        """Forgets what was recorded, as between two scenarios. The app's processes may go on writing."""
        if self.path.exists():
            with self.path.open("r+") as file:
                file.truncate(0)

    def _records(self, event: str) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines(keepends=True)
        # A line without its end is being written at this moment: it belongs to the next reading.
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in records if record["event"] == event]
