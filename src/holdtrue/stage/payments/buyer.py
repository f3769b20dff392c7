"""Who completes a Checkout session: one payment, one card kept, or one subscription."""

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

_DAY = 24 * 3600


class Buyer:
    """One visit to a Checkout page."""

    def __init__(self, books: Books, session: Resource, email: str, card: str | None) -> None:
        self._books = books
        self._session = session
        known = session["customer_details"] or {}
        self._contact = checkout.contact(known.get("email") or email, known.get("name"), known.get("phone"))
        self._method = None if card is None else payment_methods.named(books, card)
        if self._method is None:
            self.declined = False
            return
        self._method["billing_details"] |= {"email": self._contact["email"], "name": self._contact["name"]}
        if self._method["_answer"] == "authenticate":
            self._method["_answer"] = None  # Checkout's page asks the customer, who agrees
        books.save(self._method)
        self.declined = self._method["_answer"] is not None

    def buy(self) -> None:
        """One payment."""
        intent = paying.confirm(self._books, self._intent(), self._card())
        if intent["status"] == "succeeded":
            self._complete(payment_status="paid", payment_intent=intent["id"])
        elif intent["status"] == "requires_capture":
            self._complete(payment_status="unpaid", payment_intent=intent["id"])

    def begin_slow_payment(self) -> None:
        """A debit that takes days."""
        intent = self._intent()
        self._books.change(intent, None, status="processing", payment_method=self._card()["id"])
        self._books.emit("payment_intent.processing", intent)
        self._complete(payment_status="unpaid", payment_intent=intent["id"])

    def set_up(self) -> None:
        """A card kept for later."""
        fields = self._session["_intent_data"] or {}
        intent = setup_intents.make(self._books, customer=self._customer(), **fields)
        if self.declined:
            setup_intents.fail(self._books, intent)
            return
        setup_intents.succeed(self._books, intent, self._card())
        self._complete(setup_intent=intent["id"])

    def subscribe(self) -> None:
        """A subscription with its first invoice. Since Basil it exists only once it is paid."""
        books, data = self._books, self._session["_subscription_data"]
        customer = str(self._customer())
        if self._method is not None:
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
            default_payment_method=None if self._method is None else self._method["id"],
            trial_settings=data["trial_settings"],
            _untold=late,
        )
        extra = [line for line in lines if not line[0]["recurring"]]
        invoice = invoices.first(books, subscription, extra=extra, tell=not late)
        if invoice["status"] == "open":
            invoice = paying.pay_invoice(books, invoice, self._card())
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

    def _card(self) -> Resource:
        if self._method is None:
            raise ValueError(f"session {self._session['id']} is not free: it cannot be completed without a card")
        return self._method

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
