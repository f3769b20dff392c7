"""A purchase of which no event ever arrives: what the app owes, and whether it finds out by itself.

*Dropped and reconciled = delivered*, up to times. Only what a delivery visibly settles is owed (a row's state, money in
the books): who wrote it, and what histories say of it, is the app's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdtrue.guarantees.payments.aftermath import reconcile, take
from holdtrue.guarantees.payments.bought import Bought
from holdtrue.guarantees.payments.cells import NEW, Cell, Cells, said, sums
from holdtrue.guarantees.payments.lives import bookkeeping, kept
from holdtrue.stage.database import Difference, difference
from holdtrue.stage.database.looks import moment, scrub
from holdtrue.stage.database.rows import Value, short
from holdtrue.stage.mail import Mail
from holdtrue.stage.tables import qualified_all

AGES = (0, 600, 3_600, 86_400, 165_000)
"""Seconds that pass before it is looked again; three days in all. What is settled later is lost to the customer."""
SCHEDULED = (0, 3_600, AGES[-1])
"""The ages at which the scheduler runs the app's command, if there is one."""
RESTARTED = 600
"""The age at which every process is started anew: what a timer in memory waits for may be done at the start."""
_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What the delivery of a purchase's events settles."""

    bought: Bought
    cells: Cells
    """Everything that it changes."""
    states: frozenset[Cell]
    """Cells of rows that were there when it was paid."""
    tables: frozenset[str]
    """Where it writes new rows with amounts; or any, where nothing else tells that it was settled."""
    ignored: frozenset[str]
    moved: dict[tuple[str, str], int]
    """The sign in which amounts move."""

    async def never_delivered(self) -> list[str]:
        """Let three days pass in which no event arrives; return what is still owed then, in words."""
        stage = self.bought.stage
        await self.bought.begin(self.bought.scene)
        for seconds in AGES:
            if seconds:
                await stage.age(seconds)
            left = await self._left()
            if left and seconds in SCHEDULED:
                await reconcile(self.bought)
                left = await self._left()
            if left and seconds == RESTARTED:
                await stage.restart()
                left = await self._left()
            if not left:
                return []
        return left

    async def then_delivered(self, since: int) -> list[str]:
        """Deliver all events after all; return what is done a second time. Mails up to ``since`` were there before."""
        stage = self.bought.stage
        before, sent = await stage.rows(), len(stage.mail.mails)
        known = {_said(mail) for mail in stage.mail.mails[since:]}
        await take(self.bought, self.bought.events)
        await stage.rest()
        again = difference(before, await stage.rows(), stage.scene.catalog).without(self.ignored)
        twice = [
            f"{short(table)}.{column} moved again, by {total}"
            for (table, column), total in sums(again, stage.scene.catalog).items()
            if self.moved.get((table, column)) == (1 if total > 0 else -1)
        ]
        twice += self._longer(again)
        twice += [
            f"the mail {mail.subject!r} was sent again" for mail in stage.mail.mails[sent:] if _said(mail) in known
        ]
        return twice

    async def _left(self) -> list[str]:
        stage = self.bought.stage
        await stage.rest()
        await self.bought.follow()  # one event was lost, and not those that the app's own calls cause now
        rows, catalog = await stage.rows(), stage.scene.catalog
        changed = difference(self.bought.scene.rows, rows, catalog)
        now = Cells.of(self.bought.scene.rows, rows, catalog)
        # A row that was given up meanwhile is not as it was, and not as it should be, either.
        found_out = any(_alike(now.at(cell), self.cells.at(cell)) for cell in self.states)
        left = [
            f"{cell} is {now.told(cell) if cell in now.values else said(self.cells.old[cell])} instead of "
            f"{self.cells.told(cell)}"
            for cell in sorted(self.states)
            if cell not in now.values or not found_out
        ]
        inserted = {table for table, changes in changed.tables.items() if changes.inserted}
        return left + [f"{short(table)} has no row of it" for table in sorted(self.tables - inserted)]

    def _longer(self, again: Difference) -> list[str]:
        """What lasts longer than before, of what the delivery prolongs."""
        return [
            f"{short(table)}.{column} was put off again, from {each.old[column]} to {each.new[column]}"
            for table, changes in again.tables.items()
            for each in changes.updated
            for column in each.changed
            if any(cell.table == table and cell.column == column for cell in self.cells.values)
            and _days(each.old[column], each.new[column]) >= 1
        ]


async def owed(bought: Bought) -> Owed | None:
    """What the app owes for a purchase; None where nobody paid, or the delivery settles nothing.

    Raises:
        StepFailedError: the events are not taken when they are delivered.
    """
    stage, scene = bought.stage, await kept(bought)
    ignored = await bookkeeping(bought) | qualified_all(stage.document.audit.tables if stage.document.audit else ())
    await bought.begin(bought.scene)
    if stage.payments.sessions[-1]["payment_status"] not in ("paid", "no_payment_required"):
        return None
    catalog = stage.scene.catalog
    changed = difference(bought.scene.rows, scene.rows, catalog).without(ignored)
    cells = Cells.of(bought.scene.rows, scene.rows, catalog)
    marks = {mark for event in bought.events for mark in (event.id, event.type, event.created)}
    states = frozenset(
        cell
        for cell in Cells(values={}).moved(cells, marks)
        if cell.row != NEW and cell.table not in ignored and cell in cells.old and moment(cells.old[cell]) is None
    )
    moved = {place: 1 if total > 0 else -1 for place, total in sums(changed, catalog).items()}
    inserted = frozenset(table for table, changes in changed.tables.items() if changes.inserted)
    tables = frozenset(table for table, _ in moved) & inserted or (frozenset() if states else inserted)
    if not states and not tables:
        return None
    return Owed(bought=bought, cells=cells, states=states, tables=tables, ignored=ignored, moved=moved)


def _said(mail: Mail) -> tuple[tuple[str, ...], str]:
    return tuple(sorted(mail.recipients)), scrub(mail.subject or "")


def _alike(now: tuple[Value, ...], delivered: tuple[Value, ...]) -> bool:
    """Whether two values say the same, moments and made-up tokens apart."""
    return [scrub(str(value)) for value in now] == [scrub(str(value)) for value in delivered]


def _days(old: Value, new: Value) -> float:
    first, second = moment(old), moment(new)
    return (second - first).total_seconds() / _DAY if first is not None and second is not None else 0.0
