import json
import secrets
from contextlib import asynccontextmanager

import stripe
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from . import config, services
from .models import Activity, Base, Invitation, Member, Order, OrderItem, Product, Shop, WebhookEvent, engine, now
from .schemas import (
    AcceptIn,
    ActivityOut,
    ForgotIn,
    InviteIn,
    LoginIn,
    MemberOut,
    OrderIn,
    OrderOut,
    ProductIn,
    ProductOut,
    RefreshIn,
    RefundIn,
    RepriceIn,
    ResetIn,
    RoleIn,
    ShopIn,
    ShopOut,
)
from .security import (
    RESET_TTL,
    CurrentMember,
    check_password,
    claims_for,
    current_member,
    decode,
    encode,
    get_db,
    hash_password,
    issue_tokens,
    require_owner,
    require_staff,
)
from .services import log_activity


@asynccontextmanager
async def lifespan(app: FastAPI):
    # make sure the schema is there, whatever environment we start in
    Base.metadata.create_all(engine)
    yield


app = FastAPI(title="Afternoon", lifespan=lifespan)


def get_or_404(db: Session, model, id: int):
    """Load a row by primary key or answer 404."""
    row = db.get(model, id)
    if row is None:
        raise HTTPException(404, f"{model.__name__} not found")
    return row


def find_member(db: Session, shop_slug: str, email: str) -> Member | None:
    return db.scalar(
        select(Member).join(Shop, Shop.id == Member.shop_id).where(Shop.slug == shop_slug, Member.email == email.lower())
    )


@app.get("/health")
def health():
    return {"ok": True}


# --- shops and auth -------------------------------------------------------------------------------
@app.post("/shops", status_code=201)
def create_shop(data: ShopIn, tasks: BackgroundTasks, db: Session = Depends(get_db)):
    if db.scalar(select(Shop).where(Shop.slug == data.slug)):
        raise HTTPException(409, "This slug is taken")
    shop = Shop(name=data.name, slug=data.slug)
    db.add(shop)
    db.flush()
    owner = Member(
        shop_id=shop.id,
        email=data.owner_email.lower(),
        name=data.owner_name,
        password_hash=hash_password(data.owner_password),
        role="owner",
    )
    db.add(owner)
    db.commit()
    log_activity(db, shop.id, owner.id, "shop.created", shop.name)
    tasks.add_task(services.send_welcome, owner.email, owner.name, shop)
    return {"shop": ShopOut.model_validate(shop), **issue_tokens(claims_for(owner))}


@app.post("/auth/login")
def login(data: LoginIn, db: Session = Depends(get_db)):
    member = find_member(db, data.shop, data.email)
    if not member or not check_password(data.password, member.password_hash):
        raise HTTPException(401, "Wrong email or password")
    return issue_tokens(claims_for(member))


@app.post("/auth/refresh")
def refresh(data: RefreshIn):
    claims = decode(data.refresh_token)
    if claims.get("type") != "refresh":
        raise HTTPException(401, "Not a refresh token")
    return issue_tokens({key: claims[key] for key in ("sub", "shop_id", "email", "role")})


@app.post("/auth/forgot", status_code=202)
def forgot_password(data: ForgotIn, tasks: BackgroundTasks, db: Session = Depends(get_db)):
    member = find_member(db, data.shop, data.email)
    if member:
        token = encode({"sub": str(member.id)}, "reset", RESET_TTL)
        tasks.add_task(services.send_reset, member.email, member.name, token)
    # same answer in both cases, so nobody can find out who has an account
    return {"detail": "If the account exists, a mail is on its way"}


@app.post("/auth/reset")
def reset_password(data: ResetIn, db: Session = Depends(get_db)):
    claims = decode(data.token)
    if claims.get("type") != "reset":
        raise HTTPException(401, "Not a reset token")
    member = get_or_404(db, Member, int(claims["sub"]))
    member.password_hash = hash_password(data.password)
    db.commit()
    log_activity(db, member.shop_id, member.id, "password.reset")
    return {"detail": "Password changed"}


