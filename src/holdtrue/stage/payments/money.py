"""Amounts, as Stripe's messages write them and as its limits count them."""

from holdtrue.stage.payments import errors

# https://docs.stripe.com/currencies#zero-decimal and #minimum-and-maximum-charge-amounts
ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
_MINIMUM = {
    "usd": 50,
    "eur": 50,
    "gbp": 30,
    "chf": 50,
    "cad": 50,
    "aud": 50,
    "jpy": 50,
    "sek": 300,
    "nok": 300,
    "dkk": 250,
}
_MAXIMUM = 99_999_999


def written(amount: int, currency: str) -> str:
    """`$12.34`, `¥500`, or `12.34 chf`."""
    number = f"{amount:,}" if currency in ZERO_DECIMAL else f"{amount / 100:,.2f}"
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency}"


def check_amount(amount: int, currency: str, *, param: str | None = "amount", what: str = "Amount") -> None:
    """Refuse what no card can be charged.

    Raises:
        StripeError: below Stripe's minimum for the currency, or above eight digits.
    """
    minimum = _MINIMUM.get(currency, 0)
    if amount < minimum:
        lowest = f"{written(minimum, currency)} {currency}" if currency in _SYMBOLS else written(minimum, currency)
        raise errors.invalid(f"{what} must be at least {lowest}", param=param, code="amount_too_small")
    if amount > _MAXIMUM:
        raise errors.invalid(
            f"{what} must be no more than {written(_MAXIMUM, currency)}", param=param, code="amount_too_large"
        )


def fee(amount: int) -> int:
    """Stripe's share of a card payment: 2.9 % and 30 minor units, as in its own examples."""
    return round(amount * 29 / 1000) + 30
