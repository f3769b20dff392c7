"""Free text that somebody types and a mail shows: found by typing something harmless and looking where it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdtrue.contract.document import Mail, Request
from holdtrue.contract.errors import UsageError
from holdtrue.contract.template import render
from holdtrue.guarantees.email.rounds import cause, missing, prepare
from holdtrue.stage import Stage
from holdtrue.stage.mail import Mail as Received
from holdtrue.stage.play import HOME
from holdtrue.stage.steps import StepFailedError, meets

NO_TEXT = re.compile(
    r"pass(word|code)|secret|token|slug|domain|currency|locale|country|role|status|(^|_)(id|at|on|date|url)$", re.I
)
"""Fields that a person fills with no text of their own."""
TOO_MANY = 429


@dataclass(frozen=True)
class Slot:
    """A string in what a step sends; ``step`` counts those before the cause, and the cause last."""

    step: int
    path: tuple[str | int, ...]
    """Begins with ``json`` or ``form``."""

    def __str__(self) -> str:
        return ".".join(map(str, self.path[1:]))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a mail shows when harmless text is typed."""

    html: bool
    """It has an HTML part."""
    anywhere: tuple[Slot, ...]
    """The slots whose text is seen in a header or a body."""
    in_html: tuple[Slot, ...]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of typing something."""

    to: str
    after: int
    """How many mails there were before."""


def slots(mail: Mail) -> list[Slot]:
    """The free text that leads to a mail: no addresses, no ids, no passwords."""
    return [
        slot
        for slot, text in _strings(mail)
        if "@" not in text and not re.fullmatch(r"\{\w+\}", text) and _is_text(slot)
    ]


def addresses(stage: Stage, mail: Mail) -> list[Slot]:
    """The slots that say to whom the mail goes: those with the same text as the document's ``to``."""
    view = stage.cast.view(None, HOME, {"unique": "u"})
    to = _rendered(mail.to, view)
    return [slot for slot, text in _strings(mail) if "@" in text and _rendered(text, view) == to]


def with_texts(mail: Mail, texts: Mapping[Slot, str]) -> Mail:
    """The same mail, but for what is typed; ``{}`` in a text stands for what was there."""
    steps = [*mail.before, mail.cause]
    for slot, text in texts.items():
        step = steps[slot.step]
        if isinstance(step, Request):
            kind = slot.path[0]
            body = _replaced(step.json_ if kind == "json" else step.form, slot.path[1:], text)
            steps[slot.step] = step.model_copy(update={"json_" if kind == "json" else "form": body})
    return mail.model_copy(update={"before": steps[:-1], "cause": steps[-1]})


async def send(stage: Stage, name: str, told: Mail) -> Sent | None:
    """Cause a mail on the stage as it is; None where the app refuses what was typed.

    Raises:
        StepFailedError: it refuses because it was asked too often, which proves nothing.
    """
    after = len(stage.mail.mails)
    try:
        variables, to = await prepare(stage, name, reset=False, told=told)
    except StepFailedError:
        return None
    answer = await cause(stage, name, variables, told=told)
    if answer.status == TOO_MANY:
        raise StepFailedError("it was asked too often", where=f"mail.{name}")
    return Sent(to=to, after=after) if meets(told.cause.expect, answer) else None


async def type_in(stage: Stage, name: str, found: Sequence[Slot], text: str) -> list[Sent]:
    """Type the same into all slots; where the app refuses that, into each alone. What was not refused is returned.

    Raises:
        StepFailedError: it refuses because it was asked too often, which proves nothing.
    """
    mail = stage.document.mail[name]
    together = await send(stage, name, with_texts(mail, dict.fromkeys(found, text)))
    if together is not None or len(found) == 1:
        return [together] if together is not None else []
    alone = [await send(stage, name, with_texts(mail, {slot: text})) for slot in found]
    return [each for each in alone if each is not None]


async def learn(stage: Stage, names: list[str]) -> dict[str, Shown | str]:
    """What each mail shows, or why that cannot be told. All are tried together first."""
    await stage.reset()
    found: dict[str, Shown | str] = {}
    sent: dict[str, Sent] = {}
    for name in names:
        mail = stage.document.mail[name]
        try:
            if done := await send(stage, name, with_texts(mail, _marks(slots(mail)))):
                sent[name] = done
        except StepFailedError:
            continue  # tried alone
    await stage.rest()
    for name in names:
        came = stage.mail.find(to=sent[name].to, after=sent[name].after) if name in sent else []
        found[name] = _shown(came, slots(stage.document.mail[name])) if came else await _alone(stage, name)
    return found


async def _alone(stage: Stage, name: str) -> Shown | str:
    mail = stage.document.mail[name]
    seen: list[Shown] = []
    for texts in ({}, *({slot: text} for slot, text in _marks(slots(mail)).items())):
        await stage.reset()
        try:
            done = await send(stage, name, with_texts(mail, texts))
        except StepFailedError as error:
            return str(error)
        lost = done is None or await missing(stage, [done.to], after=done.after)
        if lost and not texts:
            return "no mail came although nothing was wrong"
        if done is not None and not lost:
            seen.append(_shown(stage.mail.find(to=done.to, after=done.after), slots(mail)))
    return Shown(
        html=any(each.html for each in seen),
        anywhere=tuple(slot for each in seen for slot in each.anywhere),
        in_html=tuple(slot for each in seen for slot in each.in_html),
    )


def _marks(found: list[Slot]) -> dict[Slot, str]:
    return {slot: f"{{}} {_mark(number)}" for number, slot in enumerate(found)}


def _mark(number: int) -> str:
    """A word that nothing else says."""
    letters = "bcdfghjklmnpqrstvwxz"
    return f"zq{letters[number % 20]}{letters[number // 20 % 20]}kqz"


def _shown(came: list[Received], found: list[Slot]) -> Shown:
    html = " ".join(mail.html or "" for mail in came).lower()
    headers = " ".join(value for mail in came for _, value in mail.headers)
    anywhere = " ".join([html, headers, *(mail.text or "" for mail in came)]).lower()
    return Shown(
        html=bool(html),
        anywhere=tuple(slot for number, slot in enumerate(found) if _mark(number) in anywhere),
        in_html=tuple(slot for number, slot in enumerate(found) if _mark(number) in html),
    )


def _is_text(slot: Slot) -> bool:
    return not NO_TEXT.search(next((str(part) for part in reversed(slot.path) if isinstance(part, str)), ""))


def _rendered(text: str, view: Mapping[str, object]) -> str:
    try:
        return render(text, view)
    except UsageError:  # what an earlier step captures fills it
        return text


def _strings(mail: Mail) -> Iterator[tuple[Slot, str]]:
    for number, step in enumerate([*mail.before, mail.cause]):
        if isinstance(step, Request):
            for kind, body in (("json", step.json_), ("form", step.form)):
                for path, text in _leaves(body):
                    yield Slot(number, (kind, *path)), text


def _leaves(body: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(body, str):
        yield (), body
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in items:
        for path, text in _leaves(value):
            yield (name, *path), text


def _replaced(body: Any, path: tuple[str | int, ...], text: str) -> Any:
    if not path:
        return text.replace("{}", body)
    if isinstance(body, dict):
        return {name: _replaced(value, path[1:], text) if name == path[0] else value for name, value in body.items()}
    return [_replaced(value, path[1:], text) if at == path[0] else value for at, value in enumerate(body)]
