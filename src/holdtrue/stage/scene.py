"""The scene: everybody signed in, every resource made once in each tenant, frozen. Every case starts from it."""

from __future__ import annotations

from dataclasses import dataclass

from holdtrue.stage.cast import Knowledge
from holdtrue.stage.database import Catalog, Snapshot
from holdtrue.stage.mail import Mailbox
from holdtrue.stage.payments import State


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a reset goes back to."""

    database: str
    """The frozen database that clones are taken from."""
    catalog: Catalog
    rows: Snapshot
    knowledge: Knowledge
    payments: State
    mailbox: Mailbox
