"""A world of its own for each test that runs checks of a tiny app."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from misfortune import World


@pytest.fixture
def world() -> Iterator[World]:
    """Where checks run; afterwards nothing may be left of them."""
    root = Path(tempfile.mkdtemp(prefix="ht-"))  # short: a socket's path below it has at most 103 bytes
    root.chmod(0o755)  # for the account that PostgreSQL runs under where the tests are run by root
    here = World(root)
    try:
        yield here
        here.assert_clean()
    finally:
        for process in here.processes():
            process.kill()
        shutil.rmtree(root)
