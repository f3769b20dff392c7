"""Runs as the owner role, one run at a time. A lock that cannot be had soon aborts the run: start it again."""

import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool, text

RUN_LOCK = 0x706C61696E73  # "plains"

if context.config.config_file_name and not context.config.attributes.get("keep_logging"):
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def owner_url() -> str:
    scheme, separator, rest = os.environ["MIGRATION_DATABASE_URL"].partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("MIGRATION_DATABASE_URL must be a postgresql:// URL")
    return f"postgresql+psycopg://{rest}"


def run() -> None:
    engine = create_engine(owner_url(), poolclass=pool.NullPool, hide_parameters=True)
    with engine.connect() as connection:
        # A session lock, so that it also holds across the commits between revisions.
        connection.execute(text("SET lock_timeout = '10min'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": RUN_LOCK})
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Offline migrations are not supported: the run lock needs a connection.")
run()
