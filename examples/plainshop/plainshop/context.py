"""What every route can reach: made once at startup, handed on by dependency."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request

from plainshop.db import Database
from plainshop.settings import Settings
from plainshop.stripe_api import StripeApi
from plainshop.tokens import Tokens
from plainshop.unit import PUBLIC, Unit, work


@dataclass(frozen=True, kw_only=True)
class Context:
    settings: Settings
    database: Database
    tokens: Tokens
    stripe: StripeApi
    request_id: str

    def public_work(self, shop_id: UUID) -> AbstractContextManager[Unit]:
        return work(self.database, shop_id, PUBLIC, self.request_id)


def request_context(request: Request) -> Context:
    state = request.app.state
    return Context(
        settings=state.settings,
        database=state.database,
        tokens=state.tokens,
        stripe=state.stripe,
        request_id=request.state.request_id,
    )
