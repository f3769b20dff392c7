"""Sign-up of a shop with its owner."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError

from plainshop.context import Context, request_context
from plainshop.errors import Conflict
from plainshop.fields import Body, Email, Line, NewPassword, Slug
from plainshop.limits import within_limit
from plainshop.mail import enqueue
from plainshop.models import Member, Shop
from plainshop.passwords import hash_password
from plainshop.routes.slots import hashing_slot
from plainshop.sessions import open_session

router = APIRouter(tags=["shops"])


class NewShop(Body):
    name: Line
    slug: Slug
    owner_email: Email
    owner_password: NewPassword
    owner_name: Line


class ShopOut(BaseModel):
    id: UUID
    name: str
    slug: str


class OpenedShop(BaseModel):
    shop: ShopOut
    access_token: str
    refresh_token: str


@router.post("/shops", status_code=201, dependencies=[hashing_slot])
def open_shop(body: NewShop, context: Annotated[Context, Depends(request_context)]) -> OpenedShop:
    shop_id, owner_id = uuid4(), uuid4()
    password_hash = hash_password(body.owner_password)
    try:
        with context.public_work(shop_id) as unit:
            unit.session.add(Shop(id=shop_id, slug=body.slug, name=body.name))
            unit.session.flush()
            owner = Member(
                shop_id=shop_id,
                id=owner_id,
                email=body.owner_email,
                name=body.owner_name,
                role="owner",
                password_hash=password_hash,
            )
            unit.session.add(owner)
            unit.session.flush()
            pair = open_session(unit, context, owner_id)
            unit.record("shop.opened", "shop", shop_id, owner_id=str(owner_id))
            # Anybody can sign up with a stranger's address; the stranger gets only so much mail of it.
            hourly = context.settings.mail_limit_per_hour
            if within_limit(unit.session, f"mail:{body.owner_email}", hourly, timedelta(hours=1)):
                enqueue(unit, "welcome", owner_id, body.owner_email)
    except IntegrityError as error:
        raise Conflict("This slug is taken.") from error
    shop = ShopOut(id=shop_id, name=body.name, slug=body.slug)
    return OpenedShop(shop=shop, access_token=pair.access_token, refresh_token=pair.refresh_token)
