"""The database instrument: a real PostgreSQL, clones of the app's database, and what a scenario changed in it."""

from holdtrue.stage.database.ageing import Unaged, age
from holdtrue.stage.database.catalog import Catalog, Column, ForeignKey, Table, catalog_of
from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.database.databases import ClonePool, Databases
from holdtrue.stage.database.dump import SchemaDump, schema_difference, schema_dump
from holdtrue.stage.database.errors import DatabaseError
from holdtrue.stage.database.failing import Operation, failing
from holdtrue.stage.database.filling import Filled, fill
from holdtrue.stage.database.fingerprint import Fingerprint
from holdtrue.stage.database.learning import Learned, learn, retries
from holdtrue.stage.database.noise import Bookkeeping, Noise, NoisyColumn
from holdtrue.stage.database.prepare import Prepared, PrepareFailure, prepare
from holdtrue.stage.database.reach import Reach, reach_of
from holdtrue.stage.database.rows import Changes, Difference, Snapshot, Update, difference, snapshot

__all__ = [
    "Bookkeeping",
    "Catalog",
    "Changes",
    "ClonePool",
    "Cluster",
    "Column",
    "DatabaseError",
    "Databases",
    "Difference",
    "Filled",
    "Fingerprint",
    "ForeignKey",
    "Learned",
    "Noise",
    "NoisyColumn",
    "Operation",
    "PrepareFailure",
    "Prepared",
    "Reach",
    "SchemaDump",
    "Snapshot",
    "Table",
    "Unaged",
    "Update",
    "age",
    "catalog_of",
    "difference",
    "failing",
    "fill",
    "learn",
    "prepare",
    "reach_of",
    "retries",
    "schema_difference",
    "schema_dump",
    "snapshot",
]
