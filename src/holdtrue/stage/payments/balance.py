"""The balance and its transactions (https://docs.stripe.com/api/balance_transactions)."""

from typing import Any

from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

_SETTLES_AFTER = 2 * 24 * 3600


def record(
    books: Books,
    kind: str,
    amount: int,
    source: Resource,
    *,
    category: str | None = None,
    fee: int = 0,
    fee_for: str = "Stripe processing fees",
) -> str:
    """Book a movement of money (negative: out), less a fee, and answer its id."""
    details: list[dict[str, Any]] = []
    if fee:
        details.append(
            {
                "amount": fee,
                "application": None,
                "currency": source["currency"],
                "description": fee_for,
                "type": "stripe_fee",
            }
        )
    transaction: Resource = {
        "id": books.new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": books.now() + _SETTLES_AFTER,
        "balance_type": "payments",
        "created": books.now(),
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details,
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }
    return str(books.save(transaction)["id"])


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("type", "source", "currency")}
    found = [
        transaction
        for transaction in newest(books.all("balance_transaction"))
        if all(value in (None, transaction[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/balance_transactions", kind="balance_transaction")


def _balance(books: Books, _: Params) -> Resource:
    pending: dict[str, int] = {}
    available: dict[str, int] = {}
    for transaction in books.all("balance_transaction"):
        side = available if transaction["available_on"] <= books.now() else pending
        side[transaction["currency"]] = side.get(transaction["currency"], 0) + transaction["net"]
    return {
        "object": "balance",
        "available": [_sum(currency, amount) for currency, amount in sorted(available.items())],
        "livemode": False,
        "pending": [_sum(currency, amount) for currency, amount in sorted(pending.items())],
    }


def _sum(currency: str, amount: int) -> Resource:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


ROUTES = (
    Route("GET", "/v1/balance", _balance),
    Route("GET", "/v1/balance_transactions", _list),
    Route("GET", "/v1/balance_transactions/{id}", lambda books, _, one: books.get("balance_transaction", one)),
)
