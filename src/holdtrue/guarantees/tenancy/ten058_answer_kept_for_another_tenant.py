"""Answer kept for another tenant.

What production does
--------------------
The page is slow, so somebody adds a cache. From then on the first customer to ask after a deploy fills it, and the
next one is given what is there. A CDN in front of the app does the same with every answer that allows it.

Why apps break here
-------------------
The key of the cache names the thing and not whose it is: `lru_cache` on a function of the id, `f"user:{id}"`, the path
of the request. The query behind it is right, and is never asked again. `Cache-Control: public` is copied from the
static files to an answer that belongs to somebody.

Wrong
-----
    @lru_cache
    def order(order_id): ...

    response.headers["Cache-Control"] = "public, max-age=60"

Right
-----
    cache.get(f"{tenant_id}:order:{order_id}")  # and the permission is asked for before the cache is

    response.headers["Cache-Control"] = "private, no-store"

Source: RFC 9111 §3 (what a shared cache may store) and §4 (when it may reuse it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.tenancy.marks import Marks
from holdtrue.guarantees.tenancy.ten042_id_of_another_tenant import foreign_names, tenant_routes
from holdtrue.stage import Stage
from holdtrue.stage.caching import shared
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import FOREIGN, HOME, answered, make_ready, principal_of, request_of
from holdtrue.stage.scene import Call
from holdtrue.stage.steps import Rendered, StepFailedError, meets

CLAUSE = ("tenancy", "tables")


def reading_routes(document: Document) -> list[str]:
    """Where tenants read what is theirs."""
    return [key for key in tenant_routes(document) if key.startswith("GET ")]


class Ask(NamedTuple):
    """Who asks for whose address."""

    sender: str
    address: str


OWN, COLD = Ask(HOME, HOME), Ask(FOREIGN, HOME)
ROUND = (COLD, OWN, COLD, Ask(FOREIGN, FOREIGN), Ask(HOME, FOREIGN), OWN)
"""Either address is asked for by its owner, which warms a cache, and then by the other; the first question is cold."""
SAME_ADDRESS = (Ask(FOREIGN, FOREIGN), OWN, Ask(FOREIGN, FOREIGN))
"""Where one address answers everybody with their own."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One route made ready in both tenants, and who may call it there."""

    stage: Stage
    key: str
    ready: dict[str, Call]
    senders: dict[str, Who]
    marks: dict[str, Marks]

    @classmethod
    async def of(cls, stage: Stage, key: str, senders: dict[str, Who]) -> Pair:
        """From the scene; raises StepFailedError."""
        await stage.fresh()
        ready = {tenant: await make_ready(stage, key, tenant) for tenant in senders}
        marks = {tenant: Marks.of(stage, tenant) for tenant in senders}
        return cls(stage=stage, key=key, ready=ready, senders=senders, marks=marks)

    def request(self, ask: Ask) -> Rendered:
        """What is sent: the address's ids and tenant headers, and the sender's own credentials and words."""
        return request_of(self.stage, self.ready[ask.address], sender=self.senders[ask.sender], at=ask.sender)

    async def send(self, ask: Ask) -> Answer:
        """Ask; raises StepFailedError when no answer comes, or the owner of an address is refused."""
        answer = await self.stage.player.send_rendered(self.request(ask), sender=self.senders[ask.sender])
        if answer.failed:
            self.stage.doubt = self.key
        answered(answer, self.key)
        if ask.sender == ask.address and not meets(self.ready[ask.address].route.expect, answer):
            raise StepFailedError(f"{self.senders[ask.sender]} was answered {answer.describe()}", where=self.key)
        if ask == OWN:
            self.stage.setting.reached.add(self.key)
        return answer

    def leaks(self, ask: Ask, answer: Answer) -> bool:
        """Whether an answer has the data of the tenant that did not ask."""
        return self.marks[_other(ask.sender)].found(answer, self.request(ask))


def _other(tenant: str) -> str:
    return HOME if tenant == FOREIGN else FOREIGN


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each reading route, in processes that are fresh: asked by one tenant, then by the other, and again."""
    fresh = False
    for key in reading_routes(stage.document):
        senders = {tenant: principal_of(stage, key, tenant) for tenant in (HOME, FOREIGN)}
        known = {tenant: who for tenant, who in senders.items() if who is not None and who.tenant is not None}
        if len(known) < len(senders):
            continue
        if not fresh:
            await stage.restart()
            fresh = True
        yield Case(name=key, play=partial(_in_turn, stage, key, known), cause=key)


async def _in_turn(stage: Stage, key: str, senders: dict[str, Who]) -> Harm | None:
    pair = await Pair.of(stage, key, senders)
    for ask in ROUND if foreign_names(stage, key) else SAME_ADDRESS:
        answer = await pair.send(ask)
        if pair.leaks(ask, answer):
            if await _leaks_cold(stage, key, senders, ask):
                return None  # no cache is needed for that: TEN042 tells it
            other = _other(ask.sender)
            return Harm(
                seen=f"{key} was asked by tenant {other}, and then by {senders[ask.sender]}: answered "
                f"{answer.describe()} with tenant {other}'s data. In a process that has just started the same request "
                "is answered without.",
                where=key,
                clause=CLAUSE,
            )
        if ask == OWN and (harm := _on_the_way(pair, answer)):
            return harm
    return None


async def _leaks_cold(stage: Stage, key: str, senders: dict[str, Who], ask: Ask) -> bool:
    """Whether the same request leaks in a process that nobody has asked anything."""
    await stage.restart()
    pair = await Pair.of(stage, key, senders)
    return pair.leaks(ask, await pair.send(ask))


def _on_the_way(pair: Pair, answer: Answer) -> Harm | None:
    """Whom a shared cache may give the answer to that the first tenant's own request got."""
    stage = pair.stage
    if not pair.marks[HOME].found(answer, pair.request(OWN)) or _address(pair.request(OWN)) != _address(
        pair.request(COLD)
    ):
        return None
    # The other one asks at the owner's address: a cache knows nothing of tenants.
    theirs = stage.player.headers(pair.senders[FOREIGN], HOME)
    words = shared(answer, pair.request(OWN).headers, theirs)
    if words is None:
        return None
    return Harm(
        seen=f"{pair.key} was asked by {pair.senders[HOME]}: answered {answer.describe()} with tenant {HOME}'s data "
        f"and `{words}`, so that a shared cache on the way may keep it and give it to {pair.senders[FOREIGN]}, who "
        "asks for the same address; nothing in `Vary` tells the two apart.",
        where=pair.key,
        clause=CLAUSE,
    )


def _address(request: Rendered) -> tuple[str, tuple[tuple[str, str], ...]]:
    return request.path, tuple(sorted(request.query.items()))


GUARANTEE = Guarantee(
    doc=__doc__,
    code="TEN058",
    catalogue="T58",
    severity=Severity.CRITICAL,
    promise="No cache, in the app or on the way, gives one tenant what was answered to another.",
    why="Customers see each other's data at random, only under load, and nobody can say afterwards who saw what.",
    do="Put the tenant first in every key, ask for the permission before the cache, and answer `private, no-store`.",
    do_not="Do not only shorten how long it is kept: the next customer comes within the second.",
    subjects=reading_routes,
    rehearse=rehearse,
    weight=3,
)
