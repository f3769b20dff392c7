"""The email module can do what every module must be able to do."""

from holdtrue.assembly.conformance import conformance
from holdtrue.modules.email import Email

test_conformance = conformance(Email())
