"""The scripted customer: does on Stripe's pages what customers do, and answers with what Stripe then tells."""

from collections.abc import Callable

from holdtrue.stage.payments import (
    catalog,
    checkout,
    intents,
    paying,
    payment_methods,
    prorations,
    subscription_params,
    subscriptions,
)
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.buyer import Buyer
from holdtrue.stage.payments.store import Resource, clone
from holdtrue.stage.payments.world import Event, World

_DECLINED = "pm_card_chargeDeclined"


class ScriptedCustomer:
    """Every method answers the new events in the order in which Stripe would create them.

    Raises:
        KeyError: no account has an object of that id.
        ValueError: the object is not in a state in which a customer could do this.
    """

    def __init__(self, world: World, owner_books: Callable[[str], Books]) -> None:
        self._world = world
        self._owner_books = owner_books

    def pay(
        self, session_id: str, *, email: str = "customer@example.com", card: str | None = "pm_card_visa"
    ) -> list[Event]:
        """Complete a Checkout session with a card; a card that is declined leaves the session open.

        Without a card only what costs nothing now can be completed: a trial that asks for none.
        """
        start = len(self._world.events)
        books, session = self._open(session_id)
        if card is None and session["payment_method_collection"] != "if_required":
            raise ValueError(
                f"session {session_id} asks for a card: create it with payment_method_collection if_required"
            )
        buyer = Buyer(books, session, email, card)
        if session["mode"] == "setup":
            buyer.set_up()
        elif session["mode"] == "subscription" and not buyer.declined:
            buyer.subscribe()
        else:
            buyer.buy()
        return self._world.events[start:]

    def decline(self, session_id: str) -> list[Event]:
        """Try a Checkout session with a card that the bank declines: the session stays open."""
        return self.pay(session_id, card=_DECLINED)

    def abandon(self, session_id: str) -> list[Event]:
        """Leave, and let the session expire."""
        start = len(self._world.events)
        books, session = self._open(session_id)
        checkout.expire(books, session)
        return self._world.events[start:]

    def pay_later(self, session_id: str, *, email: str = "customer@example.com") -> list[Event]:
        """Complete a payment session with a slow method such as a bank debit: complete, but `unpaid` until `settle`."""
        start = len(self._world.events)
        books, session = self._open(session_id)
        if session["mode"] != "payment":
            raise ValueError(
                f"session {session_id} is in mode {session['mode']}: only payment sessions are paid later here"
            )
        Buyer(books, session, email, "pm_card_visa").begin_slow_payment()
        return self._world.events[start:]

    def settle(self, session_id: str, *, succeeds: bool) -> list[Event]:
        """The bank's word on a session that was completed with a slow method."""
        start = len(self._world.events)
        books = self._owner_books(session_id)
        session = books.get("checkout.session", session_id)
        if session["status"] != "complete" or session["payment_status"] != "unpaid":
            raise ValueError(
                f"session {session_id} is {session['status']} and {session['payment_status']}: only one completed by "
                "pay_later() waits for settle()"
            )
        intent = books.get("payment_intent", session["payment_intent"])
        method = books.get("payment_method", intent["payment_method"])
        paying.confirm(books, intent, method if succeeds else {**method, "_answer": "generic_decline"})
        if succeeds:
            books.change(session, None, payment_status="paid")
        succeeded, failed = "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"
        books.emit(succeeded if succeeds else failed, session)
        return self._world.events[start:]

    def pay_invoice(self, invoice_id: str, *, card: str = "pm_card_visa") -> list[Event]:
        """Pay an open invoice on its hosted page."""
        start = len(self._world.events)
        books = self._owner_books(invoice_id)
        invoice = books.get("invoice", invoice_id)
        if invoice["status"] != "open":
            raise ValueError(f"invoice {invoice_id} is {invoice['status']}: only an open invoice can be paid")
        method = payment_methods.named(books, card)
        if method.get("_answer") is None:
            payment_methods.attach(books, method, invoice["customer"])
        paying.pay_invoice(books, invoice, method)
        return self._world.events[start:]

    def confirm(self, intent_id: str, *, card: str = "pm_card_visa") -> list[Event]:
        """Confirm a payment intent in the app's own page (Stripe.js), 3-D Secure included."""
        start = len(self._world.events)
        books = self._owner_books(intent_id)
        intent = books.get("payment_intent", intent_id)
        if intent["status"] not in intents.OPEN:
            raise ValueError(f"payment intent {intent_id} is {intent['status']}: a customer cannot confirm it any more")
        if intent["status"] == "requires_action":
            method = books.get("payment_method", intent["payment_method"])
            paying.confirm(books, {**intent, "_authenticated": True}, method)
        else:
            paying.confirm(books, intent, payment_methods.named(books, card))
        return self._world.events[start:]

    def cancel(self, subscription_id: str, *, at_period_end: bool = True) -> list[Event]:
        """Cancel a subscription in the billing portal, at the end of its period or at once."""
        start, books, subscription = self._portal(subscription_id)
        if at_period_end:
            changes = subscription_params.at_period_end(books, subscription, wanted=True)
            books.change(subscription, "customer.subscription.updated", **changes)
        else:
            subscriptions.end(books, subscription)
        return self._world.events[start:]

    def keep(self, subscription_id: str) -> list[Event]:
        """Take back a cancellation at the end of the period, in the billing portal."""
        start, books, subscription = self._portal(subscription_id)
        changes = subscription_params.at_period_end(books, subscription, wanted=False)
        books.change(subscription, "customer.subscription.updated", **changes)
        return self._world.events[start:]

    def change_subscription(
        self, subscription_id: str, *, quantity: int | None = None, price: str | None = None
    ) -> list[Event]:
        """Another quantity or price for the first item, in the billing portal; the difference is billed at once."""
        start, books, subscription = self._portal(subscription_id)
        data = clone(subscription["items"]["data"])
        if quantity is not None:
            data[0]["quantity"] = quantity
        if price is not None:
            data[0]["price"] = books.get("price", price)
            data[0]["plan"] = catalog.plan_of(data[0]["price"])
        prorations.change_items(books, subscription, data, behavior="always_invoice", at=books.now())
        return self._world.events[start:]

    def replace_card(self, customer_id: str, *, card: str = "pm_card_visa") -> list[Event]:
        """Another default card for everything the customer pays, in the billing portal."""
        start = len(self._world.events)
        books = self._owner_books(customer_id)
        customer = books.live("customer", customer_id)
        method = payment_methods.attach(books, payment_methods.named(books, card), customer_id)
        settings = {**customer["invoice_settings"], "default_payment_method": method["id"]}
        books.change(customer, "customer.updated", invoice_settings=settings)
        for subscription in books.all("subscription"):
            if subscription["customer"] == customer_id and subscription["status"] not in subscriptions.ENDED:
                books.change(subscription, "customer.subscription.updated", default_payment_method=method["id"])
        return self._world.events[start:]

    def returns_to(self, session_id: str) -> str:
        """The address to which Checkout sends the browser after payment, session id filled in."""
        session = self._owner_books(session_id).get("checkout.session", session_id)
        address = session["success_url"] or session["return_url"]
        return str(address).replace("{CHECKOUT_SESSION_ID}", session_id)

    def _portal(self, subscription_id: str) -> tuple[int, Books, Resource]:
        books = self._owner_books(subscription_id)
        subscription = books.get("subscription", subscription_id)
        if subscription["status"] in subscriptions.ENDED:
            raise ValueError(f"subscription {subscription_id} is {subscription['status']}: the portal shows it no more")
        return len(self._world.events), books, subscription

    def _open(self, session_id: str) -> tuple[Books, Resource]:
        books = self._owner_books(session_id)
        session = books.get("checkout.session", session_id)
        if session["status"] != "open":
            raise ValueError(
                f"session {session_id} is {session['status']}: Checkout shows its page for open sessions only"
            )
        return books, session
