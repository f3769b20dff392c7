"""The scratch directory of a check, and those of checks that were killed before they could remove theirs."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "holdtrue-"
_MARK = ".check-at-work"
"""A file that its check holds a lock on (flock(2)): the kernel lets go of it however the check ends."""


@contextmanager
def scratch_directory(*, keep: bool) -> Iterator[Path]:
    """Make a directory, and remove it in the end unless it is to be kept. What dead checks left is removed, too.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    _sweep(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = _marked(path)
    try:
        yield path
    finally:
        if keep:
            (path / _MARK).unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _marked(path: Path) -> int:
    """Mark a directory as in use; the mark appears when it is locked already, so that nobody finds it unlocked."""
    unlocked = path / f"{_MARK}.new"
    lock = os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        unlocked.unlink()  # a file system without locks: nobody will know that it may be removed, so nobody does
    else:
        unlocked.rename(path / _MARK)
    return lock


def _sweep(directory: Path) -> None:
    for mark in directory.glob(f"{_PREFIX}*/{_MARK}"):
        try:
            lock = os.open(mark, os.O_RDWR)
        except OSError:
            continue  # somebody else's, or removed meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
        except BlockingIOError:
            continue  # at work
        finally:
            os.close(lock)
