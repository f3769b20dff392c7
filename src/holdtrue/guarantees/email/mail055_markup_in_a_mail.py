"""Markup that a mail takes over from a text.

What production does
--------------------
Somebody invites a stranger to the team `<a href="https://evil.test">Your account is locked</a>`, and the app sends it,
signed with its own domain.

Why apps break here
-------------------
Pages are escaped by the framework. The mail's template is rendered by a bare `Environment()`, or put together from
strings, and escapes nothing.

Wrong
-----
    Environment(loader=loader).get_template("invitation.html").render(team=team.name)

Right
-----
    Environment(loader=loader, autoescape=True).get_template("invitation.html").render(team=team.name)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from html.parser import HTMLParser

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.guarantees.email.rounds import mails
from holdtrue.guarantees.email.texts import Shown, Slot, learn, type_in
from holdtrue.stage import Stage
from holdtrue.stage.mail import Mail
from holdtrue.stage.steps import StepFailedError

MARK, PLACE = "data-holdtrue", "https://intruder.test/here"
TEXTS = {
    "an element": f'{{}} <a href="{PLACE}" {MARK}="1">here</a>',
    "the end of an attribute": f'{{}}" {MARK}="1" \' {MARK}=\'1\' x="',
}


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """Markup wherever an HTML part shows text: it must be shown as it was typed."""
    learned = await learn(stage, mails(stage.document))
    for name, shown in learned.items():
        if isinstance(shown, str):
            yield Untried(subject=f"mail.{name}", reason=shown)
    with_html = {name: shown for name, shown in learned.items() if isinstance(shown, Shown) and shown.html}
    if not with_html:
        yield Absent(reason="no mail of it has an HTML part")
        return
    clean = await _together(stage, {name: shown.in_html for name, shown in with_html.items()})
    for name, shown in with_html.items():
        if not shown.in_html:
            yield Case(name=f"{name}: its HTML shows nobody's text", play=_nothing, cause=name)
            continue
        for words, text in TEXTS.items():
            case = f"{name}: {words} in a text"
            yield Case(
                name=case, play=partial(_play, stage, case, name, shown.in_html, text, clean), cause="not escaped"
            )


async def _nothing() -> Harm | None:
    """What was typed is nowhere in it."""
    return None


async def _together(stage: Stage, found: dict[str, tuple[Slot, ...]]) -> set[str]:
    """The cases that were tried while no mail took anything for markup; none where one did."""
    await stage.reset()
    after, tried = len(stage.mail.mails), set()
    for name, slots in found.items():
        for words, text in TEXTS.items():
            if not slots:
                continue
            try:
                await type_in(stage, name, slots, text)
            except StepFailedError:
                stage.distrust()
            else:
                tried.add(f"{name}: {words} in a text")
    await stage.rest()
    return set() if _made(stage.mail.mails[after:]) else tried


async def _play(stage: Stage, case: str, name: str, slots: tuple[Slot, ...], text: str, clean: set[str]) -> Harm | None:
    if case in clean:
        clean.remove(case)  # what was seen counts once; when it is played again, it is tried alone
        return None
    await stage.reset()
    after = len(stage.mail.mails)
    await type_in(stage, name, slots, text)
    await stage.rest()
    made = _made(stage.mail.mails[after:])
    if made is None:
        return None
    fields = ", ".join(dict.fromkeys(map(str, slots)))
    return Harm(
        seen=f"{text.format('…')!r} was typed into {fields} of what leads to the mail {name!r}; its HTML has an "
        f"element made of that: {made}.",
        where=f"mail.{name}",
        clause=("mail", name),
    )


def _made(came: Sequence[Mail]) -> str | None:
    """The start tag that a text made in one of these mails, if one did."""
    for mail in came:
        reader = _Reader()
        reader.feed(mail.html or "")
        reader.close()
        if reader.ours:
            return reader.ours
        # An address that is made a link although the tag around it is shown as text is the app's own doing.
        if reader.linked and "<a href=" not in "".join(reader.words):
            return reader.linked
    return None


class _Reader(HTMLParser):
    """Finds elements and attributes that no template has."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.ours = ""
        self.linked = ""
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if any(name == MARK for name, _ in attrs):
            self.ours = self.get_starttag_text() or tag
        if any(name in ("href", "src", "action") and PLACE in (value or "") for name, value in attrs):
            self.linked = self.get_starttag_text() or tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="MAIL055",
    catalogue="P55",
    severity=Severity.HIGH,
    promise="Whatever anybody types appears in a mail's HTML as text, never as markup.",
    why="Anybody can have the app send a phishing mail to anybody, from its own domain and with its own signature.",
    do="Render the HTML parts of mails with a template engine that escapes, switched on for every template.",
    do_not="Do not filter `<script>`: a link and a sentence are enough.",
    subjects=mails,
    rehearse=rehearse,
    weight=2,
)
