"""Payments is what every module must be."""

from __future__ import annotations

from holdtrue.assembly.conformance import conformance
from holdtrue.modules.payments import Payments

test_payments_conforms = conformance(Payments(sample="any", plan="pro"))
