"""One table of calls that every SDK runs against a double of its own, with the same results.

`$name.path` stands for a value of an earlier answer. A call is named as in the Python SDK; where the Node SDK hangs it
elsewhere, `node` says where.
"""

from dataclasses import dataclass, field
from typing import Any

DAY = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Step:
    """A call of an SDK, or (`act`) something that happens at Stripe.

    `expect` holds paths of the answer or of the error; without any the call succeeds.
    """

    call: str = ""
    act: str = ""
    args: tuple[Any, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    node: str = ""
    name: str = ""
    expect: dict[str, Any] = field(default_factory=dict)


def call(path: str, *args: Any, name: str = "", node: str = "", options: Any = None, **expect: Any) -> Step:
    named = {path.replace("__", "."): value for path, value in expect.items()}
    return Step(call=path, args=args, name=name, node=node, options=options or {}, expect=named)


def act(path: str, *args: Any, **more: Any) -> Step:
    return Step(act=path, args=args, more=more)


HOOK = {"url": "https://app.example.com/hook", "enabled_events": ["invoice.paid", "charge.refunded"]}
URLS = {"success_url": "https://app.example.com/ok", "cancel_url": "https://app.example.com/no"}
TEA = {"quantity": 2, "price_data": {"currency": "eur", "unit_amount": 999, "product_data": {"name": "Tea"}}}
PAY = {"currency": "usd", "payment_method": "pm_card_visa", "confirm": True}

CATALOG = (
    call("products.create", {"name": "Pro", "metadata": {"tier": "2"}}, name="pro", active=True),
    call("products.update", "$pro.id", {"description": "For teams", "metadata": {"tier": ""}}, metadata={}),
    call(
        "prices.create",
        {"product": "$pro.id", "currency": "usd", "unit_amount": 3000, "recurring": {"interval": "month"}},
        name="monthly",
        recurring__interval="month",
    ),
    call("prices.create", {"product": "$pro.id", "currency": "usd", "unit_amount": 1000}, name="fee", type="one_time"),
    call("prices.update", "$fee.id", {"nickname": "Joining"}, nickname="Joining"),
    call("prices.list", {"product": "$pro.id", "limit": 1}, has_more=True),
    call("prices.search", {"query": "currency:'usd'"}),
    call("products.create", {"name": "Old"}, name="old"),
    call("products.delete", "$old.id", deleted=True),
    call("products.retrieve", "$old.id"),
    call("products.retrieve", "prod_nothing", code="resource_missing", status=404, type="InvalidRequestError"),
)

CUSTOMERS = (
    call("customers.create", {"email": "a@example.com", "metadata": {"tenant": "7"}}, name="a", email="a@example.com"),
    call("customers.create", {"email": "no"}, code="email_invalid", param="email"),
    call("customers.create", {"emial": "a@example.com"}, code="parameter_unknown", param="emial"),
    call("payment_methods.attach", "pm_card_visa", {"customer": "$a.id"}, name="card", customer="$a.id"),
    call(
        "customers.update",
        "$a.id",
        {"name": "Zoë", "invoice_settings": {"default_payment_method": "$card.id"}},
        name__="Zoë",
    ),
    call("customers.payment_methods.list", "$a.id", node="customers.listPaymentMethods", data__0__id="$card.id"),
    call("payment_methods.attach", "pm_card_mastercard", {"customer": "$a.id"}, name="spare"),
    call("payment_methods.detach", "$spare.id", customer=None),
    call("customers.search", {"query": "email:'a@example.com'"}, data__0__id="$a.id"),
    call("setup_intents.create", {"customer": "$a.id", "confirm": True, "payment_method": "pm_card_visa"}),
    call("setup_intents.create", {"customer": "$a.id"}, name="unset"),
    call("setup_intents.update", "$unset.id", {"description": "Later"}, description="Later"),
    call("setup_intents.cancel", "$unset.id", status="canceled"),
    call("setup_intents.list", {"customer": "$a.id"}, data__0__id="$unset.id"),
    call("payment_methods.update", "$card.id", {"card": {"exp_year": 2040}}, card__exp_year=2040),
    call(
        "customers.payment_methods.retrieve", "$a.id", "$card.id", node="customers.retrievePaymentMethod", id="$card.id"
    ),
    call(
        "setup_intents.create",
        {"customer": "$a.id", "confirm": True, "payment_method": "pm_card_chargeDeclined"},
        code="card_declined",
        type="CardError",
    ),
    call("customers.create", {"name": "Gone"}, options={"idempotency_key": "k-1"}, name="gone"),
    call("customers.create", {"name": "Gone"}, options={"idempotency_key": "k-1"}, id="$gone.id"),
    call("customers.create", {"name": "Other"}, options={"idempotency_key": "k-1"}, type="IdempotencyError"),
    call("customers.delete", "$gone.id", deleted=True),
    call("customers.list", {"email": "a@example.com"}, data__0__name="Zoë"),
)

CHECKOUT = (
    call("checkout.sessions.create", {**URLS, "mode": "payment", "line_items": [TEA]}, name="once", amount_total=1998),
    call("checkout.sessions.line_items.list", "$once.id", node="checkout.sessions.listLineItems"),
    act("customer.decline", "$once.id"),
    act("customer.pay", "$once.id"),
    call(
        "checkout.sessions.retrieve",
        "$once.id",
        {"expand": ["payment_intent.latest_charge.balance_transaction", "line_items"]},
        status="complete",
        payment_intent__latest_charge__balance_transaction__fee=88,
    ),
    call("checkout.sessions.expire", "$once.id", status=400, type="InvalidRequestError"),
    call("checkout.sessions.create", {**URLS, "mode": "payment", "line_items": [TEA]}, name="slow"),
    act("customer.pay_later", "$slow.id"),
    act("customer.settle", "$slow.id", succeeds=True),
    call("checkout.sessions.create", {**URLS, "mode": "payment", "line_items": [TEA]}, name="bad"),
    act("customer.pay_later", "$bad.id"),
    act("customer.settle", "$bad.id", succeeds=False),
    call("checkout.sessions.create", {**URLS, "mode": "setup", "currency": "usd", "customer": "$a.id"}, name="keep"),
    act("customer.decline", "$keep.id"),
    act("customer.pay", "$keep.id"),
    call("checkout.sessions.create", {**URLS, "mode": "payment", "line_items": [TEA]}, name="left"),
    call("checkout.sessions.expire", "$left.id", status="expired"),
    call(
        "checkout.sessions.create",
        {
            **URLS,
            "mode": "subscription",
            "line_items": [{"price": "$monthly.id", "quantity": 1}, {"price": "$fee.id", "quantity": 1}],
            "subscription_data": {"metadata": {"tenant": "8"}},
        },
        name="join",
        amount_total=4000,
    ),
    act("customer.pay", "$join.id"),
    call(
        "checkout.sessions.create",
        {
            **URLS,
            "mode": "subscription",
            "line_items": [{"price": "$monthly.id", "quantity": 1}],
            "payment_method_collection": "if_required",
            "subscription_data": {
                "trial_period_days": 5,
                "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
            },
        },
        name="taste",
        amount_total=0,
    ),
    act("customer.pay", "$taste.id", card=None),
    call("checkout.sessions.list", {"status": "complete"}),
)

PAYMENTS = (
    call("payment_intents.create", {"amount": 5000, **PAY, "customer": "$a.id"}, name="paid", status="succeeded"),
    call("payment_intents.create", {"amount": 10, "currency": "usd"}, code="amount_too_small", param="amount"),
    call("payment_intents.create", {"currency": "usd"}, code="parameter_missing", param="amount"),
    call("charges.update", "$paid.latest_charge", {"description": "One"}, description="One"),
    call("refunds.create", {"payment_intent": "$paid.id", "amount": 1000}, name="part", status="succeeded"),
    call("refunds.create", {"payment_intent": "$paid.id", "amount": 1000, "reason": "duplicate"}, amount=1000),
    call("refunds.create", {"payment_intent": "$paid.id", "amount": 3001}, param="amount", status=400),
    call("refunds.update", "$part.id", {"metadata": {"ticket": "9"}}, metadata__ticket="9"),
    call("refunds.list", {"charge": "$paid.latest_charge"}, data__1__id="$part.id"),
    call(
        "charges.retrieve",
        "$paid.latest_charge",
        {"expand": ["refunds", "balance_transaction"]},
        amount_refunded=2000,
        refunded=False,
        refunds__data__1__id="$part.id",
    ),
    call(
        "payment_intents.create",
        {**PAY, "amount": 900, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"},
        type="CardError",
        code="card_declined",
        decline_code="insufficient_funds",
        status=402,
    ),
    call(
        "payment_intents.create",
        {**PAY, "amount": 900, "payment_method": "pm_card_authenticationRequired", "off_session": True},
        code="authentication_required",
    ),
    call(
        "payment_intents.create",
        {**PAY, "amount": 900, "payment_method": "pm_card_authenticationRequired"},
        name="asked",
        status="requires_action",
    ),
    act("customer.confirm", "$asked.id"),
    call("payment_intents.create", {"amount": 800, **PAY, "capture_method": "manual"}, name="held"),
    call("payment_intents.capture", "$held.id", {"amount_to_capture": 500}, amount_received=500, status="succeeded"),
    call("payment_intents.create", {"amount": 800, **PAY, "capture_method": "manual"}, name="dropped"),
    call("payment_intents.cancel", "$dropped.id", status="canceled"),
    call("payment_intents.confirm", "$dropped.id", code="payment_intent_unexpected_state"),
    call("payment_intents.search", {"query": "status:'succeeded'"}),
    act("bank.script_refunds", "pending"),
    call("refunds.create", {"charge": "$held.latest_charge", "amount": 100}, name="waits", status="pending"),
    act("bank.settle_refund", "$waits.id", "succeeded"),
    act("bank.script_refunds", "failed"),
    call("refunds.create", {"charge": "$held.latest_charge", "amount": 100}, status="failed"),
    call("balance.retrieve"),
    call("balance_transactions.list", {"type": "refund", "limit": 2}),
)

DISPUTES = (
    call("payment_intents.create", {"amount": 7000, **PAY, "payment_method": "pm_card_createDispute"}, name="lied"),
    call("disputes.list", {"charge": "$lied.latest_charge"}, name="open", data__0__status="needs_response"),
    call("refunds.create", {"payment_intent": "$lied.id"}, code="charge_disputed"),
    call("disputes.update", "$open.data.0.id", {"evidence": {"receipt": "file_1"}, "submit": False}),
    call(
        "disputes.update",
        "$open.data.0.id",
        {"evidence": {"uncategorized_text": "winning_evidence"}},
        status="won",
        balance_transactions__1__reporting_category="dispute_reversal",
    ),
    call(
        "payment_intents.create", {"amount": 7000, **PAY, "payment_method": "pm_card_createDisputeInquiry"}, name="ask"
    ),
    call("disputes.list", {"charge": "$ask.latest_charge"}, name="inquiry", data__0__status="warning_needs_response"),
    act("bank.escalate", "$inquiry.data.0.id"),
    call("disputes.close", "$inquiry.data.0.id", status="lost"),
)

EVENTS = (
    call("events.list", {"types": ["charge.refunded", "refund.created"], "limit": 2}, has_more=True, name="told"),
    call("events.list", {"ending_before": "$told.data.1.id", "type": "charge.*"}),
    call("events.retrieve", "$told.data.0.id", id="$told.data.0.id"),
)

SUBSCRIPTIONS = (
    call(
        "subscriptions.create", {"customer": "$a.id", "items": [{"price": "$monthly.id"}]}, name="sub", status="active"
    ),
    call(
        "subscriptions.update",
        "$sub.id",
        {"items": [{"id": "$sub.items.data.0.id", "quantity": 3}], "proration_behavior": "always_invoice"},
        items__data__0__quantity=3,
    ),
    call(
        "invoices.create_preview",
        {"subscription": "$sub.id", "subscription_details": {"items": [{"id": "$sub.items.data.0.id", "quantity": 1}]}},
        total=-3000,
        amount_due=0,
        billing_reason="upcoming",
    ),
    call("invoices.create_preview", {"subscription": "$sub.id"}, total=9000),
    call(
        "invoices.create_preview",
        {"customer": "$a.id", "subscription_details": {"items": [{"price": "$monthly.id", "quantity": 2}]}},
        total=6000,
    ),
    call("subscriptions.retrieve", "$sub.id", items__data__0__quantity=3),
    call("subscription_items.list", {"subscription": "$sub.id"}, data__0__quantity=3),
    call("subscription_items.create", {"subscription": "$sub.id", "price": "$monthly.id"}, name="extra"),
    call("subscription_items.update", "$extra.id", {"quantity": 2}, quantity=2),
    call("subscription_items.delete", "$extra.id", deleted=True),
    call("subscriptions.update", "$sub.id", {"cancel_at_period_end": True}, cancel_at_period_end=True),
    call("subscriptions.update", "$sub.id", {"cancel_at_period_end": False}, cancel_at=None),
    call("subscriptions.list", {"customer": "$a.id"}, data__0__id="$sub.id"),
    call("subscriptions.pause", "$sub.id", status="paused"),
    call("subscriptions.resume", "$sub.id", status="active"),
    act("bank.decline_customer", "$a.id"),
    act("advance", 32 * DAY),
    call("subscriptions.retrieve", "$sub.id", {"expand": ["latest_invoice.payments"]}, name="late", status="past_due"),
    act("bank.decline_customer", "$a.id", None),
    act("advance", 3 * DAY),
    call("subscriptions.retrieve", "$sub.id", status="active"),
    call("subscriptions.search", {"query": "status:'active'"}, data__0__id="$sub.id"),
    call("subscriptions.cancel", "$sub.id", {"invoice_now": True}, status="canceled"),
    call("subscriptions.cancel", "$sub.id", code="resource_missing", status=404),
    call("subscriptions.create", {"customer": "$a.id", "items": []}, param="items"),
    call(
        "subscriptions.create",
        {"customer": "$a.id", "items": [{"price": "$monthly.id"}], "payment_behavior": "default_incomplete"},
        status="incomplete",
    ),
    act("advance", DAY),
    call(
        "subscriptions.create",
        {
            "customer": "$a.id",
            "items": [{"price": "$monthly.id"}],
            "collection_method": "send_invoice",
            "days_until_due": 3,
        },
        name="sent",
        status="active",
    ),
    act("advance", 4 * DAY),
    act("customer.replace_card", "$a.id", card="pm_card_authenticationRequired"),
    call("subscriptions.create", {"customer": "$a.id", "items": [{"price": "$monthly.id"}]}, status="incomplete"),
)

INVOICES = (
    call("invoice_items.create", {"customer": "$a.id", "amount": 700, "currency": "usd"}, name="item"),
    call("invoice_items.delete", "$item.id", deleted=True),
    call("invoice_items.create", {"customer": "$a.id", "pricing": {"price": "$fee.id"}, "quantity": 2}, amount=2000),
    call(
        "invoices.create",
        {"customer": "$a.id", "auto_advance": False, "pending_invoice_items_behavior": "include"},
        name="bill",
        status="draft",
    ),
    call("invoices.update", "$bill.id", {"description": "Thanks"}, description="Thanks"),
    call("invoices.finalize_invoice", "$bill.id", status="open"),
    call("invoices.pay", "$bill.id", {"payment_method": "pm_card_chargeDeclined"}, code="card_declined"),
    call("invoices.mark_uncollectible", "$bill.id", status="uncollectible"),
    call("invoices.pay", "$bill.id", {"payment_method": "pm_card_visa"}, status="paid"),
    call("invoices.pay", "$bill.id", code="invoice_already_paid"),
    call("invoices.line_items.list", "$bill.id", node="invoices.listLineItems"),
    call("invoice_payments.list", {"invoice": "$bill.id"}),
    call("invoices.create", {"customer": "$a.id", "auto_advance": False}, name="none"),
    call("invoices.delete", "$none.id", deleted=True),
    call(
        "invoices.create", {"customer": "$a.id", "collection_method": "send_invoice", "days_until_due": 9}, name="void"
    ),
    call("invoice_items.create", {"customer": "$a.id", "invoice": "$void.id", "amount": 300, "currency": "usd"}),
    call("invoices.send_invoice", "$void.id", status="open"),
    call("invoices.void_invoice", "$void.id", status="void"),
    call("invoices.search", {"query": "status:'void'"}, data__0__id="$void.id"),
    call("invoices.list", {"customer": "$a.id", "status": "paid", "limit": 3}),
)

ACCOUNT = (
    call("webhook_endpoints.create", HOOK, name="hook", status="enabled"),
    call("webhook_endpoints.create", {**HOOK, "enabled_events": ["charge.*"]}, param="enabled_events[0]"),
    call("webhook_endpoints.update", "$hook.id", {"disabled": True}, status="disabled"),
    call("webhook_endpoints.list", {}),
    call("webhook_endpoints.delete", "$hook.id", deleted=True),
    call("accounts.create", {"type": "express", "email": "b@example.com"}, name="shop", charges_enabled=False),
    call("accounts.update", "$shop.id", {"metadata": {"city": "Bern"}}, metadata__city="Bern"),
    call(
        "account_links.create",
        {
            "account": "$shop.id",
            "type": "account_onboarding",
            "return_url": "https://app.example.com",
            "refresh_url": "https://app.example.com",
        },
    ),
    call("products.create", {"name": "Theirs"}, options={"stripe_account": "$shop.id"}, name="theirs"),
    call("products.retrieve", "$theirs.id", code="resource_missing"),
    call("products.list", {}, options={"stripe_account": "acct_nobody"}, type="PermissionError", status=403),
    call(
        "billing_portal.configurations.create",
        {
            "name": "Mild",
            "features": {
                "subscription_cancel": {"enabled": True, "mode": "immediately"},
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["quantity"],
                    "products": [{"product": "$pro.id", "prices": ["$monthly.id"]}],
                },
            },
        },
        name="mild",
        features__subscription_cancel__mode="immediately",
    ),
    call("billing_portal.configurations.update", "$mild.id", {"active": False}, active=False),
    call("billing_portal.configurations.list", {"active": False}, data__0__id="$mild.id"),
    call("billing_portal.sessions.create", {"customer": "$a.id", "configuration": "bpc_no"}, param="configuration"),
    call("billing_portal.sessions.create", {"customer": "$a.id", "return_url": "https://app.example.com"}),
    call("topups.list", {}, status=404, type="InvalidRequestError"),
)

TABLE = (*CATALOG, *CUSTOMERS, *CHECKOUT, *PAYMENTS, *DISPUTES, *EVENTS, *SUBSCRIPTIONS, *INVOICES, *ACCOUNT)
