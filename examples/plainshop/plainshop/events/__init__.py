"""Events from Stripe: one transaction for the inbox row, the effect, the audit event and the mail."""

from plainshop.events.inbox import Outcome, StripeMessage, UnknownObject, apply_event

__all__ = ["Outcome", "StripeMessage", "UnknownObject", "apply_event"]
