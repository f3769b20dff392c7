"""Tenant taken from what the request says.

What production does
--------------------
A customer's script sends a header, a parameter or a field more than it has to, and in it stands another customer's id.
A page of the app's own front end shows how the header is called.

Why apps break here
-------------------
The front end knows which tenant is meant, so it says so, and the server believes it. Support staff needed to look into
any tenant, and the header for that was never asked who sends it. A body is written into a row whole, with whatever
column it names.

Wrong
-----
    def current_shop(x_shop_id: Annotated[UUID, Header()], user: SignedIn) -> UUID:
        return x_shop_id

Right
-----
    def current_shop(user: SignedIn) -> UUID:
        return user.shop_id

Where a person belongs to several tenants, the request may choose among them, and the membership is looked up:

    membership = db.get(Membership, (x_shop_id, user.id))
    if membership is None:
        raise HTTPException(403)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

from holdtrue.contract.template import render
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.tenancy.hints import hints_of, some
from holdtrue.guarantees.tenancy.marks import Marks
from holdtrue.guarantees.tenancy.ownership import Ownership
from holdtrue.guarantees.tenancy.ten042_id_of_another_tenant import attacks, foreign_names, tenant_routes
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import FOREIGN, HOME, answered, make_ready, ready_for, request_of
from holdtrue.stage.steps import Rendered, StepFailedError, meets

BAD_REQUEST, UNPROCESSABLE = 400, 422
"""How a strict reader refuses names that it does not know."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a request says more than it has to."""

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def names(self) -> str:
        """For a person to read."""
        told = {"header": self.headers, "cookie": self.cookies, "parameter": self.query, "field": self.fields}
        return " and ".join(f"{kind} {', '.join(names)}" for kind, names in told.items() if names)

    def singles(self) -> list[Said]:
        """Each hint by itself."""
        return [
            *(Said(headers={name: value}) for name, value in self.headers.items()),
            *(Said(cookies={name: value}) for name, value in self.cookies.items()),
            *(Said(query={name: value}) for name, value in self.query.items()),
            *(Said(fields={name: value}) for name, value in self.fields.items()),
        ]

    def on(self, request: Rendered, own: frozenset[str]) -> Rendered:
        """The request that says it; what it says itself stays, but for the app's ``own`` names of a tenant."""
        body, form = request.json_body, request.form
        if isinstance(body, dict):
            body = body | {name: value for name, value in self.fields.items() if name in own or name not in body}
        if form is not None:
            more = {name: str(value) for name, value in self.fields.items() if name in own or name not in form}
            form = {**form, **more}
        headers = dict(self.headers)
        if self.cookies:
            own_cookies = [value for name, value in request.headers.items() if name.lower() == "cookie"]
            headers["Cookie"] = "; ".join([*own_cookies, *(f"{name}={value}" for name, value in self.cookies.items())])
        replaced = {name.lower() for name in headers}
        kept = {name: value for name, value in request.headers.items() if name.lower() not in replaced}
        more = {name: str(value) for name, value in self.query.items() if name in own or name not in request.query}
        return replace(request, headers={**kept, **headers}, query={**request.query, **more}, json_body=body, form=form)


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each tenant route, sent by somebody of the second tenant with hints that name the first."""
    async for each in attacks(stage):
        if isinstance(each, Untried):
            yield each
            continue
        attack = Attack(stage, *each)
        for where, sayings in attack.sayings().items():
            yield attack.case(where, sayings)


class Attack:
    """One route, and somebody of the second tenant who may use it."""

    def __init__(self, stage: Stage, key: str, attacker: Who) -> None:
        self.stage = stage
        self.key = key
        self.attacker = attacker
        self.hints = hints_of(stage, HOME)
        self._well = False
        """Whether the attacker's own request is known to succeed."""

    def sayings(self) -> dict[str, list[Said]]:
        """Where → all hints at once, and then, for a strict reader, only the names this app has for a tenant."""
        route = self.stage.document.routes[self.key]
        hints = self.hints
        plain = dict.fromkeys(hints.headers, hints.number)
        by_number = dict.fromkeys(hints.query, hints.number)
        found = {
            "headers and query": [
                Said(headers=hints.headers, cookies=hints.query, query=hints.query),
                # Where a name is read as an id, a slug is refused, and what is not known may be, too.
                Said(headers=plain, cookies=by_number, query=some(hints.own, by_number)),
                Said(headers=plain),
            ]
        }
        if isinstance(route.json_, dict) or route.form is not None:
            found["body"] = [Said(fields=hints.fields), Said(fields=some(hints.own, hints.fields))]
        told = self.stage.document.tenancy.headers if self.stage.document.tenancy else {}
        view = self.stage.cast.view(None, HOME)
        theirs = {name: render(text, view) for name, text in told.items()}
        if theirs and not any(self.stage.cast.canary(HOME) in text for text in theirs.values()):
            found["address"] = [Said(headers=theirs)]
        return found

    def case(self, where: str, sayings: list[Said]) -> Case:
        """Hints in one place."""

        async def play() -> Harm | None:
            for said in sayings:
                answer, harm = await self._send(said, where)
                if harm is not None and (await self._send(Said(), where))[1] is None:
                    hint, harm = await self._narrowed(said, harm, where)
                    sent = f"{self.key} was sent by {self.attacker} with tenant {HOME} named in {hint.names}"
                    return Harm(
                        seen=f"{sent}: {harm}.",
                        where=self.key,
                        clause=("tenancy", "tables"),
                    )
                if answer.status not in (BAD_REQUEST, UNPROCESSABLE) and (where != "body" or answer.admitted):
                    break
            return None

        return Case(name=f"{self.key} as {self.attacker}, {HOME} in the {where}", play=play, cause=self.key)

    async def _narrowed(self, said: Said, harm: str, where: str) -> tuple[Said, str]:
        """The first hint that does it by itself, and what that does."""
        for single in said.singles():
            if by_itself := (await self._send(single, where))[1]:
                return single, by_itself
        return said, harm

    async def _send(self, said: Said, where: str) -> tuple[Answer, str | None]:
        """Send the request and say what it did to the first tenant, if anything.

        With the first tenant's ids where the hint may choose the tenant of the whole request; with the sender's own
        where it may choose that of a row.
        """
        if where != "body" and foreign_names(self.stage, self.key):
            ready = await ready_for(self.stage, self.key)
        else:
            await self.stage.fresh()
            ready = await make_ready(self.stage, self.key, FOREIGN)
        request = request_of(self.stage, ready, sender=self.attacker, at=FOREIGN)
        answer, harm = await self._sent(said.on(request, self.hints.own))
        if harm is None and ready.tenant == FOREIGN and not meets(ready.route.expect, answer):
            await self._own_request_succeeds()
        elif ready.tenant == FOREIGN and harm is None:
            self._well = True
        return answer, harm

    async def _sent(self, request: Rendered) -> tuple[Answer, str | None]:
        stage = self.stage
        owned = Ownership.of(stage)
        async with stage.watch(rest=False) as seen:
            answer = await stage.player.send_rendered(request, sender=self.attacker)
        if answer.failed:
            stage.doubt = self.key
        answered(answer, self.key)
        if Marks.of(stage, HOME).found(answer, request):
            return answer, f"it was answered {answer.describe()} with tenant {HOME}'s data"
        if seen.rows and (harmed := owned.harmed(seen.rows, HOME, by=FOREIGN)):
            return answer, f"it was answered {answer.describe()}, and {'; '.join(harmed[:3])}"
        return answer, None

    async def _own_request_succeeds(self) -> None:
        """The positive twin of a refusal: the same request with nothing more said.

        Raises:
            StepFailedError: it is refused, too.
        """
        if self._well:
            return
        await self.stage.fresh()
        ready = await make_ready(self.stage, self.key, FOREIGN)
        answer, _ = await self._sent(request_of(self.stage, ready, sender=self.attacker, at=FOREIGN))
        if not meets(ready.route.expect, answer):
            raise StepFailedError(
                f"{self.attacker}'s own request is answered {answer.describe()}, whoever is named in it",
                where=self.key,
                do="The steps of the document must make the same things in both tenants.",
            )
        self._well = True


GUARANTEE = Guarantee(
    doc=__doc__,
    code="TEN043",
    catalogue="T43",
    severity=Severity.CRITICAL,
    promise="Which tenant a request is for is decided by who sends it, not by a header, parameter or field of it.",
    why="Whoever writes another customer's id into a header works in that customer's account.",
    do="Take the tenant from the session, or look the membership up before a hint of the request is believed.",
    do_not="Do not rename the header, nor strip it in a proxy only: it is found in the code that reads it.",
    subjects=tenant_routes,
    rehearse=rehearse,
    weight=4,
)
