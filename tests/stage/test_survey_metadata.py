"""What makes tables from the app's models is told from what a file holds itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdtrue.stage.survey.metadata import MetadataCall, metadata_calls
from holdtrue.stage.survey.sources import Sources

MODELS = """
def make(bind):
    Base.metadata.create_all(bind)

def own(bind):
    old = sa.MetaData()
    old.create_all(bind)
"""


def calls(directory: Path, text: str) -> list[MetadataCall]:
    (directory / "shop").mkdir()
    (directory / "shop" / "models.py").write_text(MODELS)
    (directory / "revision.py").write_text(text)
    sources = Sources(directory)
    file = sources.python("revision.py")
    assert file is not None
    return list(metadata_calls(sources, file))


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("from shop.models import Base\nBase.metadata.create_all(op.get_bind())", "shop.models"),
        ("import shop.models as m\nm.Base.metadata.drop_all(bind)", "shop.models"),
        ("from shop import models\ntarget = models.Base.metadata\ntarget.create_all(bind)", "shop"),
        ("from shop.models import Order\nOrder.__table__.create(bind, checkfirst=True)", "shop.models"),
        ("from shop.models import Base\nBase.metadata.tables['orders'].create(bind)", "shop.models"),
        ("from shop.models import make\ndef upgrade():\n    make(op.get_bind())", "shop.models"),
        ("from shop import models\ndef upgrade():\n    models.make(op.get_bind())", "shop.models"),
        ("import shop.models\ndef upgrade():\n    shop.models.make(op.get_bind())", "shop.models"),
        ("def upgrade(metadata):\n    metadata.create_all(bind)", ""),
    ],
)
def test_tables_of_the_apps_models_are_told_with_where_these_come_from(tmp_path: Path, text: str, models: str) -> None:
    (call,) = calls(tmp_path, text)
    assert call.models == models
    assert not call.switched


@pytest.mark.parametrize(
    "text",
    [
        "import sqlalchemy as sa\nold = sa.MetaData()\nold.create_all(bind)",
        "import sqlalchemy as sa\nsa.Table('x', sa.MetaData()).create(bind)",
        "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase): ...\nBase.metadata.create_all(bind)",
        "from shop.models import own\nown(op.get_bind())",
        "from alembic import op\nop.create_table('x')",
        "import sqlalchemy as sa\nkind = sa.Enum('a', name='kind')\nkind.create(op.get_bind())",
    ],
)
def test_what_a_file_holds_itself_is_frozen_and_left_out(tmp_path: Path, text: str) -> None:
    assert calls(tmp_path, text) == []


def test_what_a_setting_switches_on_is_said_to_be_switched(tmp_path: Path) -> None:
    switched = "if os.environ.get('DEV'):\n    Base.metadata.create_all(bind)"
    (call,) = calls(tmp_path, f"import os\nfrom shop.models import Base\n{switched}")
    assert call.switched
