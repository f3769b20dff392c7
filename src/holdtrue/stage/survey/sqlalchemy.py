"""The mapped tables and columns of an app. Runs in the app's interpreter; see ``launch.py``.

Python 3.8 syntax, standard library only. Works with SQLAlchemy 1.4 to 2.1, and SQLModel: every ``MetaData`` that lives
after the import counts, whoever made it (a declarative base, a registry, plain ``Table`` objects).
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any


def run(frame: Any, arguments: list[str]) -> None:
    """Answer one document: the tables known after importing the modules named."""
    for target in arguments:
        frame.load(target)
    sqlalchemy = importlib.import_module("sqlalchemy")
    orm = importlib.import_module("sqlalchemy.orm")
    dialect = importlib.import_module("sqlalchemy.dialects.postgresql").dialect()
    models = _models(frame, orm.Mapper)
    own = _sqlalchemys_own(sqlalchemy.MetaData)
    tables = [
        _table(table, models.get(id(table), []), dialect)
        for metadata in _alive(sqlalchemy.MetaData)
        if id(metadata) not in own
        for table in metadata.tables.values()
    ]
    tables.sort(key=lambda table: (table["schema"] or "", table["name"]))
    frame.answer({"versions": {name: frame.version(name) for name in ("sqlalchemy", "sqlmodel")}, "tables": tables})


def _alive(kind: type) -> list[Any]:
    # By type(), not isinstance(): lazy proxies answer __class__ by running code of the app.
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]


def _sqlalchemys_own(kind: type) -> set[int]:
    # Its dialects describe system catalogues (pg_catalog, information_schema) with tables of their own.
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("sqlalchemy.")]
    return {id(value) for module in modules for value in vars(module).values() if issubclass(type(value), kind)}


def _models(frame: Any, mapper_type: type) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for mapper in _alive(mapper_type):
        described = frame.source(mapper.class_)
        described["attributes"] = {
            name: column.name for name, column in mapper.columns.items() if getattr(column, "table", None) is not None
        }
        found.setdefault(id(mapper.local_table), []).append(described)
    return found


def _table(table: Any, models: list[dict[str, Any]], dialect: Any) -> dict[str, Any]:
    unique = [[column.name for column in each.columns] for each in table.constraints if _is_unique(each)]
    unique += [[column.name for column in index.columns] for index in table.indexes if index.unique]
    return {
        "name": table.name,
        "schema": table.schema,
        "columns": [_column(column, dialect) for column in table.columns],
        "primary_key": [column.name for column in table.primary_key.columns],
        "unique": sorted(unique),
        "models": sorted(models, key=lambda model: (model["module"], model["qualname"])),
    }


def _is_unique(constraint: Any) -> bool:
    return type(constraint).__name__ == "UniqueConstraint"


def _column(column: Any, dialect: Any) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": _type(column, dialect),
        "nullable": bool(column.nullable),
        "primary_key": bool(column.primary_key),
        "default": column.default is not None or column.server_default is not None,
        "foreign_keys": sorted(each.target_fullname for each in column.foreign_keys),
    }


def _type(column: Any, dialect: Any) -> str:
    try:
        return str(column.type.compile(dialect=dialect))
    except Exception:  # noqa: BLE001 the edge: a type of the app or of another database has no PostgreSQL name
        return type(column.type).__name__
