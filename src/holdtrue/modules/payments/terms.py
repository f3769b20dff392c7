"""What the app decides in code, and what a process opens once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdtrue.contract.errors import UsageError
from holdtrue.modules.payments.adapters.stripe import Stripe


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Part of the contract: a change of them changes its digest, and so needs a signed plan."""

    approve_above: int = 100_00
    """Refunds of one payment above this sum, in minor units, need a second person. 0: every refund."""
    approve_above_in: Mapping[str, int] = field(default_factory=dict)
    """Where a currency needs another bound: ``{"jpy": 15_000}``."""

    def __post_init__(self) -> None:
        if self.approve_above < 0 or any(each < 0 for each in self.approve_above_in.values()):
            raise UsageError("a threshold below zero", do="0 lets every refund wait for a second person.")

    def threshold(self, currency: str) -> int:
        """In minor units of the currency."""
        return self.approve_above_in.get(currency, self.approve_above)


@dataclass(frozen=True, kw_only=True)
class PaymentsPorts:
    """``unit.port(PaymentsPorts)``."""

    stripe: Stripe
    terms: Terms
