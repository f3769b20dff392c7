"""Auth can do what every module must be able to do."""

from __future__ import annotations

from holdtrue.assembly.conformance import conformance
from holdtrue.modules.auth import Auth

test_conformance = conformance(Auth())
