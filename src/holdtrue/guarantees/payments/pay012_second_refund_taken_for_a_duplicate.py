"""Second refund taken for a duplicate.

What production does
--------------------
Somebody refunds a part of a payment in the provider's dashboard, and another part a week later. Stripe tells of both
with `charge.refunded`: another event, the same charge, `amount_refunded` being the sum of both.

Why apps break here
-------------------
To be safe against the same event twice, the app remembers too little of it: the type and the charge, or that the order
is refunded already. The second refund looks like the first.

Wrong
-----
    if db.get(Handled, (event["type"], event["data"]["object"]["id"])):
        return  # a duplicate

Right
-----
    if db.get(Handled, event["id"]):
        return  # this very event came before
    payment.refunded = max(payment.refunded, charge["amount_refunded"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.guarantees.payments.aftermath import APART, Life, listened, reconcile, take, take_once
from holdtrue.guarantees.payments.bought import LEASE
from holdtrue.guarantees.payments.cells import sums
from holdtrue.guarantees.payments.lives import FIRST_REFUND, SECOND_REFUND, refunded_charges
from holdtrue.stage import Stage
from holdtrue.stage.database import Snapshot, difference
from holdtrue.stage.database.rows import short

Sums = dict[tuple[str, str], Decimal]
"""(table, column) → by how much it moved."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the app made of two refunds of one charge, each told when it was made."""

    moved: dict[tuple[int, str], Sums]
    """(which refund, type of event) → what that event moved."""

    def by(self, refund: int, kind: str) -> Sums:
        """What an event of a refund moved; nothing where none of that type came."""
        return self.moved.get((refund, kind), {})

    def loses(self, kind: str) -> bool:
        """Whether the first event of that type counted something, and the second moved nothing of it."""
        counted = self.by(FIRST_REFUND, kind)
        return bool(counted) and not counted.keys() & self.by(SECOND_REFUND, kind).keys()


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*One part refunded, and then another = both counted*, by each type of event that tells of refunds."""
    counted = False
    for life in await refunded_charges(stage):
        if isinstance(life, Untried):
            yield life
            continue
        told = await _told(life)
        for number, kind in told.moved:
            if number == FIRST_REFUND and told.by(number, kind):
                counted = True
                yield Case(
                    name=f"{life.name}: refunded in part, twice, as told by {kind}",
                    play=partial(_twice, life, kind, told),
                    cause=life.cause(f"counted once by {kind}"),
                )
    if not counted:
        yield Absent(reason="no purchase is refunded here, or the app keeps no amount of what is refunded elsewhere")


async def _twice(life: Life, kind: str, first: Told) -> Harm | None:
    if not first.loses(kind):
        return None  # one run shows it for all types of events
    told = await _told(life)
    if not told.loses(kind):
        return None
    counted = told.by(FIRST_REFUND, kind)
    before = await _total(life)
    await life.stage.age(LEASE)
    await life.stage.rest()
    await reconcile(life.bought)
    both = await _total(life)
    if any(before.get(place) != both.get(place) for place in counted):
        return None  # it came later, by the app's own means
    alone = await _second_alone(life)
    # An app that only notes *that* something was refunded has counted enough with the first.
    missing = sorted(place for place in counted if both.get(place) != alone.get(place))
    if not missing:
        return None
    place = missing[0]
    column = f"{short(place[0])}.{place[1]}"
    parts = " and then ".join(chapter.told for chapter in life.chapters)
    return Harm(
        seen=f"Of one charge {parts}, each told by a {kind} of its own. The first moved {column} by {counted[place]}, "
        f"the second by nothing; had the second come alone, it would have been {alone.get(place, 0)}.",
        where=life.stage.document.webhooks[life.bought.webhook].route,
        clause=life.bought.clause,
    )


async def _told(life: Life) -> Told:
    """Refund one part, then another, in the provider's dashboard; the app is told of each at once."""
    await life.bought.begin(life.kept)
    moved: dict[tuple[int, str], Sums] = {}
    for number, chapter in enumerate(life.chapters, start=1):
        life.stage.payments.advance(APART)
        refused = []
        for event in listened(life.bought, chapter.act()):
            before = await life.stage.rows()
            refused += await take_once(life.bought, [event])
            moved[number, event.type] = await _since(life, before)
        await take(life.bought, refused)
    return Told(moved=moved)


async def _second_alone(life: Life) -> Sums:
    """What the app makes of the second refund when it has not heard of the first."""
    await life.bought.begin(life.kept)
    for chapter in life.chapters:
        life.stage.payments.advance(APART)
        events = listened(life.bought, chapter.act())
    await take(life.bought, events)
    return await _total(life)


async def _total(life: Life) -> Sums:
    await life.stage.rest()
    await life.bought.follow()
    return await _since(life, life.kept.rows)


async def _since(life: Life, before: Snapshot) -> Sums:
    catalog = life.stage.scene.catalog
    return sums(difference(before, await life.stage.rows(), catalog), catalog)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY012",
    catalogue="P12",
    severity=Severity.HIGH,
    promise="Two refunds of one charge are two refunds: what the second gave back is counted, too.",
    why="The books say that money is there which was given back; the next refund is paid twice over.",
    do="Tell events apart by their id alone, and take `amount_refunded` for what it is: the sum of all refunds.",
    do_not="Do not add `amount_refunded` of each event up: it is a sum already.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
)
