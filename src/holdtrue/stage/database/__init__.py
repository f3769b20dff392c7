"""The database instrument: a real PostgreSQL, clones of the app's database, and what a scenario changed in it."""

from holdtrue.stage.database.catalog import Catalog, Column, ForeignKey, Table, catalog_of
from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.database.databases import ClonePool, Databases
from holdtrue.stage.database.errors import DatabaseError
from holdtrue.stage.database.rows import Changes, Difference, Snapshot, Update, difference, snapshot

__all__ = [
    "Catalog",
    "Changes",
    "ClonePool",
    "Cluster",
    "Column",
    "DatabaseError",
    "Databases",
    "Difference",
    "ForeignKey",
    "Snapshot",
    "Table",
    "Update",
    "catalog_of",
    "difference",
    "snapshot",
]
