"""mypy --strict takes right bindings and rejects wrong ones, where they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


SHOP = """
from holdtrue.modules.auth import ARRIVED
from holdtrue.modules.payments import CHECKOUT_LINES, PAYMENT_SETTLED
from holdtrue.modules.tenancy import JOINING, TENANT_CREATED
from shop import bindings
from shop.contract import ORDER_PAID, PLACING

CHECKOUT_LINES.bind(bindings.price_of_order)
PAYMENT_SETTLED.bind(bindings.pay_order)
PAYMENT_SETTLED.bind(bindings.price_of_order)  # wrong: prices a purchase
CHECKOUT_LINES.bind(bindings.is_payable)  # wrong: a guard
JOINING.bind(bindings.is_payable)  # wrong: looks at an order
PLACING.bind(bindings.has_a_seat)  # wrong: looks at a new member
ORDER_PAID.bind(bindings.send_welcome)  # wrong: consumes another event
TENANT_CREATED.bind(bindings.log_arrival)  # wrong: observes arrivals
ARRIVED.bind(bindings.has_a_seat)  # wrong: a guard
"""


@pytest.mark.parametrize("snippet", [SNIPPET, SHOP], ids=["every kind", "the shop"])
def test_mypy_rejects_wrong_bindings_and_payloads_and_nothing_else(snippet: str, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet, encoding="utf-8")
    wrong = {number for number, line in enumerate(snippet.splitlines(), 1) if "# wrong" in line}
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "snippet.py")],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT / "examples" / "shop")},
        capture_output=True,
        text=True,
        check=False,
    )
    told = {int(line) for line in re.findall(r"snippet\.py:(\d+): error", checked.stdout)}
    assert told == wrong, checked.stdout + checked.stderr
