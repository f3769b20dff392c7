"""One object, in the shape of any API version: stored in the newest, taken back step by step for older ones."""

from collections.abc import Callable
from typing import Any

from holdtrue.stage.payments import errors, versions
from holdtrue.stage.payments.listing import listed
from holdtrue.stage.payments.store import AccountStore, Resource

_UI_MODES = {"hosted_page": "hosted", "embedded_page": "embedded", "elements": "custom"}
_MAX_DEPTH = 4


def shape(resource: Any, version: str, store: AccountStore) -> Any:
    """A copy in the shape of a version, without what only the double knows."""
    if isinstance(resource, list):
        return [shape(child, version, store) for child in resource]
    if not isinstance(resource, dict):
        return resource
    kind = resource.get("object")
    if kind == "event":
        return resource  # an event keeps the shape of the version it was made for
    if resource.get("deleted"):
        return {"id": resource["id"], "object": kind, "deleted": True}
    shown = {name: shape(value, version, store) for name, value in resource.items() if not name.startswith("_")}
    if kind in _OLDER:
        for since, step in _OLDER[kind]:
            if not versions.at_least(version, since):
                step(shown, resource, version, store)
    return shown


def expand(shown: Resource, path: str, version: str, store: AccountStore) -> None:
    """Replace ids by objects along a path such as `data.customer` or `latest_invoice.payments`, in place.

    Raises:
        StripeError: the path is too long, or names something that is neither an id nor a hidden list.
    """
    parts = path.split(".")
    if len(parts) - (parts[0] == "data") > _MAX_DEPTH:
        raise errors.invalid(f"You cannot expand more than {_MAX_DEPTH} levels of a property. (received {path})")
    _expand(shown, parts, path, version, store)


def _expand(node: Any, parts: list[str], path: str, version: str, store: AccountStore) -> None:
    if isinstance(node, list):
        for child in node:
            _expand(child, parts, path, version, store)
        return
    if not parts or not isinstance(node, dict):
        return
    name, rest = parts[0], parts[1:]
    if name not in node:
        hidden = _HIDDEN.get((str(node.get("object")), name))
        if hidden is None:
            raise errors.invalid(
                f"This property cannot be expanded ({path}). You may want to try expanding a nested property.",
                param="expand",
            )
        node[name] = shape(hidden(node, store), version, store)
    elif isinstance(node[name], str):
        found = store.find(node[name])
        if found is None:
            raise errors.invalid(f"This property cannot be expanded ({path}).", param="expand")
        node[name] = shape(found, version, store)
    _expand(node[name], rest, path, version, store)


def _own(kind: str, field: str, url: str) -> Callable[[Resource, AccountStore], Resource]:
    def build(node: Resource, store: AccountStore) -> Resource:
        data = [resource for resource in store.all(kind) if resource.get(field) == node["id"]]
        return listed(data[::-1] if kind == "refund" else data, url.format(id=node["id"]))

    return build


def _empty(url: str) -> Callable[[Resource, AccountStore], Resource]:
    return lambda node, store: listed([], url.format(id=node["id"]))


def _confirmation_secret(node: Resource, store: AccountStore) -> Resource | None:
    invoice = store.get("invoice", node["id"]) or {}
    intent = store.get("payment_intent", invoice.get("_payment_intent") or "")
    return None if intent is None else {"client_secret": intent["client_secret"], "type": "payment_intent"}


# Lists that Stripe leaves out unless they are asked for.
_HIDDEN: dict[tuple[str, str], Callable[[Resource, AccountStore], Resource | None]] = {
    ("charge", "refunds"): _own("refund", "charge", "/v1/charges/{id}/refunds"),
    ("checkout.session", "line_items"): _own("item", "_session", "/v1/checkout/sessions/{id}/line_items"),
    ("customer", "sources"): _empty("/v1/customers/{id}/sources"),
    ("customer", "subscriptions"): _own("subscription", "customer", "/v1/customers/{id}/subscriptions"),
    ("customer", "tax_ids"): _empty("/v1/customers/{id}/tax_ids"),
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("invoice", "payments"): _own("invoice_payment", "invoice", "/v1/invoice_payments?invoice={id}"),
}


