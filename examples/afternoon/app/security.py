"""Passwords, tokens and the request dependencies."""
from dataclasses import dataclass
from datetime import timedelta

import bcrypt
import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from . import config
from .models import Member, SessionLocal, now

ACCESS_TTL = timedelta(minutes=30)
REFRESH_TTL = timedelta(days=30)
RESET_TTL = timedelta(hours=1)

bearer = HTTPBearer()


def get_db():
    with SessionLocal() as db:
        yield db


def hash_password(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()


def check_password(password: str, hashed: str) -> bool:
    return bcrypt.checkpw(password.encode(), hashed.encode())


def encode(claims: dict, kind: str, ttl: timedelta) -> str:
    return jwt.encode({**claims, "type": kind, "exp": now() + ttl}, config.SECRET_KEY, algorithm="HS256")


def decode(token: str) -> dict:
    try:
        return jwt.decode(token, config.SECRET_KEY, algorithms=["HS256"])
    except jwt.PyJWTError:
        raise HTTPException(401, "Invalid or expired token")


def claims_for(member: Member) -> dict:
    return {"sub": str(member.id), "shop_id": member.shop_id, "email": member.email, "role": member.role}


def issue_tokens(claims: dict) -> dict:
    """Access and refresh token. Everything a request needs is in the claims, so no database lookup per request."""
    return {
        "access_token": encode(claims, "access", ACCESS_TTL),
        "refresh_token": encode(claims, "refresh", REFRESH_TTL),
        "token_type": "bearer",
    }


@dataclass
class CurrentMember:
    id: int
    shop_id: int
    email: str
    role: str


def current_member(creds: HTTPAuthorizationCredentials = Depends(bearer)) -> CurrentMember:
    claims = decode(creds.credentials)
    try:
        return CurrentMember(int(claims["sub"]), claims["shop_id"], claims["email"], claims["role"])
    except KeyError:
        raise HTTPException(401, "Invalid token")


def require_role(*roles: str):
    """Dependency factory: Depends(require_role("owner", "clerk"))."""

    def check(member: CurrentMember = Depends(current_member)) -> CurrentMember:
        if member.role not in roles:
            raise HTTPException(403, "You don't have permission to do this")
        return member

    return check


require_owner = require_role("owner")
require_staff = require_role("owner", "clerk")
