from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Numeric, delete, func, select, update

from plainshop.access import Gate, permission
from plainshop.errors import NotFound
from plainshop.fields import Before, Body, Cents, Currency, Limit, Line, Prose
from plainshop.models import Product
from plainshop.paging import newest_first
from plainshop.unit import Unit

router = APIRouter(prefix="/products", tags=["products"])
Reading = Annotated[Gate, Depends(permission("products.read"))]
Writing = Annotated[Gate, Depends(permission("products.write"))]


class ProductIn(Body):
    name: Line
    description: Prose = ""
    price_cents: Cents
    currency: Currency


class ProductOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    description: str
    price_cents: int
    currency: str


class ProductPage(BaseModel):
    items: list[ProductOut]


class Repricing(Body):
    percent: Annotated[Decimal, Field(ge=-90, le=900, decimal_places=2)]


class Repriced(BaseModel):
    updated: int


@router.get("")
def list_products(gate: Reading, before: Before = None, limit: Limit = 50) -> ProductPage:
    with gate.enter() as unit:
        rows = newest_first(unit.session, Product, Product.created_at, unit.shop_id, before, limit)
        return ProductPage(items=[ProductOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(body: ProductIn, gate: Writing) -> ProductOut:
    with gate.enter() as unit:
        product = Product(shop_id=unit.shop_id, id=uuid4(), **body.model_dump())
        unit.session.add(product)
        unit.record("product.created", "product", product.id, price_cents=body.price_cents)
        return ProductOut.model_validate(product)


@router.post("/reprice")
def reprice(body: Repricing, gate: Writing) -> Repriced:
    with gate.enter() as unit:
        factor = (100 + body.percent) / 100
        price = func.greatest(1, func.round(Product.price_cents.cast(Numeric) * factor))
        changed = update(Product).where(Product.shop_id == unit.shop_id).values(price_cents=price)
        count = unit.session.connection().execute(changed).rowcount
        unit.record("products.repriced", "shop", unit.shop_id, percent=str(body.percent), count=count)
        return Repriced(updated=count)


@router.get("/{product_id}")
def read(product_id: UUID, gate: Reading) -> ProductOut:
    with gate.enter() as unit:
        return ProductOut.model_validate(_product(unit, product_id))


@router.put("/{product_id}")
def replace(product_id: UUID, body: ProductIn, gate: Writing) -> ProductOut:
    with gate.enter() as unit:
        product = _product(unit, product_id, lock=True)
        for name, value in body.model_dump().items():
            setattr(product, name, value)
        unit.record("product.replaced", "product", product_id, price_cents=body.price_cents)
        return ProductOut.model_validate(product)


@router.delete("/{product_id}", status_code=204)
def remove(product_id: UUID, gate: Writing) -> Response:
    with gate.enter() as unit:
        _product(unit, product_id, lock=True)
        unit.session.execute(delete(Product).where(Product.shop_id == unit.shop_id, Product.id == product_id))
        unit.record("product.removed", "product", product_id)
    return Response(status_code=204)


def _product(unit: Unit, product_id: UUID, *, lock: bool = False) -> Product:
    query = select(Product).where(Product.shop_id == unit.shop_id, Product.id == product_id)
    product = unit.session.scalar(query.with_for_update() if lock else query)
    if product is None:
        raise NotFound
    return product
