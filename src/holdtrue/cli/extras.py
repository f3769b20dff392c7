"""Imports what an extra of the distribution brings, or names the extra that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdtrue.contract.errors import UsageError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Tell a package that is not installed from a fault of our own.

    Raises:
        UsageError: an import inside failed for the lack of a package.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package == "holdtrue":
            raise
        raise UsageError(
            f"a package that this command needs cannot be imported: {error.msg}",
            do=f'pip install "holdtrue[{extra}]"',
        ) from error
