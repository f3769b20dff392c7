"""What payments refuses, and what a provider's answer may mean."""

from __future__ import annotations

from holdtrue.runtime import Conflict, Forbidden, NotFound, ProviderTrouble, Refused, Unavailable


class NotSigned(Refused):
    """The webhook is not signed by the provider, or not now."""

    code = "payments.not_signed"


class NotOurs(Refused):
    """Rightly signed, and meant for another account or mode: test money pays for nothing real."""

    code = "payments.not_ours"


class NothingToBuy(NotFound):
    """No binding of CHECKOUT_LINES knows the reference."""

    code = "payments.nothing_to_buy"


class AlreadySubscribed(Conflict):
    """The tenant has a subscription that lives."""

    code = "payments.already_subscribed"


class BeingPaid(Conflict):
    """A payment for the same thing is under way."""

    code = "payments.being_paid"


class CheckoutOver(Conflict):
    """It was paid or given up in the meantime."""

    code = "payments.checkout_over"


class TooMuch(Conflict):
    """More than is left of the payment."""

    code = "payments.refund_too_large"


class Disputed(Conflict):
    """The bank decides about this money now: a refund could pay it back twice."""

    code = "payments.disputed"


class AlreadyDecided(Conflict):
    """The refund does not wait for anybody's approval."""

    code = "payments.already_decided"


class KeyReused(Conflict):
    """The idempotency key came with another refund before."""

    code = "payments.key_reused"


class OwnRequest(Forbidden):
    """Nobody approves what they asked for; and only a person approves."""

    code = "payments.own_request"


class ProviderRefusal(ProviderTrouble):
    """Stripe said no."""

    code = "payments.provider_refused"


class ProviderAway(Unavailable):
    """Stripe does not answer: the same request may be sent again."""

    code = "payments.provider_away"


class ProviderSilent(Exception):  # noqa: N818  (an outcome)
    """Nobody knows whether the provider did it: no answer, or one that says it failed midway."""


class ProviderBusy(Exception):  # noqa: N818  (an outcome)
    """It did nothing, and may do it later: too many requests, the same one under way, a key without rights."""


class ProviderRefused(Exception):  # noqa: N818  (an outcome)
    """A definite no: the provider did nothing, and never will."""
