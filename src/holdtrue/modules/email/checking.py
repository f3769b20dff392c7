"""Tries every template of a composed app with samples of its payload, before any request can fail of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import ValidationError

from holdtrue.contract import Contract, MailTemplate
from holdtrue.modules.email.rendering import render
from holdtrue.modules.email.samples import sample
from holdtrue.runtime import Fault


def check(contracts: Sequence[Contract]) -> Iterable[Fault]:
    """Every template that cannot be sent."""
    for template in (each for contract in contracts for each in contract.mails):
        yield from _template(template)


def _template(template: MailTemplate) -> Iterator[Fault]:
    if template.stream == "marketing":
        yield Fault(
            "MAIL_STREAM",
            f"{template.name} is marketing",
            why="Such mail needs an unsubscribe link that works by one click (RFC 8058), and this module has none.",
            do="Send it through a service made for it.",
        )
    troubles = (_tried(template, sparse=sparse) for sparse in (False, True))
    yield from [trouble for trouble in troubles if trouble is not None][:1]


def _tried(template: MailTemplate, *, sparse: bool) -> Fault | None:
    try:
        rendered = render(template, sample(template.payload, sparse=sparse))
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        return Fault(
            "MAIL_SAMPLE",
            f"{template.name} cannot be tried: no {template.payload.__name__} can be made up, for {fields}",
            do='Say what a value looks like: Field(examples=["…"]).',
        )
    except Fault as fault:
        return fault
    except Exception as error:  # noqa: BLE001  (the edge to somebody else's template, which may raise anything)
        return Fault(
            "MAIL_TEMPLATE_BROKEN",
            f"{template.name} cannot be rendered: {type(error).__name__}: {error}",
            why="Whatever owes this mail would fail.",
            do="A field that may be None needs an {% if %}.",
        )
    if rendered.subject and rendered.text.strip():
        return None
    return Fault("MAIL_EMPTY", f"{template.name} has no {'text' if rendered.subject else 'subject'}", do="Write one.")