# --- members --------------------------------------------------------------------------------------
@app.post("/members/invitations", status_code=201)
def invite_member(
    data: InviteIn, tasks: BackgroundTasks, me: CurrentMember = Depends(require_owner), db: Session = Depends(get_db)
):
    email = data.email.lower()
    if db.scalar(select(Member).where(Member.shop_id == me.shop_id, Member.email == email)):
        raise HTTPException(409, "Already a member")
    invitation = Invitation(shop_id=me.shop_id, email=email, role=data.role, token=secrets.token_urlsafe(32))
    db.add(invitation)
    db.commit()
    log_activity(db, me.shop_id, me.id, "member.invited", f"{email} as {data.role}")
    tasks.add_task(services.send_invitation, email, db.get(Shop, me.shop_id), data.role, invitation.token)
    return {"id": invitation.id, "email": email, "role": data.role}


@app.post("/members/accept", status_code=201)
def accept_invitation(data: AcceptIn, db: Session = Depends(get_db)):
    invitation = db.scalar(select(Invitation).where(Invitation.token == data.token))
    if not invitation:
        raise HTTPException(404, "Invitation not found")
    if db.scalar(select(Member).where(Member.shop_id == invitation.shop_id, Member.email == invitation.email)):
        raise HTTPException(409, "Already a member")
    member = Member(
        shop_id=invitation.shop_id,
        email=invitation.email,
        name=data.name,
        password_hash=hash_password(data.password),
        role=invitation.role,
    )
    db.add(member)
    db.commit()
    log_activity(db, member.shop_id, member.id, "member.joined", member.email)
    return issue_tokens(claims_for(member))


