"""Products and prices (https://docs.stripe.com/api/products and /prices)."""

from decimal import Decimal
from typing import Any

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource

INTERVALS = ("day", "week", "month", "year")
_ECHOED = ("images", "marketing_features", "package_dimensions", "shippable", "tax_code", "url")


def _product(books: Books, name: str, **fields: Any) -> Resource:
    product: Resource = {
        "id": books.new_id("product"),
        "object": "product",
        "active": True,
        "created": books.now(),
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": books.now(),
        "url": None,
        **fields,
    }
    books.save(product)
    books.emit("product.created", product)
    return product


def price_from(books: Books, params: Params, *, hidden: bool = False) -> Resource:
    """A new price from the parameters of a price, or of a `price_data` (hidden: inactive and without an event)."""
    currency = params.currency()
    amount, decimal = _amount(params)
    recurring = params.nested("recurring") if params.has("recurring") else None
    product = _product_of(books, params)
    price: Resource = {
        "id": books.new_id("price"),
        "object": "price",
        "active": not hidden and params.boolean("active") is not False,
        "billing_scheme": "per_unit",
        "created": books.now(),
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None if hidden else params.text("lookup_key"),
        "metadata": {} if hidden else params.metadata(),
        "nickname": None if hidden else params.text("nickname"),
        "product": product["id"],
        "recurring": None if recurring is None else _recurring(recurring),
        "tax_behavior": params.choice("tax_behavior", ("exclusive", "inclusive", "unspecified")) or "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": decimal,
    }
    books.save(price)
    if not hidden:
        books.emit("price.created", price)
    return price


