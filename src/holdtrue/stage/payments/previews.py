"""What an invoice would say, without anything happening (https://docs.stripe.com/api/invoices/create_preview)."""

from holdtrue.stage.payments import errors, invoice_objects, invoices, periods, prorations, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource
from holdtrue.stage.payments.subscription_params import changed_items, price_of, quantity, trial_end


def _preview(books: Books, params: Params) -> Resource:
    before = books.world.snapshot()
    try:
        details = params.nested("subscription_details")
        if params.has("subscription"):
            subscription = books.get("subscription", params.need("subscription"), param="subscription")
            invoice = _of_change(books, details, subscription)
        elif params.has("customer"):
            customer = books.get("customer", params.need("customer"), param="customer")
            invoice = _of_beginning(books, details, customer["id"])
        else:
            raise errors.invalid("You must pass either `customer` or `subscription`.", param="customer")
        start = books.get("customer", invoice["customer"])["balance"]
    finally:
        books.world.restore(before)
    after = start + invoice["total"]
    due = max(0, after)
    sums = {"amount_due": due, "amount_remaining": due, "starting_balance": start, "ending_balance": min(0, after)}
    return {**invoice, **sums, "id": f"upcoming_{invoice['id']}", "billing_reason": "upcoming", "auto_advance": False}


def _of_change(books: Books, details: Params, subscription: Resource) -> Resource:
    """The next invoice of a subscription, or the one that a change would bring at once."""
    behavior = details.choice("proration_behavior", prorations.BEHAVIORS) or "create_prorations"
    at = details.integer("proration_date") or books.now()
    if details.boolean("cancel_now"):
        if behavior != "none":
            prorations.credit_all(books, subscription)
        return invoices.draft(books, subscription, "subscription_update", period=False)
    if details.has("items"):
        data = changed_items(books, details, subscription)
        made = prorations.change_items(books, subscription, data, behavior=behavior, at=at)
        if made is not None:
            return made | {"status": "draft", "status_transitions": dict.fromkeys(made["status_transitions"])}
        subscription = books.get("subscription", subscription["id"])
    _, start = subscriptions.period(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    finish = periods.end(subscription["billing_cycle_anchor"], start, recurring)
    subscription |= {"status": "active", "items": subscriptions.with_period(subscription, start, finish)}
    return invoices.draft(books, subscription, "subscription_cycle")


def _of_beginning(books: Books, details: Params, customer: str) -> Resource:
    """The first invoice of a subscription that does not exist yet; without items, of what is pending."""
    entries = details.items("items")
    if not entries:
        if not invoice_objects.pending(books, customer):
            raise errors.refused("No upcoming invoices for customer: " + customer, code="invoice_upcoming_none")
        known = books.get("customer", customer)
        currency = invoice_objects.pending(books, customer)[0]["currency"]
        draft = invoice_objects.draft(books, known, currency, "manual", None)
        return invoices.include_pending(books, draft)
    lines = [(price_of(books, entry), quantity(entry)) for entry in entries]
    made = subscriptions.make(books, customer, lines, trial_end=trial_end(books, details))
    return invoices.draft(books, made, "subscription_create")


ROUTES = (Route("POST", "/v1/invoices/create_preview", _preview),)
