"""A composed app in a directory of its own, for the tests of the commands that ask it what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

DIARY = Path(__file__).parent / "diary"

_MODULE = """
from holdtrue.contract import Contract, Permission
from holdtrue.runtime import Module, Router

SEE = Permission(name="weather.see", doc="see the weather")
router = Router(prefix="/weather")


@router.get("", access=SEE)
async def weather() -> dict[str, str]:
    return {"sky": "grey"}


def Weather() -> Module:
    return Module(contract=Contract(name="weather", version="2.1.0", permissions=(SEE,)), routers=(router,))
"""


def diary(folder: Path) -> Path:
    """A copy of the diary."""
    return Path(shutil.copytree(DIARY, folder / "diary", ignore=shutil.ignore_patterns("__pycache__")))


def install_weather(site: Path) -> Path:
    """A third party's module, as pip would leave it in ``site``. Returns its one file of code."""
    package, told = site / "weather", site / "holdtrue_weather-4.2.dist-info"
    package.mkdir(parents=True)
    told.mkdir()
    (package / "__init__.py").write_text("")
    (package / "contract.py").write_text(_MODULE)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: holdtrue-weather\nVersion: 4.2\n")
    (told / "top_level.txt").write_text("weather\n")
    (told / "RECORD").write_text("weather/__init__.py,,\nweather/contract.py,,\n")
    return package / "contract.py"


def change(file: Path, old: str, new: str) -> None:
    """Replace what must be there once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{text.count(old)} times in {file}: {old}"
    file.write_text(text.replace(old, new), encoding="utf-8")
