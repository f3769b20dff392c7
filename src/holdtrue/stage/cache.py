"""What is kept from one check to the next, for one person on one machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Where it is: ``holdtrue`` below XDG_CACHE_HOME, else below ~/.cache. It may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "holdtrue"
