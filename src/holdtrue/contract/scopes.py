"""Who acts when, and which variables exist by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdtrue.contract.document import Document, Inbox, Request, Run, Step
from holdtrue.contract.placeholders import BUILT_IN, COMMAND, OF_TENANT, Placeholders, words
from holdtrue.contract.problems import Pointer
from holdtrue.contract.template import suggestion


class Scopes:
    """Plays the steps of a document in thought, as the stage will play them."""

    def __init__(self, document: Document, texts: Placeholders) -> None:
        self._document = document
        self._texts = texts
        self.tenant: set[str] = set()
        """Variables of a tenant so far: those its principals and resources captured."""
        self._app: set[str] = set()
        self._present: list[str] = []
        """Principals that signed in so far."""

    def enter_cast(self) -> None:
        """Sign everybody in and make the resources; from then on ``everything`` is known."""
        for name in self._sign_in_order():
            self._principal(name)
        for name, resource in self._document.resources.items():
            self.who(resource.as_, ("resources", name, "as"))
            self.tenant |= self.steps(resource.steps, ("resources", name, "steps"), self.everything)

    @property
    def everything(self) -> frozenset[str]:
        """Every variable that a step inside a tenant sees by now."""
        return BUILT_IN | self.tenant | self._app

    def _sign_in_order(self) -> list[str]:
        """The stage's order: those of the tenants first, then those of the whole app."""
        cast = self._document.principals
        return [name for name in cast if cast[name].per == "tenant"] + [
            name for name in cast if cast[name].per == "app"
        ]

    def _principal(self, name: str) -> None:
        principal = self._document.principals[name]
        whole_app = principal.per == "app"
        pointer: Pointer = ("principals", name)
        self._present.append(name)
        known = (BUILT_IN - OF_TENANT) | self._app if whole_app else self.everything
        found = self.steps(principal.steps, (*pointer, "steps"), known, signing_in=name)
        for table, texts in (("headers", principal.headers), ("cookies", principal.cookies)):
            for key, text in texts.items():
                self._texts.filled([text], (*pointer, table, key), (known | found) - {"unique"})
        (self._app if whole_app else self.tenant).update(found)

    def who(self, name: str, pointer: Pointer, *, signing_in: str | None = None) -> None:
        """Check a principal's name; ``name@a`` is the one of tenant a."""
        base, _, tenant = name.partition("@")
        principals = self._document.principals
        if base not in principals:
            hint = suggestion(base, principals) or f"declared: {', '.join(principals) or 'none'}"
            self._texts.add(pointer, f"there is no principal `{base}`", hint, f"declare it: [principals.{base}]")
        elif "@" in name and (tenant not in ("a", "b") or principals[base].per == "app"):
            hint = f"write `{base}`" if principals[base].per == "app" else f"write `{base}@a` or `{base}@b`"
            self._texts.add(pointer, f"`{name}` names no one: there is no tenant `{tenant}` of it", hint)
        elif signing_in is not None and base not in self._present:
            self._texts.add(
                pointer,
                f"`{base}` signs in after `{signing_in}`, so it cannot act here",
                f"put [principals.{base}] before [principals.{signing_in}]; the tenants' principals sign in first, "
                "then those of the whole app",
            )
        elif (
            signing_in is not None
            and not tenant
            and principals[signing_in].per == "app"
            and principals[base].per == "tenant"
        ):
            self._texts.add(
                pointer,
                f"`{base}` exists once in each tenant, and this step belongs to the whole app",
                f"write `{base}@a`, or `{base}@b`",
            )

    def steps(
        self, steps: Sequence[Step], pointer: Pointer, known: Iterable[str], *, signing_in: str | None = None
    ) -> set[str]:
        """Check steps in their order and return what they capture."""
        found: set[str] = set()
        for index, step in enumerate(steps):
            found |= self.step(step, (*pointer, index), {*known, *found}, signing_in=signing_in)
        return found

    def step(self, step: Step, pointer: Pointer, known: Iterable[str], *, signing_in: str | None = None) -> set[str]:
        """Check one step and return what it captures."""
        known = set(known)
        match step:
            case Request():
                self._request(step, pointer, known, signing_in)
            case Inbox():
                self._texts.filled([step.mail], (*pointer, "mail"), known)
            case Run():
                self._texts.filled(words(step.run), (*pointer, "run"), known | COMMAND)
        for name, where in step.capture.items():
            self._texts.capture(name, where, step, (*pointer, "capture", name))
        return set(step.capture)

    def _request(self, step: Request, pointer: Pointer, known: set[str], signing_in: str | None) -> None:
        if step.as_ is not None:
            self.who(step.as_, (*pointer, "as"), signing_in=signing_in)
        if step.as_ is not None and step.as_ == signing_in:
            own = self._document.principals[signing_in]
            for name in self._texts.names([*own.headers.values(), *own.cookies.values()], pointer):
                if name in self._texts.captures and name not in known:
                    self._texts.add(
                        (*pointer, "as"),
                        f"`{signing_in}` is not signed in yet: `{name}` of its headers is captured later",
                        "leave `as` out, or capture it in an earlier step",
                    )
        self._texts.filled([step.request], (*pointer, "request"), known)
        self._texts.filled_request(step, pointer, known)