def _session_before_dahlia(shown: Resource, _: Resource, version: str, store: AccountStore) -> None:
    shown["ui_mode"] = _UI_MODES.get(shown["ui_mode"], shown["ui_mode"])


def _subscription_before_basil(shown: Resource, _: Resource, version: str, store: AccountStore) -> None:
    items = shown["items"]["data"]
    for name in ("current_period_start", "current_period_end"):
        shown[name] = items[0][name]
        for item in items:
            del item[name]
    shown["discount"] = None
    shown["plan"] = items[0]["plan"] if len(items) == 1 else None
    shown["quantity"] = items[0]["quantity"] if len(items) == 1 else None
    shown.pop("billing_mode", None)


def _invoice_before_basil(shown: Resource, stored: Resource, version: str, store: AccountStore) -> None:
    details = (shown.pop("parent") or {}).get("subscription_details") or {}
    shown["subscription"] = details.get("subscription")
    shown["subscription_details"] = {"metadata": details.get("metadata")}
    shown["payment_intent"] = stored.get("_payment_intent")
    shown["charge"] = stored.get("_charge")
    shown["paid"] = shown["status"] == "paid"
    shown["paid_out_of_band"] = False
    shown["discount"] = None
    shown["tax"] = None
    shown["total_tax_amounts"] = shown.pop("total_taxes")


def _line_before_basil(shown: Resource, stored: Resource, version: str, store: AccountStore) -> None:
    parent = shown.pop("parent")
    details = parent["subscription_item_details"] or parent["invoice_item_details"]
    shown["price"] = _priced(shown.pop("pricing"), version, store)
    shown["type"] = "subscription" if parent["subscription_item_details"] else "invoiceitem"
    shown["proration"] = details["proration"]
    shown["subscription"] = details["subscription"]
    shown["subscription_item"] = details.get("subscription_item")
    shown["tax_amounts"] = shown.pop("taxes")


def _item_before_basil(shown: Resource, stored: Resource, version: str, store: AccountStore) -> None:
    details = (shown.pop("parent") or {}).get("subscription_details") or {}
    shown["subscription"] = details.get("subscription")
    shown["subscription_item"] = details.get("subscription_item")
    shown["price"] = price = _priced(shown.pop("pricing"), version, store)
    shown["unit_amount"] = stored["amount"] if price is None else price["unit_amount"]
    for name in ("proration_details", "net_amount"):
        del shown[name]


def _priced(pricing: Resource | None, version: str, store: AccountStore) -> Any:
    price = None if pricing is None else store.get("price", pricing["price_details"]["price"])
    return shape(price, version, store)


def _invoice_of(shown: Resource, stored: Resource, version: str, store: AccountStore) -> None:
    shown["invoice"] = stored.get("_invoice")


def _intent_with_charges(shown: Resource, _: Resource, version: str, store: AccountStore) -> None:
    data = [charge for charge in store.all("charge") if charge["payment_intent"] == shown["id"]]
    shown["charges"] = shape(listed(data[::-1], f"/v1/charges?payment_intent={shown['id']}"), version, store)


def _charge_with_refunds(shown: Resource, _: Resource, version: str, store: AccountStore) -> None:
    shown["refunds"] = shape(_HIDDEN["charge", "refunds"](shown, store), version, store)


def _product_features(shown: Resource, _: Resource, version: str, store: AccountStore) -> None:
    shown["features"] = shown.pop("marketing_features")


_Step = Callable[[Resource, Resource, str, AccountStore], None]

# Per kind: what to undo for versions older than the date, newest change first.
_OLDER: dict[str, tuple[tuple[str, _Step], ...]] = {
    "charge": ((versions.BASIL, _invoice_of), (versions.LATEST_CHARGE, _charge_with_refunds)),
    "checkout.session": ((versions.DAHLIA, _session_before_dahlia),),
    "invoice": ((versions.BASIL, _invoice_before_basil),),
    "invoiceitem": ((versions.BASIL, _item_before_basil),),
    "line_item": ((versions.BASIL, _line_before_basil),),
    "payment_intent": ((versions.BASIL, _invoice_of), (versions.LATEST_CHARGE, _intent_with_charges)),
    "product": ((versions.MARKETING_FEATURES, _product_features),),
    "subscription": ((versions.BASIL, _subscription_before_basil),),
}
