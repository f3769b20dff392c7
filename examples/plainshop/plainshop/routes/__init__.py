from fastapi import APIRouter

from plainshop.routes import audit, auth, billing, checkout, health, members, orders, products, shops, webhooks

routers: list[APIRouter] = [
    health.router,
    shops.router,
    auth.router,
    members.router,
    products.router,
    orders.router,
    checkout.router,
    billing.router,
    webhooks.router,
    audit.router,
]
