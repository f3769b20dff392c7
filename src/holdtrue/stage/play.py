"""What rehearsals do to an app: call a route as somebody, make a purchase, deliver a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from holdtrue.contract.document import Request
from holdtrue.contract.errors import UsageError
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST
from holdtrue.stage.payments import Delivery, Event
from holdtrue.stage.scene import Call, Twin
from holdtrue.stage.stage import Stage
from holdtrue.stage.steps import Rendered, StepFailedError, meets
from holdtrue.stage.tokens import lifetimes

HOME, FOREIGN = "a", "b"
"""Rehearsals happen in the first tenant; the second one is where attackers come from."""
MOST_HUNG = 2
"""Requests that a route may let hang in a check: each takes as long as the client's patience."""

AT_ONCE = (0.0, 0.0)
REDELIVERIES = (*AT_ONCE, 1.0, 2.0)
"""Seconds after which an event that was refused comes again. Stripe redelivers for days; who had lost a connection
takes it at once, and who looks every second whether to serve at all takes it a little later."""


def principal_of(stage: Stage, key: str, tenant: str = HOME) -> Who | None:
    """Who calls a route with success: the one the document names, else the first that holds the permission."""
    route = stage.document.routes[key]
    if route.as_ is not None:
        return stage.cast.who(route.as_, tenant)
    if route.permission is None:
        return None
    members = (who for who in stage.cast.members() if who.tenant in (tenant, None))
    return next((who for who in members if stage.cast.holds(who, str(route.permission))), None)


async def make_ready(stage: Stage, key: str, tenant: str = HOME) -> Call:
    """Play what must have happened before a route can be called with success.

    Raises:
        StepFailedError: a step was refused.
    """
    route = stage.document.routes[key]
    principal = principal_of(stage, key, tenant)
    if route.permission is not None and principal is None:
        raise StepFailedError(
            f"nobody in the cast holds {route.permission!r}",
            where=key,
            do="Give a principal that permission, or name one with `as`.",
        )
    variables: dict[str, object] = {}
    if route.after is not None:
        webhook, _, journey = route.after.partition(".")
        for event in await purchase(stage, webhook, journey, tenant, variables):
            await deliver_well(stage, webhook, event)
        await stage.rest()
    await stage.player.play(route.before, who=principal, tenant=tenant, extra=variables, default=principal)
    if route.before:
        # What follows behind these answers (a mail, its outbox row) must not be taken for the work of the call.
        await stage.rest()
    return Call(key=key, route=route, tenant=tenant, principal=principal, variables=variables)


async def ready_for(stage: Stage, key: str) -> Call:
    """Go to the scene and make a route ready; or stay, where just that was done and nothing was written since.

    Raises:
        StepFailedError: a step was refused.
    """
    standing = stage.standing
    if standing is not None and standing.key == key:
        return standing
    await stage.fresh()
    ready = await make_ready(stage, key)
    stage.stand(ready)
    return ready


async def call(stage: Stage, ready: Call, *, sender: Who | None, at: str | None = None) -> Answer:
    """Call a route with its own tenant's ids, as any sender, addressed to the tenant ``at`` with that one's canary.

    Raises:
        StepFailedError: no answer came, or the route let too many requests hang.
    """
    if stage.setting.hung[ready.key] >= MOST_HUNG:
        raise StepFailedError(
            f"it let {MOST_HUNG} requests hang, and was not asked again",
            where=ready.key,
            why="Whether it was done or refused cannot be told from silence, so this proves nothing.",
            do="See in the app's log what its handler waits for.",
        )
    answer = await stage.player.send_rendered(
        request_of(stage, ready, sender=sender, at=at or ready.tenant), sender=sender
    )
    if answer.hung:
        stage.setting.hung[ready.key] += 1
    if answer.failed:
        stage.doubt = ready.key
    return answered(answer, ready.key)


def answered(answer: Answer, where: str) -> Answer:
    """Return the answer; silence is no refusal.

    Raises:
        StepFailedError: no answer came.
    """
    if answer.status is None:
        raise StepFailedError(
            f"it was answered {answer.describe()}",
            where=where,
            why="Whether it was done or refused cannot be told from silence, so this proves nothing.",
            do="See in the app's log why it did not answer; a process that ends is started again.",
        )
    return answer


async def still_well(stage: Stage, key: str) -> None:
    """Make sure that a 5xx was one request's answer, and not the end of an app that answers nobody any more.

    Raises:
        StepFailedError: whoever may call the route is not answered either.
    """
    await stage.reset()
    await call_well(stage, await make_ready(stage, key))


def request_of(stage: Stage, ready: Call, *, sender: Who | None, at: str) -> Rendered:
    """The request that ``call`` sends."""
    route = ready.route
    view = dict(stage.cast.view(ready.principal, ready.tenant, dict(ready.variables)))
    if at != ready.tenant:
        # Free text is the sender's own. Were it the other tenant's, an app that echoes it would seem to leak it.
        view["canary"] = stage.cast.canary(at)
    view |= stage.player.render_all(route.params, view)
    request = Request(request=ready.key, headers=route.headers, query=route.query, json_=route.json_, form=route.form)
    return stage.player.render(request, sender=sender, tenant=at, view=view)


async def twin(stage: Stage, key: str) -> Twin:
    """Call a route as it is meant to be called, and see what comes of it: the positive twin of every refusal.

    Once in a check is enough, as each one starts from the same scene.

    Raises:
        StepFailedError: it does not succeed, so that a refusal of somebody else would prove nothing.
    """
    known = stage.setting.twins.get(key)
    if known is not None:
        return known
    return await call_well(stage, await ready_for(stage, key))


