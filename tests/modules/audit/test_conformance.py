"""The audit module can do what every module must be able to do."""

from holdtrue.assembly.conformance import conformance
from holdtrue.modules.audit import Audit

test_conformance = conformance(Audit())
