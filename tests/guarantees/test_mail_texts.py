"""Which texts lead to a mail, what is typed in their place, and what markup in a mail gives away."""

from datetime import UTC, datetime

from holdtrue.contract.document import Mail
from holdtrue.guarantees.email.mail054_text_adds_recipients import _strangers
from holdtrue.guarantees.email.mail055_markup_in_a_mail import PLACE, TEXTS, _made
from holdtrue.guarantees.email.refusals import BURST, is_burst
from holdtrue.guarantees.email.texts import Slot, slots, with_texts
from holdtrue.stage.mail import Fault, MailServer, Phase
from holdtrue.stage.mail import Mail as Received
from holdtrue.stage.mail.message import read_mail

MAIL = Mail.model_validate(
    {
        "to": "{unique}@new.test",
        "before": [{"request": "POST /teams", "as": "owner", "form": {"title": "Team {unique}", "slug": "team"}}],
        "cause": {
            "request": "POST /invitations",
            "json": {
                "email": "{unique}@new.test",
                "team_id": "{team_id}",
                "role": "x",
                "notes": [{"text": "Hello"}, 3],
            },
        },
    }
)
TITLE, NOTE = Slot(0, ("form", "title")), Slot(1, ("json", "notes", 0, "text"))


def received(
    html: str = "", headers: str = "To: ann@new.test", recipients: tuple[str, ...] = ("ann@new.test",)
) -> Received:
    raw = f"{headers}\r\nContent-Type: text/html\r\n\r\n{html}".encode()
    return read_mail(raw, number=1, at=datetime.now(UTC), attempt=1, mail_from="", recipients=recipients)


def test_free_text_is_found_in_forms_and_deep_in_json_and_nothing_else_is() -> None:
    assert slots(MAIL) == [TITLE, NOTE]


def test_only_what_is_named_is_typed_otherwise() -> None:
    told = with_texts(MAIL, {NOTE: "{} <b>", TITLE: "x"})
    assert told.cause.json_["notes"] == [{"text": "Hello <b>"}, 3]
    assert told.before[0].form == {"title": "x", "slug": "team"}  # type: ignore[union-attr]
    assert MAIL.cause.json_["notes"] == [{"text": "Hello"}, 3]


def test_markup_that_is_shown_as_text_is_no_markup_even_where_its_address_is_made_a_link() -> None:
    shown = TEXTS["an element"].format("Ann").replace("<", "&lt;").replace('"', "&quot;")
    assert _made([received(f"<p>{shown}</p>")]) is None
    assert _made([received(f'<p>{shown}</p><a href="{PLACE}">{PLACE}</a>')]) is None


def test_markup_that_is_taken_over_is_seen_even_where_its_own_attribute_was_taken_out() -> None:
    assert _made([received(TEXTS["an element"].format("Ann"))]) is not None
    assert _made([received(f'<a href="{PLACE}">here</a>')]) is not None
    assert _made([received(f'<p title="{TEXTS["the end of an attribute"].format("Ann")}">')]) is not None


def test_a_quoted_name_adds_no_recipient_and_an_unquoted_one_does() -> None:
    assert _strangers([received(headers='To: "Ann, x@intruder.test" <ann@new.test>')]) == []
    assert _strangers([received(headers="To: Ann, x@intruder.test, ann@new.test")]) != []
    assert _strangers([received(recipients=("ann@new.test", "x@Intruder.test"))]) != []
    assert _strangers([received(headers="To: ann@new.test\r\nX-Intruder: 1")]) != []


async def test_pauses_that_grow_are_no_burst() -> None:
    async with MailServer() as server:
        fault = server.refuse(Phase.RCPT, "451 later")
        assert not _after(fault, [0, 0.1, 0.3, 0.7, 1.5])
        assert not _after(fault, [0, 0.1, 0.3, 0.7, 1.5, 3.1])
        assert _after(fault, [0.3 * number for number in range(BURST)])


def _after(fault: Fault, moments: list[float]) -> bool:
    fault.moments[:] = moments
    return is_burst(fault)
