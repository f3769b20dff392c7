"""Tenancy is a module like any other."""

from __future__ import annotations

from holdtrue.assembly.conformance import conformance
from holdtrue.modules.tenancy import Tenancy

test_conformance = conformance(Tenancy(roles={"owner": "*", "reader": ("tenancy.members_read",)}))
