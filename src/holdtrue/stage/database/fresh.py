"""The data directory of a new cluster: made by initdb once, copied from then on, which takes a seventh of the time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from holdtrue.stage.cache import cache_directory

KEPT = 3
"""Directories of older programs go, but two versions of PostgreSQL may be in use."""


class Order(TypedDict):
    """A command, run by the server's account, or by ourselves: who may read the cache, and keep the owner of files."""

    command: list[str]
    ours: bool


@dataclass(frozen=True)
class Fresh:
    """A data directory that nobody has started a server on, in the person's cache."""

    path: Path

    @classmethod
    def of(cls, initdb: Sequence[str], major: int) -> Fresh:
        """For programs of a major version, which share its catalog and its format, and these options of initdb."""
        made_by = [str(major), str(Path(initdb[0]).stat().st_size), *initdb[1:]]
        return cls(cache_directory() / "postgres" / hashlib.sha256("\0".join(made_by).encode()).hexdigest()[:24])

    def ways_to_make(self, data: Path, initdb: Sequence[str]) -> list[Order]:
        """Commands of which the first that succeeds makes ``data``; ``initdb`` does not name it yet."""
        made: Order = {"command": [*initdb, f"--pgdata={data}"], "ours": False}
        return [_copy(self.path, data), made] if self.path.is_dir() else [made]

    def way_to_keep(self, data: Path) -> Order | None:
        """The command that copies ``data`` for the next time, where it is not kept yet and can be."""
        if self.path.is_dir():
            return None
        with suppress(OSError):
            self._unfinished(data).parent.mkdir(parents=True, exist_ok=True)
            return _copy(data, self._unfinished(data))
        return None

    def keep(self, data: Path) -> None:
        """Take what was copied for whole. Nothing is kept where that fails, or another check was first."""
        unfinished = self._unfinished(data)
        with suppress(OSError):
            unfinished.rename(self.path)
            for old in sorted(self.path.parent.iterdir(), key=lambda each: each.stat().st_mtime)[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)

    def forget(self) -> None:
        """Make it anew the next time: a server did not start on a copy of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _unfinished(self, data: Path) -> Path:
        return self.path.with_name(f"{self.path.name}.{data.parent.name}")


def _copy(source: Path, target: Path) -> Order:
    return {"command": [shutil.which("cp") or "cp", "-pR", str(source), str(target)], "ours": True}