async def call_well(stage: Stage, ready: Call) -> Twin:
    """Call a route as it is meant to be called, now.

    Raises:
        StepFailedError: it does not succeed.
    """
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, ready, sender=sender_of(stage, ready))
    if not meets(ready.route.expect, answer):
        ended = stage.player.refused(answer, ready.principal)
        raise StepFailedError(
            f"called as it is meant to be, it was answered {answer.describe()}: "
            f"{stage.redactor.text(answer.text[:200])}{f'; {ended}' if ended else ''}",
            where=ready.key,
            do=lifetimes.DO
            if ended
            else "Give the route a body, parameters, `before` steps or `as` with which it succeeds.",
        )
    stage.setting.reached.add(ready.key)
    known = stage.setting.twins[ready.key] = Twin(answer=answer, rows=seen.rows, statements=tuple(seen.statements))
    return known


async def try_route(stage: Stage, key: str, port: int) -> Answer | None:
    """Call a route of another process with what the scene knows; None when that does not fill the request."""
    principal = principal_of(stage, key)
    ready = Call(
        key=key, route=stage.document.routes[key], tenant=HOME, principal=principal, variables={"unique": "u0"}
    )
    try:
        rendered = request_of(stage, ready, sender=sender_of(stage, ready), at=HOME)
    except UsageError:
        return None
    return await stage.player.send_rendered(rendered, sender=sender_of(stage, ready), port=port)


def sender_of(stage: Stage, ready: Call) -> Who | None:
    """Who sends the positive twin: a public route is called by nobody, whoever's variables its body uses."""
    return ready.principal if ready.route.permission is not None else None


async def purchase(stage: Stage, webhook: str, journey: str, tenant: str, variables: dict[str, object]) -> list[Event]:
    """Buy something, up to the events the provider then has for the app. Nothing is delivered yet.

    Raises:
        StepFailedError: a step was refused, or the app asked the provider for nothing.
    """
    told = stage.document.webhooks[webhook].journeys[journey]
    sessions = len(stage.payments.sessions)
    await stage.player.play(told.steps, who=None, tenant=tenant, extra=variables)
    made = stage.payments.sessions[sessions:]
    if not made:
        raise StepFailedError(
            "the app created no Checkout session",
            where=f"webhooks.{webhook}.journeys.{journey}",
            do="The journey's steps must lead to a Checkout session at the provider.",
        )
    act = getattr(stage.payments.customer, told.customer)
    events: list[Event] = act(made[-1]["id"])
    wanted = [event for event in events if event.type in told.events]
    stage.player.evidence.add("provider", customer=told.customer, events=[event.type for event in events])
    missing = sorted(set(told.events) - {event.type for event in wanted})
    if missing:
        raise StepFailedError(
            f"`{told.customer}` caused no {', '.join(missing)}; it caused {', '.join(e.type for e in events)}",
            where=f"webhooks.{webhook}.journeys.{journey}.events",
            do="List the event types that this purchase causes and the app listens to.",
        )
    return wanted


async def deliver(stage: Stage, webhook: str, delivery: Delivery, *, process: str = FIRST, note: str = "") -> Answer:
    """Send a webhook delivery to a process of the app, byte for byte."""
    method, path = stage.document.webhooks[webhook].route.split(" ", 1)
    rendered = Rendered(method=method, path=path, headers=dict(delivery.headers), query={}, json_body=None, form=None)
    stage.player.evidence.add("webhook", process=process, note=note)
    return await stage.player.send_rendered(
        rendered, sender=None, port=(await stage.web(process)).port, content=delivery.body
    )


async def deliver_event(stage: Stage, webhook: str, event: Event, *, process: str = FIRST, note: str = "") -> Answer:
    """Deliver an event once, as the provider does: what is answered 2xx counts as delivered there."""
    answer = await deliver(stage, webhook, stage.payments.webhooks.delivery(event), process=process, note=note)
    if answer.admitted:
        stage.payments.webhooks.mark_delivered(event)
    return answer


async def deliver_until_taken(
    stage: Stage,
    webhook: str,
    event: Event,
    *,
    process: str = FIRST,
    note: str = "",
    pauses: Iterable[float] = REDELIVERIES,
) -> list[Answer]:
    """Deliver an event, and after each of the pauses again, as long as it is not answered 2xx; return every answer."""
    answers = [await deliver_event(stage, webhook, event, process=process, note=note)]
    for pause in pauses:
        if answers[-1].admitted:
            break
        await asyncio.sleep(pause)
        answers.append(await deliver_event(stage, webhook, event, process=process, note="redelivered"))
    return answers


async def deliver_well(stage: Stage, webhook: str, event: Event, *, process: str = FIRST) -> Answer:
    """Deliver an event as the provider does, and expect a 2xx.

    Raises:
        StepFailedError: the app did not take it.
    """
    answer = await deliver_event(stage, webhook, event, process=process)
    if not answer.admitted:
        silent = answer.status is None
        said = "" if silent else f": {stage.redactor.text(answer.text[:200])}"
        raise StepFailedError(
            f"a rightly signed {event.type} was answered {answer.describe()}{said}",
            where=stage.document.webhooks[webhook].route,
            do="See in the app's log what its handler waits for or dies of; a provider waits for some seconds only."
            if silent
            else "Check the webhook's secret in `process.env` ({stripe_webhook_secret}) and its route.",
        )
    stage.setting.reached.add(stage.document.webhooks[webhook].route)
    return answer
