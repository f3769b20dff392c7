"""The catalogue."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Numeric, func, select, update

from holdtrue.contract import Call
from holdtrue.contract.document import Request
from holdtrue.runtime import Before, Limit, Router, Unit, UnitOfWork, flow, newest_first, own
from shop.contract import (
    PRODUCT,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    PRODUCT_REPLACED,
    PRODUCTS_READ,
    PRODUCTS_REPRICED,
    PRODUCTS_WRITE,
    ProductTold,
    Repriced,
)
from shop.fields import Answer, Body, Cents, Currency, Line, Prose
from shop.models import Product

router = Router(prefix="/products", tags=("products",))
_NEW = {"name": "Plate {unique}", "price_cents": 900, "currency": "eur"}
_MADE = Request(request="POST /products", as_="owner", json_=PRODUCT, capture={"product_id": "id"})


class ProductIn(Body):
    name: Line
    description: Prose = ""
    price_cents: Cents
    currency: Currency


class ProductOut(Answer):
    id: UUID
    name: str
    description: str
    price_cents: int
    currency: str


class ProductPage(Answer):
    items: list[ProductOut]


class Repricing(Body):
    percent: Annotated[Decimal, Field(ge=-90, le=900, decimal_places=2)]


@flow(emits=(PRODUCT_ADDED,))
async def add(unit: UnitOfWork, wanted: ProductIn) -> Product:
    product = Product(**wanted.model_dump())
    unit.session.add(product)
    await unit.emit(PRODUCT_ADDED, _told(product))
    return product


@flow(emits=(PRODUCT_REPLACED,))
async def replace(unit: UnitOfWork, product_id: UUID, wanted: ProductIn) -> Product:
    product = await own(unit, Product, product_id, lock=True)
    for name, value in wanted.model_dump().items():
        setattr(product, name, value)
    await unit.emit(PRODUCT_REPLACED, _told(product))
    return product


@flow(emits=(PRODUCT_REMOVED,))
async def remove(unit: UnitOfWork, product_id: UUID) -> None:
    product = await own(unit, Product, product_id, lock=True)
    await unit.session.delete(product)
    await unit.emit(PRODUCT_REMOVED, _told(product))


@flow(emits=(PRODUCTS_REPRICED,))
async def reprice(unit: UnitOfWork, percent: Decimal) -> Repriced:
    price = func.greatest(1, func.round(Product.price_cents.cast(Numeric) * (100 + percent) / 100))
    changed = await unit.session.scalars(update(Product).values(price_cents=price).returning(Product.id))
    told = Repriced(percent=str(percent), count=len(changed.all()))
    await unit.emit(PRODUCTS_REPRICED, told)
    return told


@router.get("", access=PRODUCTS_READ)
async def list_products(unit: Unit, before: Before = None, limit: Limit = 50) -> ProductPage:
    return ProductPage.model_validate({"items": await newest_first(unit, Product, before, limit)})


@router.post("", access=PRODUCTS_WRITE, status=201, rehearse=Call(json_=_NEW))
async def post(body: ProductIn, unit: Unit) -> ProductOut:
    return ProductOut.model_validate(await add(unit, body))


@router.post("/reprice", access=PRODUCTS_WRITE, rehearse=Call(json_={"percent": 10}))
async def post_reprice(body: Repricing, unit: Unit) -> Repriced:
    return await reprice(unit, body.percent)


@router.get("/{product_id}", access=PRODUCTS_READ)
async def read(product_id: UUID, unit: Unit) -> ProductOut:
    return ProductOut.model_validate(await own(unit, Product, product_id))


@router.put("/{product_id}", access=PRODUCTS_WRITE, rehearse=Call(json_=_NEW))
async def put(product_id: UUID, body: ProductIn, unit: Unit) -> ProductOut:
    return ProductOut.model_validate(await replace(unit, product_id, body))


@router.delete("/{product_id}", access=PRODUCTS_WRITE, rehearse=Call(before=[_MADE]))
async def delete(product_id: UUID, unit: Unit) -> None:
    await remove(unit, product_id)


async def on_sale(unit: UnitOfWork, wanted: set[UUID]) -> dict[UUID, Product]:
    """These products, locked against removal until the order refers to them."""
    query = select(Product).where(Product.id.in_(wanted)).order_by(Product.id)
    found = await unit.session.scalars(query.with_for_update(read=True, key_share=True))
    return {product.id: product for product in found}


def _told(product: Product) -> ProductTold:
    return ProductTold(product_id=product.id, price_cents=product.price_cents)
