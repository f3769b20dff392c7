"""The app's source, file by file: what was planned, checked and admitted is what is deployed, or it does not start.

Every regular file below the app's directory counts, tracked or not, but for what is made from the source or lies
beside it: ``.git``, ``.holdtrue``, virtual environments, ``node_modules``, caches, ``.env*`` (settings of one machine),
and the gate's own papers. What is installed in an environment is not covered here: its lock file is.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from holdtrue.contract.errors import HoldtrueError
from holdtrue.gate.errors import GateRefusal

PLAN, ADMISSION = "holdtrue.plan.json", "holdtrue.admission.json"
_PAPERS = (PLAN, "holdtrue.plan.*.sig", ADMISSION)
_TOP_FOLDERS = frozenset({".git", ".hg", ".svn", ".holdtrue"})
_FOLDERS = frozenset({"node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


def digests(directory: Path) -> dict[str, str]:
    """Path below the directory → SHA-256 of the file; of a link that stays inside, of the way it shows.

    Raises:
        GateRefusal: LINK_LEADS_OUT, a link leads to what is not covered.
        HoldtrueError: something cannot be read.
    """
    root = directory.resolve()
    if not root.is_dir():
        raise HoldtrueError("is no directory", where=str(directory), do="Give the app's directory.")
    try:
        return {path.relative_to(root).as_posix(): _digest(root, path) for path in sorted(_files(root, root))}
    except OSError as error:
        raise HoldtrueError(f"cannot be read: {error.strerror}", where=str(error.filename)) from None


def left_out(path: Path, root: Path) -> bool:
    """Whether a file or folder below ``root`` does not count."""
    top = path.parent == root
    if path.is_dir() and not path.is_symlink():
        return path.name in _FOLDERS or (top and path.name in _TOP_FOLDERS) or (path / "pyvenv.cfg").is_file()
    return fnmatchcase(path.name, ".env*") or (top and any(fnmatchcase(path.name, each) for each in _PAPERS))


def _files(folder: Path, root: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if left_out(path, root):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _files(path, root)
        elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            yield path


def _digest(root: Path, path: Path) -> str:
    if not path.is_symlink():
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    target = path.resolve()
    inside = (
        target.exists()
        and target.is_relative_to(root)
        and not any(
            left_out(each, root) for each in (target, *target.parents) if each != root and each.is_relative_to(root)
        )
    )
    if not inside:
        raise GateRefusal(
            "LINK_LEADS_OUT",
            f"{path.relative_to(root)} is a link to {path.readlink()}, which is no part of the app's source",
            where=str(root),
            why="What it leads to could change after the approval.",
            do="Put the file itself there.",
        )
    return f"link:{path.readlink()}"
