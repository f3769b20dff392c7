from uuid import UUID

from sqlalchemy.orm import Mapped, relationship

from plainshop.models.base import Base, OfShop, within_shop


class Product(OfShop, Base):
    __tablename__ = "products"
    name: Mapped[str]
    description: Mapped[str]
    price_cents: Mapped[int]
    currency: Mapped[str]


class Order(OfShop, Base):
    """`pending` until paid or cancelled. Amounts are in the currency's minor unit and never change."""

    __tablename__ = "orders"
    customer_email: Mapped[str]
    status: Mapped[str]
    currency: Mapped[str]
    total_cents: Mapped[int]
    items: Mapped[list["OrderItem"]] = relationship(order_by="OrderItem.position", lazy="selectin")


class OrderItem(OfShop, Base):
    """Name and price as they were when the order was placed; the product may be gone."""

    __tablename__ = "order_items"
    __table_args__ = (within_shop("order_id", "orders"), within_shop("product_id", "products"))
    order_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None]
    name: Mapped[str]
    unit_cents: Mapped[int]
    quantity: Mapped[int]
