"""A module in a running app: nobody comes in uninvited, and what it offers reaches who is bound to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from holdtrue.assembly.conformance.samples import NoSample, sample
from holdtrue.assembly.conformance.subject import Subject
from holdtrue.assembly.testing import Kit, Postgres, running
from holdtrue.contract import Bindable, Binding, Event, Guard, Observe, Permission, Signature, SignedIn, Transform
from holdtrue.runtime import Fault, Faults, UnitOfWork, Work
from holdtrue.runtime.context import uuid7

_PARAMETER = re.compile(r"\{[^}]*\}")
_NOBODY_IS = str(UUID(int=7))


class Ear:
    """Bound to everything the module offers; remembers what it was told."""

    def __init__(self) -> None:
        self.heard: dict[str, BaseModel] = {}

    def on(self, target: Bindable[Any]) -> Binding:
        """A binding that returns what the target wants returned."""
        returns = target.output is not type(None)

        async def hear(_: object, payload: BaseModel) -> BaseModel | None:
            self.heard[target.name] = payload
            return payload if returns else None

        return Binding(target=target, function=_annotated(hear, target))


def _annotated(function: Callable[..., Awaitable[Any]], target: Bindable[Any]) -> Callable[..., Awaitable[Any]]:
    """With the annotations that assembly looks for, and a name that tells one binding from another."""
    function.__annotations__ = {
        "_": Work if target.deferred else UnitOfWork,
        "payload": target.payload,
        "return": target.output,
    }
    function.__qualname__ = f"hears_{target.name.replace('.', '_')}"
    return function


def behaviour(subject: Subject) -> Iterator[Fault]:
    """What is wrong with it in a running app."""
    return iter(asyncio.run(_behaviour(subject)))


async def _behaviour(subject: Subject) -> list[Fault]:
    ear = Ear()
    contract = subject.module.contract
    try:
        assembly = subject.composed(*(ear.on(each) for each in (*contract.hooks, *contract.events)))
    except Faults as several:
        return list(several.faults)
    with Postgres.start() as postgres:
        async with running(assembly, postgres, environ=subject.environ) as kit:
            return [fault async for fault in _routes(subject, kit)] + [
                fault async for fault in _offers(subject, kit, ear)
            ]


async def _routes(subject: Subject, kit: Kit) -> AsyncIterator[Fault]:
    for route in subject.module.promise.routes:
        answer = await kit.client.request(route.method, _PARAMETER.sub(_NOBODY_IS, route.path))
        match route.access:
            case Permission() | SignedIn() if answer.status_code != 401:
                wanted = "401, as nobody is signed in"
            case Signature() if answer.status_code < 400 or answer.status_code >= 500:
                wanted = "a refusal, as nothing is signed"
            case _ if answer.status_code >= 500:
                wanted = "no error of its own"
            case _:
                continue
        yield Fault(
            "ROUTE_ANSWERS_ANYBODY" if answer.status_code < 400 else "ROUTE_FAILS",
            f"{route.key} answers {answer.status_code} to an empty request, instead of {wanted}",
            where=subject.name,
        )


async def _offers(subject: Subject, kit: Kit, ear: Ear) -> AsyncIterator[Fault]:
    contract, tenant = subject.module.contract, uuid7()
    told: dict[str, BaseModel] = {}
    offered: list[Bindable[Any]] = [*contract.hooks, *contract.events]
    for target in offered:
        try:
            payload = told[target.name] = sample(target.name, target.payload, subject.samples)
        except NoSample:
            continue  # the promise's chapter tells of it
        async with kit.unit(tenant=tenant) as unit:
            match target:
                case Guard():
                    await unit.guard(target, payload)
                case Transform():
                    await unit.transform(target, payload)
                case Observe():
                    await unit.observe(target, payload)
                case Event():
                    await unit.emit(target, payload)
    await kit.work()
    for name, payload in told.items():
        if ear.heard.get(name) != payload:
            yield Fault(
                "OFFER_UNHEARD",
                f"{name} was told with {payload!r}, and who is bound to it heard {ear.heard.get(name)!r}",
                where=subject.name,
            )
