"""The tables as the code reads them. The truth about constraints, policies and rights is in the migrations."""

from plainshop.models.base import Base
from plainshop.models.outbox import MailJob
from plainshop.models.payments import Checkout, Dispute, Payment, Refund, Subscription
from plainshop.models.people import Invitation, LoginSession, Member, PasswordReset, RefreshToken, Shop
from plainshop.models.records import AuditEvent, RateCounter, StripeEvent
from plainshop.models.trade import Order, OrderItem, Product

__all__ = [
    "AuditEvent",
    "Base",
    "Checkout",
    "Dispute",
    "Invitation",
    "LoginSession",
    "MailJob",
    "Member",
    "Order",
    "OrderItem",
    "PasswordReset",
    "Payment",
    "Product",
    "RateCounter",
    "RefreshToken",
    "Refund",
    "Shop",
    "StripeEvent",
    "Subscription",
]
