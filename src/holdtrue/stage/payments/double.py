"""The Stripe double: an HTTPS server that the official SDKs take for Stripe, with a state that can be put back."""

import json
import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from holdtrue.stage.http import Authority, Drop, HttpServer, Request, Response
from holdtrue.stage.payments import accounts, billing, errors, forms, ledger, shapes, versions
from holdtrue.stage.payments.bank import Bank
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.calls import Call
from holdtrue.stage.payments.clock import Clock
from holdtrue.stage.payments.customer import ScriptedCustomer
from holdtrue.stage.payments.exchange import form_of, key_of, response_of
from holdtrue.stage.payments.idempotency import IdempotencyKeys, Kept
from holdtrue.stage.payments.ids import Ids
from holdtrue.stage.payments.outages import Hold, Match, Mode, Outage
from holdtrue.stage.payments.service import Answer, Service
from holdtrue.stage.payments.store import AccountStore, Resource
from holdtrue.stage.payments.webhooks import Secret, Webhooks
from holdtrue.stage.payments.world import Dunning, Event, World, WorldState

HOSTS = ("api.stripe.com", "connect.stripe.com", "files.stripe.com", "meter-events.stripe.com")
"""Stripe's names, under all of which the double answers; it also answers as 127.0.0.1 and localhost."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class State:
    """A snapshot of the double: objects, events, keys, clock, calls."""

    world: WorldState = field(repr=False)
    kept: dict[tuple[str, str], Kept] = field(repr=False)
    calls: tuple[Call, ...] = field(repr=False)
    secrets: tuple[Secret, ...] = field(repr=False)


class StripeDouble:
    """A Stripe for one run.

    Args:
        authority: issues the certificate; None serves plain HTTP, for apps that are configured with an `http://` base.
        seed: the same seed and the same requests give the same ids.
        clock: the time Stripe believes in.
        api_version: the account's default, for requests without `Stripe-Version` and for events.
    """

    def __init__(
        self, *, authority: Authority | None, seed: str, clock: Clock, api_version: str = versions.LATEST
    ) -> None:
        self.secret_key = f"sk_test_{secrets.token_hex(24)}"
        self.publishable_key = f"pk_test_{secrets.token_hex(24)}"
        self.calls: list[Call] = []
        self.crashes: list[Exception] = []
        self.world = World(ids=Ids(seed), clock=clock, api_version=versions.check(api_version))
        self.customer = ScriptedCustomer(self.world, self._owner_books)
        self.bank = Bank(self.world, self._owner_books)
        self.webhooks = Webhooks(self.world, self._event_books, f"whsec_{secrets.token_hex(16)}")
        self._keys = IdempotencyKeys()
        self._service = Service()
        self._outages: list[Outage] = []
        self._holds: list[Hold] = []
        tls = None if authority is None else authority.server_context(*HOSTS, "127.0.0.1", "localhost")
        self._server = HttpServer(self._handle, tls=tls)

    async def start(self) -> None:
        """Begin to listen on 127.0.0.1."""
        await self._server.start()

    async def close(self) -> None:
        """Stop, and cut what hangs."""
        await self._server.close()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._server.port

    @property
    def url(self) -> str:
        """`https://127.0.0.1:port`."""
        return self._server.url

    @property
    def webhook_secret(self) -> str:
        """The secret of the endpoint that the app is configured with; `webhooks.roll()` replaces it."""
        return self.webhooks.secrets[-1].value

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for an answer that is on its way: not for one that is held, or that never comes."""
        held = bool(self._holds) or any(outage.mode == "hang" for outage in self._outages)
        return self._server.awaited and not held

    @property
    def unmodelled(self) -> list[str]:
        """What was asked for and is not modelled, once each: `GET /v1/topups`, `POST /v1/customers: tax[ip_address]`.

        An address was answered with Stripe's 404 for an unknown URL; a parameter was accepted without effect.
        """
        return list(self._service.unmodelled)

    def connect(self, account: str | None = None) -> str:
        """Connect an account to the platform, so that `Stripe-Account` may name it; answers its id."""
        identifier = account or self.world.ids.next("account")
        if identifier not in self.world.accounts:
            accounts.make(self._books(self.world.accounts[self.world.platform]), identifier)
            self.world.connect(identifier)
        return identifier

    def snapshot(self) -> State:
        """The whole state; cheap."""
        return State(
            world=self.world.snapshot(),
            kept=dict(self._keys.kept),
            calls=tuple(self.calls),
            secrets=self.webhooks.snapshot(),
        )

    def restore(self, state: State) -> None:
        """Back to a snapshot. Outages, holds and what was found unmodelled stay."""
        self.world.restore(state.world)
        self._keys.kept = dict(state.kept)
        self.webhooks.restore(state.secrets)
        self.calls[:] = state.calls

    def advance(self, seconds: float) -> list[Event]:
        """Let time pass: what falls due on the way happens (expiry, renewals, ends of trials); answers the events."""
        return billing.advance(self.world, self._books, seconds)

    def all(self, kind: str) -> list[Resource]:
        """Every object of a kind (`charge`, `checkout.session`, …) in all accounts, oldest first, newest shape."""
        return [
            shapes.shape(resource, versions.LATEST, store)
            for store in self.world.accounts.values()
            for resource in store.all(kind)
        ]

    def latest(self, kind: str) -> Resource:
        """The newest object of a kind.

        Raises:
            LookupError: the app made none.
        """
        found = self.all(kind)
        if not found:
            raise LookupError(
                f"the app made no {kind} at Stripe in this scenario; it made these calls: "
                f"{[f'{call.method} {call.path}' for call in self.calls] or 'none'}"
            )
        return found[-1]

    @property
    def dunning(self) -> Dunning:
        """The account's setting for renewals that are not paid; part of the state that snapshots keep."""
        return self.world.script.dunning

    @dunning.setter
    def dunning(self, setting: Dunning) -> None:
        self.world.script.dunning = setting

    @property
    def sessions(self) -> list[Resource]:
        """The Checkout sessions, oldest first."""
        return self.all("checkout.session")

    @property
    def events(self) -> tuple[Event, ...]:
        """All events of all accounts, oldest first."""
        return tuple(self.world.events)

    def emit(self, type_: str, resource: Resource, *, account: str | None = None) -> Event:
        """An event of any type about any object: for instance one of a type that no app handles."""
        store = self.world.accounts[account or self.world.platform]
        return self._books(store).emit(type_, resource)

    def withdraw(self, events: Iterable[Event]) -> None:
        """Have events never been told: they are neither listed nor found; what happened has happened all the same."""
        gone = {event.id for event in events}
        self.world.events = [event for event in self.world.events if event.id not in gone]

    def ledger(self) -> dict[str, Any]:
        """The facts about money, canonical: see `ledger.ledger`."""
        return ledger.ledger(self.world)

    @contextmanager
    def outage(self, mode: Mode, match: Match = None, *, times: int | None = None) -> Iterator[Outage]:
        """Trouble for matching calls while the block runs: see `Outage` for the modes."""
        outage = Outage(mode=mode, match=match, times=times)
        self._outages.append(outage)
        try:
            yield outage
        finally:
            outage.over.set()
            self._outages.remove(outage)

    @contextmanager
    def hold(self, match: Match = None, *, after: bool = False) -> Iterator[Hold]:
        """Matching calls wait, before anything happens, until `release()` or the end of the block.

        With `after` it has happened, and its events can be delivered, while the app still waits for the answer.
        """
        hold = Hold(match=match, after=after)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            hold.release()
            self._holds.remove(hold)

    async def _handle(self, request: Request) -> Response | Drop:
        call = self._record(request)
        outage = next((one for one in self._outages if one.takes(call)), None)
        if outage is not None and outage.mode == "refuse":
            return Drop()
        if outage is not None and outage.mode == "hang":
            await outage.over.wait()
            return Drop()
        answer = await self._answer(request, call, None if outage is None else outage.mode)
        await self._held(call, after=True)
        call.status, call.response = answer.status, json.loads(answer.body)
        if outage is not None and outage.mode == "lose_response":
            return Drop()
        call.delivered = True
        return response_of(call, answer)

    def _record(self, request: Request) -> Call:
        try:
            parameters = forms.decode(form_of(request))
        except errors.StripeError:
            parameters = {}  # decoded again, and refused, once the caller is known
        call = Call(
            method=request.method,
            path=request.path,
            parameters=parameters,
            idempotency_key=request.header("idempotency-key"),
            account=request.header("stripe-account"),
            version=request.header("stripe-version") or self.world.api_version,
            at=self.world.clock.now(),
            request_id=self.world.ids.next("request"),
        )
        self.calls.append(call)
        return call

    async def _answer(self, request: Request, call: Call, trouble: Mode | None) -> Answer:
        books: Books | None = None
        try:
            store = self._authorise(request)
            versions.check(call.version)
            key = call.idempotency_key if call.method == "POST" else None
            books = Books(
                world=self.world,
                account=store.account,
                version=call.version,
                request_id=call.request_id,
                idempotency_key=key,
            )
            forms.decode(form_of(request))
            if trouble == "rate_limit":
                raise errors.too_many()
            if key is None:
                await self._held(call)
                return self._execute(books, call, trouble)
            return await self._once(books, call, key, trouble)
        except errors.StripeError as error:
            return self._service.refusal(books, error)

    async def _once(self, books: Books, call: Call, key: str, trouble: Mode | None) -> Answer:
        account, parameters = books.store.account, dict(call.parameters)
        kept = self._keys.begin(account, key, call.path, parameters, books.now())
        if kept is not None:
            call.replayed = True
            replayed = (("Idempotent-Replayed", "true"), ("Original-Request", kept.request_id))
            return Answer(status=kept.status, body=kept.body, headers=replayed)
        try:
            await self._held(call)
            try:
                answer = self._execute(books, call, trouble)
            except errors.StripeError as error:
                answer = self._service.refusal(books, error)
            if answer.stored:
                self._keys.keep(
                    account,
                    key,
                    Kept(
                        endpoint=call.path,
                        parameters=parameters,
                        status=answer.status,
                        body=answer.body,
                        request_id=str(call.request_id),
                        at=books.now(),
                    ),
                )
            return answer
        finally:
            self._keys.release(account, key)

    async def _held(self, call: Call, *, after: bool = False) -> None:
        for hold in list(self._holds):
            if hold.after == after:
                await hold.wait(call)

    def _execute(self, books: Books, call: Call, trouble: Mode | None) -> Answer:
        if trouble == "error500":
            raise errors.server_failure()
        try:
            return self._service.execute(books, call.method, call.path, call.parameters)
        except errors.StripeError:
            raise
        except Exception as defect:
            _log.exception("the Stripe double failed on %s %s", call.method, call.path)
            self.crashes.append(defect)
            raise errors.server_failure() from defect

    def _authorise(self, request: Request) -> AccountStore:
        key = key_of(request)
        if not key:
            raise errors.no_key()
        if compare_digest(key.encode(), self.publishable_key.encode()):
            raise errors.publishable_key()
        if not compare_digest(key.encode(), self.secret_key.encode()):
            raise errors.wrong_key(key)
        account = request.header("stripe-account") or self.world.platform
        if account not in self.world.accounts:
            raise errors.no_access(key, account)
        return self.world.accounts[account]

    def _books(self, store: AccountStore) -> Books:
        return Books(world=self.world, account=store.account, version=self.world.api_version)

    def _owner_books(self, identifier: str) -> Books:
        return self._books(self.world.owner(identifier))

    def _event_books(self, account: str | None) -> Books:
        return self._books(self.world.accounts[account or self.world.platform])
