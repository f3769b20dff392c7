"""Does the database answer, is its schema this release's, and is our role as weak as it should be?"""

import time
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import false, select, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from plainshop.db import Database
from plainshop.models import Base

MIGRATIONS = Path(__file__).parent.parent / "alembic"
ROLE_POWERS = text("""
    SELECT r.rolsuper OR r.rolbypassrls OR EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(r.oid, c.relowner, 'USAGE'))
    FROM pg_roles r WHERE r.rolname = current_user
""")


class Readiness:
    """Has a connection of its own, so that a crowded pool does not make the app look dead."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
        self._known_good = False
        self._checked = 0.0

    def refuse_powerful_role(self) -> None:
        """Raises RuntimeError when the runtime role could step around row-level security or the audit log."""
        with self._database.plain() as session:
            if session.scalar(ROLE_POWERS):
                raise RuntimeError("DATABASE_URL names a role that is superuser, bypasses RLS or owns tables")

    def problem(self) -> str | None:
        """Why the app must not serve, or None. Tries each table and column that the code reads, as this role."""
        try:
            with self._database.plain() as session:
                revision = session.scalar(text("SELECT version_num FROM alembic_version"))
                if revision != self._head:
                    return "The database schema is not that of this release; run the migrations."
                for table in Base.metadata.sorted_tables:
                    session.execute(select(*table.c).where(false()))
        except ProgrammingError:
            return "The database schema is not that of this release; run the migrations."
        except SQLAlchemyError:
            return "The database does not answer."
        return None

    def doubt(self) -> None:
        self._known_good = False

    @property
    def known_good(self) -> bool:
        return self._known_good

    def admit(self) -> bool:
        """For every request: trusts a good answer until a query contradicts it, asks at most once a second else."""
        if not self._known_good and time.monotonic() - self._checked >= 1:
            self._known_good = self.problem() is None
            self._checked = time.monotonic()
        return self._known_good
