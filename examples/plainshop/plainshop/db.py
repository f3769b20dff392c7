"""Transactions. Each is opened for one shop, for the system, or for neither; nothing outlives its `with` block.

Row-level security reads `app.shop_id` and `app.scope`, both set for the transaction only: a query outside a scope finds
no rows. It is the second line; every query names its shop as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from plainshop.settings import Settings


class Database:
    def __init__(self, settings: Settings, *, pool_size: int | None = None) -> None:
        limits = {
            "statement_timeout": f"{settings.statement_timeout}s",
            "lock_timeout": "10s",
            "idle_in_transaction_session_timeout": "60s",
        }
        self.engine = create_engine(
            settings.database_url.get_secret_value(),
            pool_size=pool_size or settings.db_pool_size,
            max_overflow=0,
            pool_timeout=20,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            },
        )
        self._sessions = sessionmaker(self.engine)

    @contextmanager
    def plain(self) -> Iterator[Session]:
        """For the tables that belong to no shop; commits at the end of the block."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def tenant(self, shop_id: UUID) -> Iterator[Session]:
        with self.plain() as session:
            enter_shop(session, shop_id)
            yield session

    @contextmanager
    def system(self) -> Iterator[Session]:
        """For finding out to which shop an event or a job belongs. Leave it by `enter_shop`."""
        with self.plain() as session:
            session.execute(select(func.set_config("app.scope", "system", True)))
            yield session

    def close(self) -> None:
        self.engine.dispose()


def enter_shop(session: Session, shop_id: UUID) -> None:
    """Narrow the transaction to one shop."""
    session.expunge_all()
    session.execute(select(func.set_config("app.scope", "", True), func.set_config("app.shop_id", str(shop_id), True)))
