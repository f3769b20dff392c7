"""The shop's tables. Amounts are in the currency's minor unit."""

from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, relationship

from holdtrue.runtime import Model, TenantRow
from holdtrue.runtime.revisions import within_tenant


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Product(TenantRow, Base):
    __tablename__ = "products"
    name: Mapped[str]
    description: Mapped[str]
    price_cents: Mapped[int]
    currency: Mapped[str]


class Order(TenantRow, Base):
    """`pending` until paid or cancelled; what it is for and how much it costs never change."""

    __tablename__ = "orders"
    customer_email: Mapped[str]
    status: Mapped[str]
    currency: Mapped[str]
    total_cents: Mapped[int]
    payment_id: Mapped[UUID | None]
    items: Mapped[list["OrderItem"]] = relationship(order_by="OrderItem.position", lazy="selectin")


class OrderItem(TenantRow, Base):
    """Name and price as they were when the order was placed; the product may be gone."""

    __tablename__ = "order_items"
    __table_args__ = (within_tenant("order_id", "orders"), within_tenant("product_id", "products"))
    order_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None]
    name: Mapped[str]
    unit_cents: Mapped[int]
    quantity: Mapped[int]
