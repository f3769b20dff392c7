"""What the shop promises: who may do what, what it tells, what it lets others decide."""

from uuid import UUID

from holdtrue.contract import (
    Contract,
    Event,
    Guard,
    MailTemplate,
    Payload,
    Permission,
    Rehearsal,
    Table,
)
from holdtrue.contract.document import Request, Resource

PRODUCTS_READ = Permission(name="shop.products_read", doc="see the catalogue")
PRODUCTS_WRITE = Permission(name="shop.products_write", doc="change the catalogue")
ORDERS_READ = Permission(name="shop.orders_read", doc="see orders")
ORDERS_WRITE = Permission(name="shop.orders_write", doc="take and cancel orders")


class ProductTold(Payload):
    product_id: UUID
    price_cents: int


class Repriced(Payload):
    percent: str
    count: int


class OrderTold(Payload):
    order_id: UUID
    total_cents: int
    currency: str


class Receipt(Payload):
    order_id: UUID
    amount: str


class Welcome(Payload):
    shop: str


PRODUCT_ADDED = Event(name="shop.product_added", payload=ProductTold, audited=True, subject="product_id")
PRODUCT_REPLACED = Event(name="shop.product_replaced", payload=ProductTold, audited=True, subject="product_id")
PRODUCT_REMOVED = Event(name="shop.product_removed", payload=ProductTold, audited=True, subject="product_id")
PRODUCTS_REPRICED = Event(name="shop.products_repriced", payload=Repriced, audited=True, subject="percent")
ORDER_PLACED = Event(name="shop.order_placed", payload=OrderTold, audited=True, subject="order_id")
ORDER_CANCELLED = Event(name="shop.order_cancelled", payload=OrderTold, audited=True, subject="order_id")
ORDER_PAID = Event(name="shop.order_paid", payload=OrderTold, audited=True, subject="order_id", doc="its money is here")

PLACING = Guard(name="shop.placing", payload=OrderTold, doc="before an order is kept: may refuse it")

# No free text of anybody's reaches a mail to a stranger.
RECEIPT = MailTemplate(
    name="shop.receipt",
    payload=Receipt,
    subject="Your receipt",
    text="Thank you. We received {{ amount }} for your order {{ order_id }}.\n",
)
WELCOME = MailTemplate(
    name="shop.welcome",
    payload=Welcome,
    subject="Your shop {{ shop }} is open",
    text="Your shop {{ shop }} is open.\n",
)

PRODUCT = {"name": "Mug {canary}", "description": "{canary}", "price_cents": 1500, "currency": "eur"}
ORDER = {"customer_email": "{canary}@customer.test", "items": [{"product_id": "{product_id}", "quantity": 10}]}

CONTRACT = Contract(
    name="shop",
    version="1.0.0",
    doc="A catalogue, and orders for what is in it.",
    requires=("tenancy>=1.0", "auth>=1.0", "payments>=1.0", "email>=1.0", "audit>=1.0"),
    permissions=(PRODUCTS_READ, PRODUCTS_WRITE, ORDERS_READ, ORDERS_WRITE),
    events=(
        *(PRODUCT_ADDED, PRODUCT_REPLACED, PRODUCT_REMOVED, PRODUCTS_REPRICED),
        *(ORDER_PLACED, ORDER_CANCELLED, ORDER_PAID),
    ),
    hooks=(PLACING,),
    mails=(RECEIPT, WELCOME),
    tables=(Table(name="products"), Table(name="orders"), Table(name="order_items")),
    rehearsal=Rehearsal(
        resources={
            "product": Resource(
                as_="owner",
                steps=[Request(request="POST /products", json_=PRODUCT, capture={"product_id": "id"})],
            ),
            "order": Resource(
                as_="owner", steps=[Request(request="POST /orders", json_=ORDER, capture={"order_id": "id"})]
            ),
        }
    ),
)
