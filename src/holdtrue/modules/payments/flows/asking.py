"""How a request asks Stripe: after its commit, and with an answer in words for the caller."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdtrue.modules.payments.errors import (
    ProviderAway,
    ProviderBusy,
    ProviderRefusal,
    ProviderRefused,
    ProviderSilent,
)
from holdtrue.runtime import UnitOfWork

R = TypeVar("R")
log = logging.getLogger(__name__)


async def asked(unit: UnitOfWork, call: Callable[[], Awaitable[R]]) -> R:
    """Commit, call, and go on in a new transaction.

    Raises:
        ProviderAway: nobody knows, or not now: the same again later.
        ProviderRefusal: a definite no.
    """
    try:
        async with unit.outside("stripe"):
            return await call()
    except (ProviderSilent, ProviderBusy) as error:
        log.warning("Stripe: %s", error)
        raise ProviderAway("The payment provider does not answer; try again.") from error
    except ProviderRefused as error:
        log.warning("Stripe refused: %s", error)
        raise ProviderRefusal(f"The payment provider refused: {error}.", keep=True) from error


def actor(unit: UnitOfWork) -> str:
    """Who acts, as rows and events name them; behind an API key, the person it acts for: nobody is two people."""
    principal = unit.context.principal
    return f"{principal.kind}:{principal.id}" if principal.user is None else f"user:{principal.user}"
