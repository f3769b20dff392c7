"""The shop, put together. `uvicorn shop.main:app`"""

from pathlib import Path

from holdtrue.assembly import compose
from holdtrue.modules.audit import Audit
from holdtrue.modules.auth import ARRIVED, Auth
from holdtrue.modules.email import Email
from holdtrue.modules.payments import CHECKOUT_LINES, PAYMENT_SETTLED, Payments
from holdtrue.modules.payments.contract import PAY, REFUND
from holdtrue.modules.payments.contract import READ as PAYMENTS_READ
from holdtrue.modules.tenancy import JOINING, TENANT_CREATED, Tenancy
from holdtrue.runtime import Module
from shop import bindings, orders, products
from shop.contract import CONTRACT, ORDER_PAID, ORDERS_READ, ORDERS_WRITE, PLACING, PRODUCTS_READ, PRODUCTS_WRITE
from shop.models import Base

VIEWER = (PRODUCTS_READ, ORDERS_READ)
CLERK = (*VIEWER, PRODUCTS_WRITE, ORDERS_WRITE, PAYMENTS_READ, PAY, REFUND)

shop = Module(
    contract=CONTRACT,
    routers=(products.router, orders.router),
    metadata=Base.metadata,
    migrations=Path(__file__).parent / "migrations",
)
assembly = compose(
    shop,
    Tenancy(roles={"owner": "*", "clerk": CLERK, "viewer": VIEWER}),
    Auth(),
    Payments(sample="{order_id}", approve_above=100_00),
    Email(),
    Audit(),
    bindings=[
        JOINING.bind(bindings.has_a_seat),
        PLACING.bind(bindings.is_payable),
        CHECKOUT_LINES.bind(bindings.price_of_order),
        PAYMENT_SETTLED.bind(bindings.pay_order),
        ORDER_PAID.bind(bindings.send_receipt),
        TENANT_CREATED.bind(bindings.send_welcome),
        ARRIVED.bind(bindings.log_arrival),
    ],
)
app = assembly.asgi
