"""The scripted banks: refunds that take time or fail, disputes, cards that stop working."""

from collections.abc import Callable
from typing import Literal

from holdtrue.stage.payments import disputes, refunds
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.world import Event, World

RefundStatus = Literal["succeeded", "pending", "failed", "requires_action"]
Verdict = Literal["won", "lost", "warning_closed"]


class Bank:
    """Methods that do something answer the new events in Stripe's order.

    Raises:
        KeyError: no account has an object of that id.
        ValueError: the object is not in a state in which the bank could do this.
    """

    def __init__(self, world: World, owner_books: Callable[[str], Books]) -> None:
        self._world = world
        self._owner_books = owner_books

    def script_refunds(self, *statuses: RefundStatus) -> None:
        """The statuses of the next refunds, one each; after them refunds succeed again."""
        self._world.script.refunds.extend(statuses)

    def settle_refund(
        self, refund_id: str, status: Literal["succeeded", "failed"], *, reason: str = "lost_or_stolen_card"
    ) -> list[Event]:
        """The later word on a pending refund. Stripe also lets a refund that had succeeded fail."""
        start = len(self._world.events)
        books = self._owner_books(refund_id)
        refund = books.get("refund", refund_id)
        if refund["status"] in ("failed", "canceled") or (refund["status"], status) == ("succeeded", "succeeded"):
            raise ValueError(f"refund {refund_id} is {refund['status']}: it cannot become {status}")
        refunds.settle(books, refund, status, reason if status == "failed" else None)
        return self._world.events[start:]

    def refund(self, charge_id: str, amount: int | None = None) -> list[Event]:
        """A refund made by hand in Stripe's dashboard, which the app learns of by webhook only."""
        start = len(self._world.events)
        books = self._owner_books(charge_id)
        charge = books.get("charge", charge_id)
        left = charge["amount_captured"] - refunds.refunded(books, charge_id)
        if left <= 0 or (amount or left) > left:
            raise ValueError(f"charge {charge_id} has {left} left to refund, not {amount or 'anything'}")
        refunds.make(books, charge, amount or left, reason="requested_by_customer", metadata={})
        return self._world.events[start:]

    def dispute(
        self, charge_id: str, *, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
    ) -> list[Event]:
        """The card holder disputes a charge; an inquiry (`warning_*`) moves no money."""
        start = len(self._world.events)
        books = self._owner_books(charge_id)
        charge = books.get("charge", charge_id)
        if not charge["captured"] or charge["disputed"]:
            raise ValueError(f"charge {charge_id} is not captured, or disputed already: it cannot be disputed")
        if (amount or 0) > charge["amount_captured"]:
            raise ValueError(f"charge {charge_id} captured {charge['amount_captured']}: {amount} cannot be disputed")
        disputes.make(books, charge, amount or charge["amount_captured"], reason=reason, inquiry=inquiry)
        return self._world.events[start:]

    def escalate(self, dispute_id: str) -> list[Event]:
        """The card holder was not content with the answer to an inquiry: it becomes a dispute, and the money goes."""
        start = len(self._world.events)
        books = self._owner_books(dispute_id)
        dispute = books.get("dispute", dispute_id)
        if not dispute["status"].startswith("warning_") or dispute["status"] in disputes.CLOSED:
            raise ValueError(f"dispute {dispute_id} is {dispute['status']}: only an open inquiry can be escalated")
        disputes.escalate(books, dispute)
        return self._world.events[start:]

    def close_dispute(self, dispute_id: str, verdict: Verdict) -> list[Event]:
        """Close a dispute: won brings the money back."""
        start = len(self._world.events)
        books = self._owner_books(dispute_id)
        dispute = books.get("dispute", dispute_id)
        inquiry = dispute["status"].startswith("warning_")
        if dispute["status"] in disputes.CLOSED or inquiry != (verdict == "warning_closed"):
            raise ValueError(f"dispute {dispute_id} is {dispute['status']}: it cannot be closed as {verdict}")
        disputes.close(books, dispute, verdict)
        return self._world.events[start:]

    def decline_customer(self, customer_id: str, code: str | None = "generic_decline") -> None:
        """From now on every card of a customer is declined with a code; None makes them work again."""
        declined = self._world.script.declined_customers
        if code is None:
            declined.pop(customer_id, None)
        else:
            declined[customer_id] = code
