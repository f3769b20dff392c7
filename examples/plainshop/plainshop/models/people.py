from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from plainshop.models.base import Base, OfShop, within_shop


class Shop(Base):
    __tablename__ = "shops"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slug: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Member(OfShop, Base):
    __tablename__ = "members"
    email: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str]


class LoginSession(OfShop, Base):
    """One sign-in and all refresh tokens descended from it."""

    __tablename__ = "login_sessions"
    __table_args__ = (within_shop("member_id", "members"),)
    member_id: Mapped[UUID]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RefreshToken(OfShop, Base):
    __tablename__ = "refresh_tokens"
    __table_args__ = (within_shop("session_id", "login_sessions"),)
    session_id: Mapped[UUID]
    token_hash: Mapped[bytes]
    used_at: Mapped[datetime | None]


class PasswordReset(OfShop, Base):
    """Has the id of its mail. The token is derived from the id and the secret key, and stored nowhere."""

    __tablename__ = "password_resets"
    __table_args__ = (within_shop("member_id", "members"),)
    member_id: Mapped[UUID]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Invitation(OfShop, Base):
    """Dies with its inviter. The token is derived as that of a password reset."""

    __tablename__ = "invitations"
    __table_args__ = (within_shop("invited_by", "members"),)
    email: Mapped[str]
    role: Mapped[str]
    invited_by: Mapped[UUID]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