@app.get("/members", response_model=list[MemberOut])
def list_members(me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    return db.scalars(select(Member).where(Member.shop_id == me.shop_id).order_by(Member.id)).all()


@app.patch("/members/{member_id}", response_model=MemberOut)
def change_role(member_id: int, data: RoleIn, db: Session = Depends(get_db)):
    member = get_or_404(db, Member, member_id)
    member.role = data.role
    db.commit()
    return member


@app.delete("/members/{member_id}", status_code=204)
def remove_member(member_id: int, me: CurrentMember = Depends(require_owner), db: Session = Depends(get_db)):
    member = db.scalar(select(Member).where(Member.id == member_id, Member.shop_id == me.shop_id))
    if not member:
        raise HTTPException(404, "Member not found")
    if member.id == me.id:
        raise HTTPException(409, "You cannot remove yourself")
    db.delete(member)
    db.commit()
    log_activity(db, me.shop_id, me.id, "member.removed", member.email)


# --- products -------------------------------------------------------------------------------------
@app.get("/products", response_model=list[ProductOut])
def list_products(me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    return db.scalars(
        select(Product).where(Product.shop_id == me.shop_id, Product.deleted.is_(False)).order_by(Product.id)
    ).all()


@app.post("/products", status_code=201, response_model=ProductOut)
def create_product(data: ProductIn, me: CurrentMember = Depends(require_staff), db: Session = Depends(get_db)):
    product = Product(shop_id=me.shop_id, **data.model_dump())
    db.add(product)
    db.commit()
    log_activity(db, me.shop_id, me.id, "product.created", product.name)
    return product


@app.post("/products/reprice")
def reprice_products(data: RepriceIn, me: CurrentMember = Depends(require_owner), db: Session = Depends(get_db)):
    # one statement for the whole catalogue instead of loading every product
    result = db.execute(
        update(Product)
        .where(Product.shop_id == me.shop_id, Product.deleted.is_(False))
        .values(price_cents=func.round(Product.price_cents * (100 + data.percent) / 100))
    )
    db.commit()
    return {"updated": result.rowcount}


@app.get("/products/{product_id}", response_model=ProductOut)
def get_product(product_id: int, me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    return get_or_404(db, Product, product_id)


@app.put("/products/{product_id}", response_model=ProductOut)
def update_product(
    product_id: int, data: ProductIn, me: CurrentMember = Depends(require_staff), db: Session = Depends(get_db)
):
    product = get_or_404(db, Product, product_id)
    for key, value in data.model_dump().items():
        setattr(product, key, value)
    db.commit()
    log_activity(db, me.shop_id, me.id, "product.updated", product.name)
    return product


@app.delete("/products/{product_id}", status_code=204)
def delete_product(product_id: int, me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    product = get_or_404(db, Product, product_id)
    product.deleted = True
    db.commit()


# --- orders ---------------------------------------------------------------------------------------
@app.get("/orders", response_model=list[OrderOut])
def list_orders(me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    return db.scalars(select(Order).where(Order.shop_id == me.shop_id).order_by(Order.id.desc())).all()


@app.post("/orders", status_code=201, response_model=OrderOut)
def create_order(data: OrderIn, me: CurrentMember = Depends(require_staff), db: Session = Depends(get_db)):
    order = Order(shop_id=me.shop_id, customer_email=data.customer_email, total_cents=0)
    for item in data.items:
        product = get_or_404(db, Product, item.product_id)
        # the price always comes from the catalogue, never from the client
        order.items.append(OrderItem(product_id=product.id, quantity=item.quantity, price_cents=product.price_cents))
        order.total_cents += product.price_cents * item.quantity
        order.currency = product.currency
    db.add(order)
    db.commit()
    log_activity(db, me.shop_id, me.id, "order.created", f"#{order.id}")
    return order


@app.get("/orders/{order_id}", response_model=OrderOut)
def get_order(order_id: int, me: CurrentMember = Depends(current_member), db: Session = Depends(get_db)):
    return get_or_404(db, Order, order_id)


@app.post("/orders/{order_id}/cancel", response_model=OrderOut)
def cancel_order(order_id: int, me: CurrentMember = Depends(require_staff), db: Session = Depends(get_db)):
    order = get_or_404(db, Order, order_id)
    if order.status != "pending":
        raise HTTPException(409, "Only pending orders can be cancelled")
    order.status = "cancelled"
    db.commit()
    log_activity(db, me.shop_id, me.id, "order.cancelled", f"#{order.id}")
    return order


@app.post("/orders/{order_id}/checkout", status_code=201)
def checkout(order_id: int, me: CurrentMember = Depends(require_staff), db: Session = Depends(get_db)):
    order = get_or_404(db, Order, order_id)
    if order.status != "pending":
        raise HTTPException(409, "This order is not open")
    session = services.create_checkout(order)
    order.stripe_session_id = session.id
    db.commit()
    return {"checkout_url": session.url, "session_id": session.id}


@app.post("/orders/{order_id}/refund", response_model=OrderOut)
def refund_order(
    order_id: int, data: RefundIn, me: CurrentMember = Depends(require_owner), db: Session = Depends(get_db)
):
    order = get_or_404(db, Order, order_id)
    if order.status not in ("paid", "partially_refunded"):
        raise HTTPException(409, "This order is not paid")
    if order.refunded_cents + data.amount_cents > order.total_cents:
        raise HTTPException(422, "Cannot refund more than was paid")
    services.create_refund(order, data.amount_cents)
    order.refunded_cents += data.amount_cents
    order.status = "refunded" if order.refunded_cents == order.total_cents else "partially_refunded"
    db.commit()
    log_activity(db, me.shop_id, me.id, "order.refunded", f"#{order.id}: {data.amount_cents}")
    return order


# --- stripe webhook -------------------------------------------------------------------------------
@app.post("/webhooks/stripe")
async def stripe_webhook(request: Request, tasks: BackgroundTasks, db: Session = Depends(get_db)):
    payload = await request.body()
    signature = request.headers.get("stripe-signature")
    if signature and config.STRIPE_WEBHOOK_SECRET:
        try:
            stripe.Webhook.construct_event(payload, signature, config.STRIPE_WEBHOOK_SECRET)
        except (ValueError, stripe.SignatureVerificationError):
            raise HTTPException(400, "Invalid signature")
    event = json.loads(payload)

    # Stripe retries webhooks, so remember what we have already handled
    if db.get(WebhookEvent, event["id"]):
        return {"received": True}
    db.add(WebhookEvent(id=event["id"], type=event["type"]))
    db.commit()

    if event["type"] == "checkout.session.completed":
        session = event["data"]["object"]
        order = db.scalar(select(Order).where(Order.stripe_session_id == session["id"]))
        if order:
            order.status = "paid"
            order.paid_at = now()
            order.stripe_payment_intent = session.get("payment_intent")
            db.commit()
            log_activity(db, order.shop_id, None, "order.paid", f"#{order.id}")
            tasks.add_task(services.send_receipt, order, db.get(Shop, order.shop_id))
    return {"received": True}


# --- audit ----------------------------------------------------------------------------------------
@app.get("/audit", response_model=list[ActivityOut])
def audit(me: CurrentMember = Depends(require_owner), db: Session = Depends(get_db)):
    return db.scalars(select(Activity).where(Activity.shop_id == me.shop_id).order_by(Activity.id.desc()).limit(200)).all()
