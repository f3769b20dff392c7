"""The promise of payments: what it lets others decide, what it tells, and what needs whose approval."""

from __future__ import annotations

from datetime import timedelta

from holdtrue.contract import (
    Contract,
    Event,
    Guard,
    Job,
    OutboundHost,
    Permission,
    Schedule,
    Secret,
    SideEffect,
    Table,
    Transform,
    Variable,
    global_table,
)
from holdtrue.modules.payments.payloads import (
    CheckoutDue,
    CheckoutTold,
    DisputeTold,
    Notice,
    PaymentTold,
    Purchase,
    RefundAsked,
    RefundDue,
    RefundTold,
    Settlement,
    SubscriptionDue,
    SubscriptionTold,
    Sweep,
)

READ = Permission(name="payments.read", doc="see payments, refunds, disputes and the subscription")
PAY = Permission(name="payments.pay", doc="start a checkout")
SUBSCRIBE = Permission(name="payments.subscribe", doc="start and end the tenant's subscription")
REFUND = Permission(name="payments.refund", doc="ask for money to be given back")
APPROVE = Permission(name="payments.approve", doc="approve or decline refunds above the threshold")

CHECKOUT_LINES = Transform(
    name="payments.checkout_lines", payload=Purchase, money=True, doc="says what a reference is, and what it costs"
)
PAYMENT_SETTLED = Transform(
    name="payments.payment_settled",
    payload=Settlement,
    money=True,
    doc="fulfils a purchase in the transaction that records its money, or does not accept the money",
)
REFUND_ALLOWED = Guard(
    name="payments.refund_allowed", payload=RefundAsked, money=True, doc="may refuse a refund before it is kept"
)

CHECKOUT_STARTED = Event(name="payments.checkout_started", payload=CheckoutTold, audited=True, subject="checkout_id")
CHECKOUT_ENDED = Event(name="payments.checkout_ended", payload=CheckoutTold, audited=True, subject="checkout_id")
PAYMENT_RECEIVED = Event(name="payments.payment_received", payload=PaymentTold, audited=True, subject="payment_id")
REFUND_REQUESTED = Event(name="payments.refund_requested", payload=RefundTold, audited=True, subject="refund_id")
REFUND_APPROVED = Event(name="payments.refund_approved", payload=RefundTold, audited=True, subject="refund_id")
REFUND_DECLINED = Event(name="payments.refund_declined", payload=RefundTold, audited=True, subject="refund_id")
REFUND_SUCCEEDED = Event(name="payments.refund_succeeded", payload=RefundTold, audited=True, subject="refund_id")
REFUND_FAILED = Event(name="payments.refund_failed", payload=RefundTold, audited=True, subject="refund_id")
DISPUTE_OPENED = Event(name="payments.dispute_opened", payload=DisputeTold, audited=True, subject="dispute_id")
DISPUTE_CLOSED = Event(name="payments.dispute_closed", payload=DisputeTold, audited=True, subject="dispute_id")
SUBSCRIPTION_CHANGED = Event(
    name="payments.subscription_changed", payload=SubscriptionTold, audited=True, subject="subscription_id"
)
SUBSCRIPTION_ENDED = Event(
    name="payments.subscription_ended", payload=SubscriptionTold, audited=True, subject="subscription_id"
)
CANCELLATION_REQUESTED = Event(
    name="payments.cancellation_requested", payload=SubscriptionTold, audited=True, subject="subscription_id"
)

LANE = "stripe"
NOTICE = Job(name="payments.notice", payload=Notice, lane=LANE, attempts=20)
SEND_REFUND = Job(name="payments.send_refund", payload=RefundDue, lane=LANE, attempts=24)
CLOSE_CHECKOUT = Job(name="payments.close_checkout", payload=CheckoutDue, lane=LANE)
END_SUBSCRIPTION = Job(name="payments.end_subscription", payload=SubscriptionDue, lane=LANE, attempts=24)
RECONCILE = Job(name="payments.reconcile", payload=Sweep, lane="stripe_reconcile")

TABLES = (
    Table(name="payment_customers", unaudited="an id at the provider, made once for the tenant"),
    Table(name="payment_checkouts"),
    Table(name="payments"),
    Table(name="payment_refunds"),
    Table(name="payment_disputes"),
    Table(name="payment_subscriptions"),
    global_table("payment_reconciliations", "how far the provider's events were read; nothing of a tenant"),
)

CONTRACT = Contract(
    name="payments",
    version="1.0.0",
    doc="Checkout, subscriptions, refunds and disputes with Stripe.",
    permissions=(READ, PAY, SUBSCRIBE, REFUND, APPROVE),
    hooks=(CHECKOUT_LINES, PAYMENT_SETTLED, REFUND_ALLOWED),
    events=(
        *(CHECKOUT_STARTED, CHECKOUT_ENDED, PAYMENT_RECEIVED),
        *(REFUND_REQUESTED, REFUND_APPROVED, REFUND_DECLINED, REFUND_SUCCEEDED, REFUND_FAILED),
        *(DISPUTE_OPENED, DISPUTE_CLOSED, SUBSCRIPTION_CHANGED, SUBSCRIPTION_ENDED, CANCELLATION_REQUESTED),
    ),
    jobs=(NOTICE, SEND_REFUND, CLOSE_CHECKOUT, END_SUBSCRIPTION, RECONCILE),
    schedules=(Schedule(job=RECONCILE, every=timedelta(hours=1)),),
    tables=TABLES,
    secrets=(
        Secret(name="PAYMENTS_STRIPE_API_KEY", doc="Stripe's secret or restricted key", rehearse="{stripe_key}"),
        Secret(
            name="PAYMENTS_STRIPE_WEBHOOK_SECRETS",
            doc="signing secrets of the endpoint, comma separated: all of them count while one is replaced",
            rehearse="{stripe_webhook_secret}",
        ),
    ),
    variables=(Variable(name="PAYMENTS_RETURN_URL", rehearse="https://app.test/paid"),),
    hosts=(
        OutboundHost(host="api.stripe.com", why="checkouts, refunds, subscriptions, and reading what became of them"),
    ),
    effects=(
        SideEffect(name="payments.charging", doc="a Checkout session asks a customer for money", approval="plan"),
        SideEffect(name="payments.refunding", doc="gives money back", approval="request"),
        SideEffect(
            name="payments.returning", doc="sends back money that PAYMENT_SETTLED did not accept", approval="plan"
        ),
        SideEffect(name="payments.cancelling", doc="ends a subscription with its paid period"),
    ),
    guarantees=("PAY001", "PAY011"),
)
