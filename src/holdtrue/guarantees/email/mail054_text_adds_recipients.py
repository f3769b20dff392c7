"""Text that adds recipients to a mail.

What production does
--------------------
Somebody signs up as `Ann, boss@bank.test`, or sends a line break with a `Bcc:` behind it, or asks for a password reset
for two addresses at once.

Why apps break here
-------------------
The header is put together from strings, and the recipients are read off it again. A comma in a name makes two of one; a
line break begins a header of its own. The reset link goes to both.

Wrong
-----
    headers = f"To: {name} <{address}>\\r\\nSubject: {subject}\\r\\n"
    smtp.sendmail(SENDER, recipients.split(","), headers + body)

Right
-----
    message["To"] = Address(display_name=name, addr_spec=address)  # quotes what must be quoted, refuses line breaks
    smtp.send_message(message, to_addrs=[address])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes
from email.utils import getaddresses
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.email.rounds import mails
from holdtrue.guarantees.email.texts import Slot, addresses, learn, type_in
from holdtrue.stage import Stage
from holdtrue.stage.mail import Mail
from holdtrue.stage.steps import StepFailedError

STRANGER, HEADER = "intruder.test", "X-Intruder"
TEXTS = {
    "a line break and a header": f"{{}}\r\nBcc: crlf@{STRANGER}\r\n{HEADER}: 1",
    "a line feed and a header": f"{{}}\nBcc: lf@{STRANGER}\n{HEADER}: 1",
    "a comma and an address": f"{{}}, comma@{STRANGER}",
    "a quote and an address": f'{{}}" <quote@{STRANGER}>, "x',
    "an address in angle brackets": f"{{}} <angle@{STRANGER}>",
}
ADDRESSES = {
    "two addresses": f"{{}},second@{STRANGER}",
    "two addresses and a blank": f"{{}}, third@{STRANGER}",
    "an address, a line break and a header": f"{{}}\r\nBcc: behind@{STRANGER}",
}
Attempt = tuple[str, tuple[Slot, ...], str]
"""A mail, where something is typed, and what."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Hostile text wherever a mail shows some, and hostile addresses. All is tried on one clone first."""
    attempts: dict[str, Attempt] = {}
    for name, shown in (await learn(stage, mails(stage.document))).items():
        if isinstance(shown, str):
            yield Untried(subject=f"mail.{name}", reason=shown)
            continue
        to = tuple(addresses(stage, stage.document.mail[name]))
        attempts |= {f"{name}: {words} in a text": (name, shown.anywhere, text) for words, text in TEXTS.items()}
        attempts |= {f"{name}: {words} as the address": (name, to, text) for words, text in ADDRESSES.items()}
    attempts = {case: attempt for case, attempt in attempts.items() if attempt[1]}
    clean = await _together(stage, attempts)
    for case, attempt in attempts.items():
        yield Case(name=case, play=partial(_play, stage, case, attempt, clean), cause="recipients")


async def _together(stage: Stage, attempts: dict[str, Attempt]) -> set[str]:
    """The cases that were tried while nobody got a mail who must not; none where anybody did."""
    await stage.reset()
    after, tried = len(stage.mail.mails), set()
    for case, attempt in attempts.items():
        try:
            await type_in(stage, *attempt)
        except StepFailedError:
            stage.distrust()
        else:
            tried.add(case)
    await stage.rest()
    return set() if _strangers(stage.mail.mails[after:]) else tried


async def _play(stage: Stage, case: str, attempt: Attempt, clean: set[str]) -> Harm | None:
    if case in clean:
        clean.remove(case)  # what was seen counts once; when it is played again, it is tried alone
        return None
    name, found, text = attempt
    await stage.reset()
    after = len(stage.mail.mails)
    await type_in(stage, name, found, text)
    await stage.rest()
    strangers = _strangers(stage.mail.mails[after:])
    if not strangers:
        return None
    fields = ", ".join(dict.fromkeys(map(str, found)))
    return Harm(
        seen=f"{text.format('…')!r} was typed into {fields} of what leads to the mail {name!r}: {strangers[0]}.",
        where=f"mail.{name}",
        clause=("mail", name),
    )


def _strangers(came: Sequence[Mail]) -> list[str]:
    """In words, what the text made of these mails."""
    found: list[str] = []
    for mail in came:
        message = message_from_bytes(mail.raw)
        headers = [str(value) for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
        named = [address for _, address in getaddresses(headers)]
        found += [f"the mail went to {each}" for each in mail.recipients if each.lower().endswith(STRANGER)]
        if message[HEADER] is not None:
            found.append(f"the mail got headers of its own, such as {HEADER}")
        found += [f"the mail's header names {each} as a recipient" for each in named if each.lower().endswith(STRANGER)]
    return found


GUARANTEE = Guarantee(
    doc=__doc__,
    code="MAIL054",
    catalogue="P54",
    severity=Severity.HIGH,
    promise="A mail goes to the declared recipient alone, and has the app's headers alone, whatever anybody types.",
    why="Strangers get other people's reset links and data, or the app sends their spam under its own good name.",
    do="Build messages with a mail library's address objects, and give the recipients to SMTP apart from the headers.",
    do_not="Do not strip commas or line breaks by hand: quotes, brackets and encoded words are left.",
    subjects=mails,
    rehearse=rehearse,
    weight=3,
)
