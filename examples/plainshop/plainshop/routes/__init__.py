from fastapi import APIRouter

from plainshop.routes import audit, auth, checkout, health, members, orders, products, shops, webhooks

routers: list[APIRouter] = [
    health.router,
    shops.router,
    auth.router,
    members.router,
    products.router,
    orders.router,
    checkout.router,
    webhooks.router,
    audit.router,
]
