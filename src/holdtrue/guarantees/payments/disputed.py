"""A payment that the card holder disputes, and what the app makes of the bank's verdict.

There are many right ways: a row of its own, a status, a ledger entry, a mail to the shop. So nothing is demanded but
that a lost dispute leaves *some* trace; and what a dispute took away is held against the app only where it took the
same for a lost one, and where it is money, access or a state, not a note that there was a dispute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from holdtrue.guarantees.payments.aftermath import APART, listened, reconcile, take
from holdtrue.guarantees.payments.bought import LEASE, Bought
from holdtrue.guarantees.payments.cells import GONE, NEW, Cell, Cells, said, sums
from holdtrue.guarantees.payments.lives import amount_of, bookkeeping, charge_of, kept
from holdtrue.stage.database import Difference, difference
from holdtrue.stage.database.looks import moment, scrub
from holdtrue.stage.database.rows import Value, short
from holdtrue.stage.scene import Scene

Verdict = Literal["won", "lost", "warning_closed"]
_DISPUTE = re.compile(r"(?i)disput|chargeback|inquir|contest|claim")
"""Names of tables and columns that tell of disputes themselves."""
_STATE = re.compile(r"(?i)stat(e|us)\b|access|plan|tier|level|phase")
"""Names of columns that hold a state."""
_BOOKS = re.compile(r"(?i)ledger|entr|transact|transfer|movement|balance|refund|credit|payment|journal|posting")
"""Names of tables whose rows are money that moved."""


@dataclass(frozen=True, kw_only=True)
class After:
    """What an app has made of a dispute that was closed."""

    rows: Difference
    cells: Cells
    traces: bool
    """Whether anything came of it that does not come of an event that means nothing."""


@dataclass(frozen=True, kw_only=True)
class Sold:
    """A purchase that took money, and was delivered."""

    bought: Bought
    scene: Scene
    charge: str
    amount: int
    """What was captured, in minor units."""
    granted: Cells
    """What the purchase changed."""
    bookkeeping: frozenset[str]
    """Tables that an event changes which means nothing."""

    async def closed(self, verdict: Verdict) -> After:
        """Dispute it, or question it in an inquiry, and let the bank decide; every event is delivered."""
        stage, bank = self.bought.stage, self.bought.stage.payments.bank
        await self.bought.begin(self.scene)
        calls, mails = len(stage.payments.calls), len(stage.mail.mails)
        stage.payments.advance(APART)
        await take(self.bought, listened(self.bought, bank.dispute(self.charge, inquiry=verdict == "warning_closed")))
        stage.payments.advance(APART)
        dispute = str(stage.payments.latest("dispute")["id"])
        await take(self.bought, listened(self.bought, bank.close_dispute(dispute, verdict)))
        await stage.rest()
        now, catalog = await stage.rows(), stage.scene.catalog
        rows = difference(self.scene.rows, now, catalog)
        acted = any(call.method != "GET" for call in stage.payments.calls[calls:]) or len(stage.mail.mails) > mails
        return After(
            rows=rows,
            cells=Cells.of(self.scene.rows, now, catalog),
            traces=acted or bool(set(rows.tables) - self.bookkeeping),
        )

    async def traces_later(self) -> bool:
        """Whether time, or the app's own reconciling, brings what the events did not."""
        stage = self.bought.stage
        await stage.age(LEASE)
        before, mails = await stage.rows(), len(stage.mail.mails)
        await stage.rest()
        await reconcile(self.bought)
        rows = difference(before, await stage.rows(), stage.scene.catalog)
        return bool(set(rows.tables) - self.bookkeeping) or len(stage.mail.mails) > mails

    def taken(self, after: After, lost: After | None = None) -> dict[str, Cell | None]:
        """What is gone for good, as after a ``lost`` dispute where that is known: words → where."""
        wrong: dict[str, Cell | None] = {
            self._words(cell, after.cells): cell
            for cell, values in after.cells.values.items()
            if cell.row != NEW and (lost is None or lost.cells.at(cell) == values) and self._is_taken(cell, after.cells)
        }
        return wrong | dict.fromkeys(self._withdrawn(after.rows, lost.rows if lost else None))

    async def still_taken(self, lost: After, wrong: dict[str, Cell | None]) -> dict[str, Cell | None]:
        """What of it stays so when time passes and the app reconciles."""
        stage, catalog = self.bought.stage, self.bought.stage.scene.catalog
        await stage.age(LEASE)
        aged = await stage.rows()
        await stage.rest()
        await reconcile(self.bought)
        now = await stage.rows()
        moved = Cells.of(aged, now, catalog)
        withdrawn = set(self._withdrawn(difference(self.scene.rows, now, catalog), lost.rows))
        return {
            words: cell
            for words, cell in wrong.items()
            if (cell is None and words in withdrawn) or (cell is not None and cell not in moved.values)
        }

    def _is_taken(self, cell: Cell, now: Cells) -> bool:
        if _DISPUTE.search(cell.table) or _DISPUTE.search(cell.column):
            return False
        if cell.column == GONE:
            return True
        old, (new,) = now.old[cell], now.at(cell)
        if cell in self.granted.old and self.granted.old[cell] == new:
            return True  # as if nothing had been bought
        if isinstance(old, bool):
            return old and new is False
        moved = _moved(old, new)
        if moved is not None:
            return self._is_amount(moved)
        words = isinstance(old, str) and isinstance(new, str) and old != "" and moment(old) is None
        return words and _STATE.search(cell.column) is not None

    def _withdrawn(self, after: Difference, lost: Difference | None) -> Iterator[str]:
        """Tables of money into which the same was written as for a lost dispute, and nothing against it."""
        catalog = self.bought.stage.scene.catalog
        for (table, column), total in sums(after, catalog, without=self.bookkeeping).items():
            money = _BOOKS.search(table) and not _DISPUTE.search(table) and not _DISPUTE.search(column)
            if not money or not self._is_amount(total) or not _said(after, table):
                continue
            if lost is None or (
                sums(lost, catalog).get((table, column)) == total and _said(after, table) == _said(lost, table)
            ):
                yield f"{short(table)}.{column} of the new rows is {total} in sum"

    def _is_amount(self, moved: Decimal) -> bool:
        return abs(moved) in (Decimal(self.amount), Decimal(self.amount) / 100)

    @staticmethod
    def _words(cell: Cell, now: Cells) -> str:
        return f"{cell} is gone" if cell.column == GONE else f"{cell} is {now.told(cell)} and was {said(now.old[cell])}"


async def sold(bought: Bought) -> Sold | None:
    """The purchase, delivered; None where it took no money at once.

    Raises:
        StepFailedError: its events are not taken.
    """
    scene, stage = await kept(bought), bought.stage
    await bought.begin(scene)
    charge = charge_of(bought)
    if charge is None:
        return None
    amount = amount_of(bought, charge)
    return Sold(
        bought=bought,
        scene=scene,
        charge=charge,
        amount=amount,
        granted=Cells.of(bought.scene.rows, scene.rows, stage.scene.catalog),
        bookkeeping=await bookkeeping(bought),
    )


def _said(rows: Difference, table: str) -> Counter[tuple[str, ...]]:
    """The words of new rows, without moments and made-up ids."""
    changes = rows.tables.get(table)
    return Counter(
        tuple(scrub(value) for value in row.values() if isinstance(value, str))
        for row in (changes.inserted if changes else ())
    )


def _moved(old: Value, new: Value) -> Decimal | None:
    """By how much a number changed; None where it is no number."""
    if old is None or new is None or moment(old) is not None:
        return None
    try:
        return Decimal(str(new)) - Decimal(str(old))
    except InvalidOperation:
        return None
