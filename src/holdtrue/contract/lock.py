"""``holdtrue.lock``: what a composed app was made of when it was last looked at, and the document it derived then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from holdtrue.contract.document import Document, Model
from holdtrue.contract.errors import UsageError
from holdtrue.contract.problems import key_text

LOCK_NAME = "holdtrue.lock"


class Pinned(Model):
    """One module of the app."""

    distribution: str = ""
    """The installed package it comes from; empty for a module of the app's own."""
    version: str = ""
    """That package's version."""
    contract: str
    """The version of its contract."""
    digest: str
    """SHA-256 of its contract."""
    source: str = ""
    """SHA-256 of its folder; empty for a module of the app's own, which ``Lock.source`` covers."""


class Bound(Model):
    """A function of the app or a module, where a hook, an event or a job calls it."""

    target: str
    kind: str
    function: str
    money: bool = False
    """It decides about money."""


class Runtime(Model):
    """What runs below all modules."""

    version: str
    source: str
    """SHA-256 of the contract's, the runtime's and the assembly's code."""


class Lock(Model):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    assembly: str
    """Where the app is composed: ``shop.main:assembly``."""
    source: str
    """SHA-256 of the app's own packages."""
    runtime: Runtime
    modules: dict[str, Pinned]
    bindings: Annotated[list[Bound], Field(default_factory=list)]
    offers: Annotated[dict[str, str], Field(default_factory=dict)]
    """Everything that can be bound, and what it carries: ``transform Purchase(reference: str, currency: str)``."""
    ports: Annotated[dict[str, str], Field(default_factory=dict)]
    """Port of the runtime → the function that fills it."""
    revisions: Annotated[dict[str, str], Field(default_factory=dict)]
    """Migration → SHA-256 of its file, in the order in which they are applied."""
    document: Document

    def as_json(self) -> dict[str, Any]:
        """JSON values, without what has its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def text(self) -> str:
        """The file's text: one value on a line, so that a difference is read as one."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that is not as the lock says."""

    what: str
    was: str
    now: str
    own_source: bool = False
    """Only the app's own code changed, not what it promises."""

    def __str__(self) -> str:
        if not self.was:
            return f"{self.what}: new, {self.now}"
        return f"{self.what}: {self.was} → {self.now}" if self.now else f"{self.what}: gone, was {self.was}"


def parse_lock(text: str, file: Path) -> Lock:
    """Read the text of a lock.

    Raises:
        UsageError: it was not written by this version of holdtrue, or changed by hand.
    """
    try:
        return Lock.model_validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            f"is no lock of this version: {first['msg']} at {key_text(first['loc']) or 'the top'}",
            where=str(file),
            why="The app's contract document is in it.",
            do="Write it anew: holdtrue lock",
        ) from None


def differences(old: Lock, new: Lock) -> list[Difference]:
    """What changed from one lock to another, most telling first."""
    found = list(_of_modules(old, new))
    found += _of_offers(old, new)
    found += _of_values("", _rest(old), _rest(new))
    found += _of_orders(old, new)
    if old.source != new.source:
        found.append(
            Difference(what="the app's own code", was=_short(old.source), now=_short(new.source), own_source=True)
        )
    return found


def _of_modules(old: Lock, new: Lock) -> Iterator[Difference]:
    if old.runtime != new.runtime:
        yield Difference(what="holdtrue's runtime", was=_code(old.runtime), now=_code(new.runtime))
    for name in {**old.modules, **new.modules}:
        was, now = old.modules.get(name), new.modules.get(name)
        if was == now:
            continue
        if was is None or now is None:
            yield Difference(what=f"module {name}", was=_pinned(was), now=_pinned(now))
            continue
        package = f"module {name} of {now.distribution}" if now.distribution else f"module {name}"
        if was.version != now.version or was.distribution != now.distribution:
            yield Difference(what=package, was=_pinned(was), now=_pinned(now))
        elif was.source != now.source:
            what = f"{package} {now.version}: its code was altered where it is installed"
            yield Difference(what=what, was=_short(was.source), now=_short(now.source))
        if (was.contract, was.digest) != (now.contract, now.digest):
            yield Difference(
                what=f"the contract of {name}",
                was=f"{was.contract} ({_short(was.digest)})",
                now=f"{now.contract} ({_short(now.digest)})",
            )


def _of_offers(old: Lock, new: Lock) -> Iterator[Difference]:
    """Whole: what an app's bindings are written for must not be cut short."""
    for name in {**old.offers, **new.offers}:
        was, now = old.offers.get(name, ""), new.offers.get(name, "")
        if was != now:
            yield Difference(what=name, was=was, now=now)


def _of_orders(old: Lock, new: Lock) -> Iterator[Difference]:
    """What is the same in another order: bindings run, and principals come to be, one after the other."""
    for what, was, now in (
        ("order of bindings", list(_calls(old)), list(_calls(new))),
        ("order of principals", list(old.document.principals), list(new.document.principals)),
        ("order of resources", list(old.document.resources), list(new.document.resources)),
    ):
        if was != now and sorted(was) == sorted(now):
            yield Difference(what=what, was=_shown(was), now=_shown(now))


def _rest(lock: Lock) -> dict[str, Any]:
    return {
        "assembly": lock.assembly,
        "bindings": _calls(lock),
        "ports": lock.ports,
        "revisions": lock.revisions,
        **lock.as_json()["document"],
    }


def _calls(lock: Lock) -> dict[str, str]:
    return {f"{each.target} calls {each.function}": "money" if each.money else each.kind for each in lock.bindings}


def _of_values(pointer: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            below = f"{pointer}.{key_text((key,))}" if pointer else key_text((key,))
            yield from _of_values(below, old.get(key, _ABSENT), new.get(key, _ABSENT))
        return
    yield Difference(what=pointer, was=_shown(old), now=_shown(new))


_ABSENT = object()


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}…"


def _short(digest: str) -> str:
    return digest[:15]


def _code(runtime: Runtime) -> str:
    return f"{runtime.version} ({_short(runtime.source)})"


def _pinned(module: Pinned | None) -> str:
    if module is None:
        return ""
    origin = f"{module.distribution} {module.version}".strip() or "the app's own"
    return f"{origin}, contract {module.contract}"