def plan_of(price: Resource) -> Resource:
    """The legacy plan that Stripe shows beside a recurring price."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _amount(params: Params) -> tuple[int | None, str]:
    amount, decimal = params.integer("unit_amount", minimum=0), params.decimal("unit_amount_decimal")
    if amount is not None and decimal is not None:
        raise errors.invalid("You may only specify one of these parameters: unit_amount, unit_amount_decimal.")
    if amount is not None:
        return amount, str(amount)
    if decimal is None:
        raise errors.missing(params.name("unit_amount"))
    if decimal < 0:
        raise errors.invalid("Invalid non-negative decimal", param=params.name("unit_amount_decimal"))
    whole = decimal == decimal.to_integral_value()
    return (int(decimal) if whole else None), _plain(decimal)


def _plain(decimal: Decimal) -> str:
    return f"{decimal.normalize():f}"


def _recurring(params: Params) -> Resource:
    interval = params.need("interval")
    params.choice("interval", INTERVALS)
    return {
        "interval": interval,
        "interval_count": params.integer("interval_count", minimum=1) or 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": params.choice("usage_type", ("licensed",)) or "licensed",
    }


def _product_of(books: Books, params: Params) -> Resource:
    if params.has("product"):
        return books.get("product", params.need("product"), param=params.name("product"))
    if not params.has("product_data"):
        raise errors.missing(params.name("product"))
    data = params.nested("product_data")
    return _product(
        books,
        data.need("name"),
        description=data.text("description"),
        images=data.echo("images") or [],
        metadata=data.metadata(),
        tax_code=data.text("tax_code"),
    )


def _create_product(books: Books, params: Params) -> Resource:
    name = params.need("name")
    fields: dict[str, Any] = {key: params.echo(key) for key in _ECHOED if params.sent(key)}
    for key in ("description", "statement_descriptor", "unit_label"):
        fields[key] = params.text(key)
    if params.has("id"):
        fields["id"] = params.need("id")
        if books.store.get("product", fields["id"]) is not None:
            raise errors.refused("Product already exists.", param="id", code="resource_already_exists")
    active = params.boolean("active") is not False
    product = _product(books, name, metadata=params.metadata(), active=active, **fields)
    if params.has("default_price_data"):
        data = params.nested("default_price_data")
        data.values = {**data.values, "product": product["id"]}
        books.change(product, None, default_price=price_from(books, data)["id"])
    return product


def _update_product(books: Books, params: Params, identifier: str) -> Resource:
    product = books.live("product", identifier)
    changes: dict[str, Any] = {key: params.echo(key) for key in _ECHOED if params.sent(key)}
    for key in ("name", "description", "statement_descriptor", "unit_label"):
        if params.sent(key):
            changes[key] = params.text(key)
    if params.has("default_price"):
        changes["default_price"] = books.get("price", params.need("default_price"), param="default_price")["id"]
    if params.has("active"):
        changes["active"] = params.boolean("active")
    changes["metadata"] = params.metadata(product["metadata"])
    return books.change(product, "product.updated", updated=books.now(), **changes)


def _delete_product(books: Books, _: Params, identifier: str) -> Resource:
    product = books.live("product", identifier)
    if any(price["product"] == identifier for price in books.all("price")):
        raise errors.refused("This product cannot be deleted because it has one or more user-created prices.")
    books.emit("product.deleted", product)
    books.save({**product, "deleted": True})
    return {"id": identifier, "object": "product", "deleted": True}


def _list_products(books: Books, params: Params) -> Resource:
    active, ids = params.boolean("active"), params.texts("ids")
    found = [
        product
        for product in newest(books.all("product"))
        if active in (None, product["active"]) and (not ids or product["id"] in ids)
    ]
    return page(found, params, "/v1/products", kind="product")


def _create_price(books: Books, params: Params) -> Resource:
    key = params.text("lookup_key")
    holder = next((price for price in books.all("price") if key is not None and price["lookup_key"] == key), None)
    if holder is not None:
        if not params.boolean("transfer_lookup_key"):
            raise errors.refused(
                f"A price (`{holder['id']}`) already uses that lookup key. Use the 'transfer_lookup_key' parameter to "
                "transfer the key.",
                param="lookup_key",
            )
        books.change(holder, "price.updated", lookup_key=None)
    return price_from(books, params)


def _update_price(books: Books, params: Params, identifier: str) -> Resource:
    price = books.live("price", identifier)
    changes: dict[str, Any] = {key: params.text(key) for key in ("nickname", "lookup_key") if params.sent(key)}
    if params.has("active"):
        changes["active"] = params.boolean("active")
    return books.change(price, "price.updated", metadata=params.metadata(price["metadata"]), **changes)


def _list_prices(books: Books, params: Params) -> Resource:
    active, keys = params.boolean("active"), params.texts("lookup_keys")
    wanted = {name: params.text(name) for name in ("product", "currency", "type")}
    interval = params.nested("recurring").text("interval")
    found = [
        price
        for price in newest(books.all("price"))
        if active in (None, price["active"])
        and (not keys or price["lookup_key"] in keys)
        and all(value in (None, price[name]) for name, value in wanted.items())
        and (interval is None or (price["recurring"] or {}).get("interval") == interval)
    ]
    return page(found, params, "/v1/prices", kind="price")


def _search_prices(books: Books, params: Params) -> Resource:
    return search(newest(books.all("price")), params, "/v1/prices/search", fields=("product", "lookup_key", "currency"))


ROUTES = (
    Route("POST", "/v1/products", _create_product),
    Route("GET", "/v1/products", _list_products),
    Route("GET", "/v1/products/{id}", lambda books, _, identifier: books.get("product", identifier)),
    Route("POST", "/v1/products/{id}", _update_product),
    Route("DELETE", "/v1/products/{id}", _delete_product),
    Route("POST", "/v1/prices", _create_price),
    Route("GET", "/v1/prices", _list_prices),
    Route("GET", "/v1/prices/search", _search_prices),
    Route("GET", "/v1/prices/{id}", lambda books, _, identifier: books.get("price", identifier)),
    Route("POST", "/v1/prices/{id}", _update_price),
)
