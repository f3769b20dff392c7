from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, EmailStr, Field

Role = Literal["owner", "clerk", "viewer"]


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ShopIn(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    slug: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    owner_email: EmailStr
    owner_password: str = Field(min_length=8)
    owner_name: str = Field(min_length=1, max_length=200)


class ShopOut(Out):
    id: int
    name: str
    slug: str


class LoginIn(BaseModel):
    shop: str
    email: str
    password: str


class RefreshIn(BaseModel):
    refresh_token: str


class ForgotIn(BaseModel):
    shop: str
    email: str


class ResetIn(BaseModel):
    token: str
    password: str = Field(min_length=8)


class InviteIn(BaseModel):
    email: EmailStr
    role: Role = "viewer"


class AcceptIn(BaseModel):
    token: str
    name: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=8)


class RoleIn(BaseModel):
    role: Role


class MemberOut(Out):
    id: int
    email: str
    name: str
    role: str


class ProductIn(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    price_cents: int = Field(gt=0)
    currency: str = Field("eur", pattern=r"^[a-z]{3}$")


class ProductOut(ProductIn, Out):
    id: int


class RepriceIn(BaseModel):
    percent: int = Field(ge=-90, le=500)


class ItemIn(BaseModel):
    product_id: int
    quantity: int = Field(gt=0, le=1000)


class OrderIn(BaseModel):
    customer_email: EmailStr
    items: list[ItemIn] = Field(min_length=1)


class ItemOut(Out):
    product_id: int
    quantity: int
    price_cents: int


class OrderOut(Out):
    id: int
    customer_email: str
    status: str
    total_cents: int
    refunded_cents: int
    currency: str
    items: list[ItemOut]
    created_at: datetime
    paid_at: datetime | None


class RefundIn(BaseModel):
    amount_cents: int = Field(gt=0)


class ActivityOut(Out):
    id: int
    member_id: int | None
    action: str
    detail: str
    created_at: datetime
