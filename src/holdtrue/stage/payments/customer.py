"""The scripted customer: does on Stripe's pages what customers do, and answers with what Stripe then tells."""

from collections.abc import Callable
from typing import Any

from holdtrue.stage.payments import (
    checkout,
    customers,
    intents,
    invoices,
    paying,
    payment_methods,
    setup_intents,
    subscriptions,
    versions,
)
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource
from holdtrue.stage.payments.world import Event, World

_DAY = 24 * 3600
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

    def pay(self, session_id: str, *, email: str = "customer@example.com", card: str = "pm_card_visa") -> list[Event]:
        """Complete a Checkout session with a card; a card that is declined leaves the session open."""
        start = len(self._world.events)
        books, session = self._open(session_id)
        buyer = _Buyer(books, session, email, card)
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
        _Buyer(books, session, email, "pm_card_visa").begin_slow_payment()
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
        outcome = "succeeded" if succeeds else "failed"
        books.emit(f"checkout.session.async_payment_{outcome}", session)
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

    def returns_to(self, session_id: str) -> str:
        """The address to which Checkout sends the browser after payment, session id filled in."""
        session = self._owner_books(session_id).get("checkout.session", session_id)
        address = session["success_url"] or session["return_url"]
        return str(address).replace("{CHECKOUT_SESSION_ID}", session_id)

    def _open(self, session_id: str) -> tuple[Books, Resource]:
        books = self._owner_books(session_id)
        session = books.get("checkout.session", session_id)
        if session["status"] != "open":
            raise ValueError(
                f"session {session_id} is {session['status']}: Checkout shows its page for open sessions only"
            )
        return books, session


class _Buyer:
    """One visit to a Checkout page."""

    def __init__(self, books: Books, session: Resource, email: str, card: str) -> None:
        self._books = books
        self._session = session
        known = session["customer_details"] or {}
        self._contact = checkout.contact(known.get("email") or email, known.get("name"), known.get("phone"))
        self._method = payment_methods.named(books, card)
        self._method["billing_details"] |= {"email": self._contact["email"], "name": self._contact["name"]}
        if self._method["_answer"] == "authenticate":
            self._method["_answer"] = None  # Checkout's page asks the customer, who agrees
        books.save(self._method)
        self.declined = self._method["_answer"] is not None

    def buy(self) -> None:
        """One payment."""
        intent = paying.confirm(self._books, self._intent(), self._method)
        if intent["status"] == "succeeded":
            self._complete(payment_status="paid", payment_intent=intent["id"])
        elif intent["status"] == "requires_capture":
            self._complete(payment_status="unpaid", payment_intent=intent["id"])

    def begin_slow_payment(self) -> None:
        """A debit that takes days."""
        intent = self._intent()
        self._books.change(intent, None, status="processing", payment_method=self._method["id"])
        self._books.emit("payment_intent.processing", intent)
        self._complete(payment_status="unpaid", payment_intent=intent["id"])

    def set_up(self) -> None:
        """A card kept for later."""
        fields = self._session["_intent_data"] or {}
        intent = setup_intents.make(self._books, customer=self._customer(), **fields)
        if self.declined:
            setup_intents.fail(self._books, intent)
            return
        setup_intents.succeed(self._books, intent, self._method)
        self._complete(setup_intent=intent["id"])

    def subscribe(self) -> None:
        """A subscription with its first invoice. Since Basil it exists only once it is paid."""
        books, data = self._books, self._session["_subscription_data"]
        customer = str(self._customer())
        payment_methods.attach(books, self._method, customer)
        trial = books.now() + data["trial_days"] * _DAY if data["trial_days"] else data["trial_end"]
        lines = [
            (line["price"], line["quantity"]) for line in books.all("item") if line["_session"] == self._session["id"]
        ]
        late = books.at_least(versions.BASIL)
        subscription = subscriptions.make(
            books,
            customer,
            [line for line in lines if line[0]["recurring"]],
            trial_end=trial,
            metadata=data["metadata"],
            description=data["description"],
            default_payment_method=self._method["id"],
            _untold=late,
        )
        if not late:
            books.emit("customer.subscription.created", subscription)
        extra = [line for line in lines if not line[0]["recurring"]]
        invoice = invoices.issue(books, subscription, "subscription_create", extra=extra)
        if invoice["status"] == "open":
            invoice = paying.pay_invoice(books, invoice, self._method)
        subscription = books.get("subscription", subscription["id"])
        if late:
            books.change(subscription, None, _untold=False)
            books.emit("customer.subscription.created", subscription)
        due = invoice["amount_due"] > 0
        self._complete(
            payment_status="paid" if due else "no_payment_required",
            subscription=subscription["id"],
            invoice=invoice["id"],
        )

    def _intent(self) -> Resource:
        fields: dict[str, Any] = dict(self._session["_intent_data"] or {})
        return intents.make(
            self._books,
            amount=self._session["amount_total"],
            currency=self._session["currency"],
            customer=self._customer(),
            payment_method_types=self._session["payment_method_types"],
            **fields,
        )

    def _customer(self) -> str | None:
        if self._session["customer"] is None and self._session["customer_creation"] == "always" and not self.declined:
            made = customers.make(self._books, email=self._contact["email"], name=self._contact["name"])
            self._session["customer"] = made["id"]
        customer: str | None = self._session["customer"]
        return customer

    def _complete(self, **fields: Any) -> None:
        self._books.change(self._session, None, status="complete", url=None, customer_details=self._contact, **fields)
        self._books.emit("checkout.session.completed", self._session)
