"""The billing portal: sessions and configurations (https://docs.stripe.com/api/customer_portal)."""

from typing import Any

from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.prorations import BEHAVIORS
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

_REASONS = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)


def _configure(books: Books, params: Params, *, default: bool = False) -> Resource:
    business = params.nested("business_profile")
    identifier = books.new_id("billing_portal.configuration")
    login = bool(params.nested("login_page").boolean("enabled"))
    configuration: Resource = {
        "id": identifier,
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {
            name: business.text(name) for name in ("headline", "privacy_policy_url", "terms_of_service_url")
        },
        "created": books.now(),
        "default_return_url": params.text("default_return_url"),
        "features": _features(params.nested("features")),
        "is_default": default,
        "livemode": False,
        "login_page": {"enabled": login, "url": f"https://billing.stripe.com/p/login/{identifier}" if login else None},
        "metadata": params.metadata(),
        "name": params.text("name"),
        "updated": books.now(),
    }
    books.save(configuration)
    books.emit("billing_portal.configuration.created", configuration)
    return configuration


def _features(params: Params) -> Resource:
    update, cancel = params.nested("customer_update"), params.nested("subscription_cancel")
    change = params.nested("subscription_update")
    reason = cancel.nested("cancellation_reason")
    return {
        "customer_update": {
            "allowed_updates": update.texts("allowed_updates"),
            "enabled": bool(update.boolean("enabled")),
        },
        "invoice_history": {"enabled": bool(params.nested("invoice_history").boolean("enabled"))},
        "payment_method_update": {
            "enabled": bool(params.nested("payment_method_update").boolean("enabled")),
            "payment_method_configuration": None,
        },
        "subscription_cancel": {
            "cancellation_reason": {
                "enabled": bool(reason.boolean("enabled")),
                "feedback_options": None,
                "options": reason.texts("options") or list(_REASONS),
            },
            "enabled": bool(cancel.boolean("enabled")),
            "mode": cancel.choice("mode", ("at_period_end", "immediately")) or "at_period_end",
            "proration_behavior": cancel.choice("proration_behavior", BEHAVIORS) or "none",
        },
        "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": change.texts("default_allowed_updates"),
            "enabled": bool(change.boolean("enabled")),
            "products": [_product(one) for one in change.items("products")],
            "proration_behavior": change.choice("proration_behavior", BEHAVIORS) or "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def _product(params: Params) -> Resource:
    return {
        "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 1},
        "prices": params.texts("prices"),
        "product": params.need("product"),
    }


def _update(books: Books, params: Params, identifier: str) -> Resource:
    configuration = books.live("billing_portal.configuration", identifier)
    changes: dict[str, Any] = {name: params.text(name) for name in ("default_return_url", "name") if params.sent(name)}
    if params.has("active"):
        changes["active"] = params.boolean("active")
    if params.has("features"):
        named = params.nested("features")
        features = _features(named)
        changes["features"] = {**configuration["features"], **{name: features[name] for name in named.values}}
    changes["metadata"] = params.metadata(configuration["metadata"])
    return books.change(configuration, "billing_portal.configuration.updated", updated=books.now(), **changes)


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.boolean(name) for name in ("active", "is_default")}
    found = [
        one
        for one in newest(books.all("billing_portal.configuration"))
        if all(value in (None, one[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/billing_portal/configurations", kind="billing_portal.configuration")


def _default(books: Books) -> Resource:
    for one in books.all("billing_portal.configuration"):
        if one["is_default"]:
            return one
    on = {"enabled": "true"}
    wanted = dict.fromkeys(("invoice_history", "payment_method_update", "subscription_cancel"), on)
    return _configure(books, Params({"features": wanted}), default=True)


def _session(books: Books, params: Params) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")
    if params.has("configuration"):
        kind = "billing_portal.configuration"
        configuration = books.get(kind, params.need("configuration"), param="configuration")
    else:
        configuration = _default(books)
    identifier = books.new_id("billing_portal.session")
    session: Resource = {
        "id": identifier,
        "object": "billing_portal.session",
        "configuration": configuration["id"],
        "created": books.now(),
        "customer": customer["id"],
        "customer_account": None,
        "flow": params.echo("flow_data"),
        "livemode": False,
        "locale": params.text("locale"),
        "on_behalf_of": params.text("on_behalf_of"),
        "return_url": params.text("return_url") or configuration["default_return_url"],
        "url": f"https://billing.stripe.com/p/session/{identifier}",
    }
    books.save(session)
    books.emit("billing_portal.session.created", session)
    return session


ROUTES = (
    Route("POST", "/v1/billing_portal/sessions", _session),
    Route("POST", "/v1/billing_portal/configurations", _configure),
    Route("GET", "/v1/billing_portal/configurations", _list),
    Route(
        "GET",
        "/v1/billing_portal/configurations/{id}",
        lambda books, _, one: books.get("billing_portal.configuration", one),
    ),
    Route("POST", "/v1/billing_portal/configurations/{id}", _update),
)
