"""mypy --strict takes right bindings and rejects wrong ones, where they are written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNIPPET = """
from holdtrue.contract import Event, Guard, Job, Observe, Payload, Transform
from holdtrue.runtime import UnitOfWork, Work, flow

class Price(Payload):
    cents: int

class Cart(Payload):
    items: int

PRICE = Transform(name="shop.price", payload=Price, money=True)
ALLOW = Guard(name="shop.allow", payload=Cart)
SEEN = Observe(name="shop.seen", payload=Cart)
SOLD = Event(name="shop.sold", payload=Cart)
SHIP = Job(name="shop.ship", payload=Cart)

async def half(unit: UnitOfWork, payload: Price) -> Price:
    return Price(cents=payload.cents // 2)

async def of_cart(unit: UnitOfWork, payload: Cart) -> Price:
    return Price(cents=payload.items)

async def forgets(unit: UnitOfWork, payload: Price) -> None: ...

async def look(unit: UnitOfWork, payload: Cart) -> None: ...

async def answers(unit: UnitOfWork, payload: Cart) -> bool:
    return True

def at_once(unit: UnitOfWork, payload: Price) -> Price:
    return payload

async def after(work: Work, payload: Cart) -> None: ...

async def of_price(work: Work, payload: Price) -> None: ...

async def alone(payload: Cart) -> None: ...

PRICE.bind(half)
ALLOW.bind(look)
SEEN.bind(after)
SOLD.bind(after)
SHIP.bind(after)
PRICE.bind(of_cart)  # wrong: takes a Cart
PRICE.bind(forgets)  # wrong: returns nothing
PRICE.bind(at_once)  # wrong: not async
ALLOW.bind(half)  # wrong: takes and returns a Price
ALLOW.bind(answers)  # wrong: a guard answers nothing, it refuses
SEEN.bind(of_price)  # wrong: takes a Price
SOLD.bind(of_price)  # wrong: takes a Price
SHIP.bind(alone)  # wrong: takes one argument

@flow(emits=(SOLD,))
async def sell(unit: UnitOfWork, items: int) -> Cart:
    cart = Cart(items=items)
    await unit.emit(SOLD, cart)
    await unit.emit(SOLD, Price(cents=1))  # wrong: not what the event carries
    await unit.enqueue(SHIP, Price(cents=1))  # wrong: not what the job takes
    price: Price = await unit.transform(PRICE, Price(cents=1))
    return cart

async def call(unit: UnitOfWork) -> None:
    await sell(unit, 1)
    await sell(unit, "one")  # wrong: not a number
"""


def test_mypy_rejects_wrong_bindings_and_payloads_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    wrong = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if "# wrong" in line}
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "snippet.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = {int(line) for line in re.findall(r"snippet\.py:(\d+): error", checked.stdout)}
    assert told == wrong, checked.stdout + checked.stderr
