"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

WHOLE_CHECKS = {"test_examples", "test_sabotages"}
"""Files whose tests each take as long as hundreds of others."""

# No test may fail because the machine is busy, and a failure must come again for whoever looks into it.
settings.register_profile("holdtrue", deadline=None, derandomize=True, database=None)
settings.load_profile("holdtrue")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones: begun last, one would keep one process busy while the other has nothing to do."""
    items.sort(key=lambda item: item.path.stem not in WHOLE_CHECKS)
