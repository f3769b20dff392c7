"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# No test may fail because the machine is busy, and a failure must come again for whoever looks into it.
settings.register_profile("holdtrue", deadline=None, derandomize=True, database=None)
settings.load_profile("holdtrue")
