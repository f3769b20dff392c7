"""The survey of an app's models shows every table its code knows."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdtrue.stage.survey import Interpreter, Models, SurveyError, survey_sqlalchemy

MODELS = """
from sqlalchemy import (Column, ForeignKey, ForeignKeyConstraint, Index, Integer, MetaData, String, Table,
                        UniqueConstraint, func, text)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry, relationship
from sqlalchemy.types import UserDefinedType

class Lazy:
    @property
    def __class__(self): raise RuntimeError("a proxy outside its context")
lazy = Lazy()

class Point(UserDefinedType): cache_ok = True

class Base(DeclarativeBase): ...

class Shop(Base):
    __tablename__ = "shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column("name", String(50), server_default=text("'x'"))
    where = mapped_column(Point)

class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("shop_id", "number"), Index("by_note", "note", unique=True),
                      {"schema": "sales"})
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    note: Mapped[str | None]
    broken = relationship("NoSuchModel")  # mappers are never configured by a survey

class Base2(DeclarativeBase): ...
legacy = registry()

class Imperative: ...
legacy.map_imperatively(Imperative, Table("imperative", legacy.metadata, Column("id", Integer, primary_key=True)))

plain = Table("plain", MetaData(schema="raw"), Column("shop", ForeignKey("elsewhere.id")))
"""


def interpreter(directory: Path) -> Interpreter:
    env = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return Interpreter(python=sys.executable, directory=directory, env=env)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Models]:
    directory = tmp_path_factory.mktemp("models")
    (directory / "models.py").write_text(MODELS)
    (directory / "main.py").write_text("import models\napp = object()\n")
    yield await survey_sqlalchemy(["main:app"], interpreter(directory))


async def test_tables_of_every_base_registry_and_metadata_are_found(models: Models) -> None:
    assert [(table.schema, table.name) for table in models.tables] == [
        (None, "imperative"),
        (None, "shops"),
        ("raw", "plain"),
        ("sales", "orders"),
    ]
    assert models.versions["sqlalchemy"] is not None


async def test_columns_say_their_name_type_and_what_they_refer_to(models: Models) -> None:
    _, shops, plain, orders = models.tables
    assert [(c.name, c.type, c.nullable, c.primary_key, c.default) for c in shops.columns] == [
        ("id", "INTEGER", False, True, False),
        ("name", "VARCHAR(50)", False, False, True),
        ("where", "Point", True, False, False),
    ]
    shop = orders.column("shop_id")
    assert shop is not None
    assert shop.foreign_keys == ("shops.id",)
    assert plain.columns[0].foreign_keys == ("elsewhere.id",)


async def test_keys_and_unique_sets_are_named_by_their_columns(models: Models) -> None:
    orders = models.tables[3]
    assert orders.primary_key == ("shop_id", "id")
    assert orders.unique == (("note",), ("shop_id", "number"))


async def test_models_are_named_with_the_column_behind_each_attribute(models: Models) -> None:
    imperative, shops, plain, _ = models.tables
    (model,) = shops.models
    assert (str(model), model.file) == ("models:Shop", "models.py")
    assert model.line == MODELS.splitlines().index("class Shop(Base):") + 1
    assert model.attributes == {"id": "id", "label": "name", "where": "where"}
    assert [str(each) for each in imperative.models] == ["models:Imperative"]
    assert plain.models == ()


async def test_a_module_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="No module named 'shopp'"):
        await survey_sqlalchemy(["shopp.models"], interpreter(tmp_path))
