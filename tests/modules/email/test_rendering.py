"""What is written into a mail, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from uuid import UUID

import pytest
from pydantic import Field, SecretStr

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit
from holdtrue.contract import Contract, MailTemplate, Payload
from holdtrue.modules.email import Email, check
from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.errors import AddressRefused
from holdtrue.modules.email.rendering import message, render
from holdtrue.runtime import Fault, Faults, Module, UnitOfWork

NOW = datetime(2030, 1, 31, tzinfo=UTC)


class Hello(Payload):
    name: str
    link: SecretStr = SecretStr("https://acme.test/?t=1")


class Item(Payload):
    title: str


class Receipt(Payload):
    items: list[Item]
    note: str | None
    reference: str = Field(pattern=r"^R-\d+$", examples=["R-1"])


def template(
    subject: str = "Hi {{ name }}", text: str = "{{ name }}", html: str | None = None, payload: type[Payload] = Hello
) -> MailTemplate:
    return MailTemplate(name="shop.hello", payload=payload, subject=subject, text=text, html=html)


def faults(*templates: MailTemplate) -> list[str]:
    contract = Contract(name="shop", version="1.0.0", mails=templates)
    return [fault.code for fault in check([contract])]


def sent(name: str, to: str = "ann@customer.test") -> bytes:
    return message(
        render(template(html="<p>{{ name }}</p>"), Hello(name=name)),
        sender=("Acme", Address.parse("post@acme.test")),
        to=Address.parse(to),
        message_id="<1@acme.test>",
        now=NOW,
    )


@pytest.mark.parametrize(
    "name", ["Bob\r\nBcc: eve@evil.test", "Bob\nBcc: eve@evil.test", "Bob\u2028Bcc: eve@evil.test", "Bob\x00\x85\x0b"]
)
def test_a_name_is_never_a_header(name: str) -> None:
    read = message_from_bytes(sent(name), policy=SMTP)
    assert read["Bcc"] is None
    assert read.keys().count("To") == 1
    assert str(read["Subject"]).startswith("Hi Bob")


def test_a_name_is_never_markup() -> None:
    rendered = render(template(html="<p>{{ name }}</p>"), Hello(name="<a href='https://evil.test'>x</a>"))
    assert rendered.html == "<p>&lt;a href=&#39;https://evil.test&#39;&gt;x&lt;/a&gt;</p>"
    assert rendered.text == "<a href='https://evil.test'>x</a>"


def test_long_and_foreign_texts_arrive_as_they_are() -> None:
    name = "Ünïcødé 漢字 " * 30 + "https://acme.test/" + "x" * 1200
    raw = sent(name)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    read = message_from_bytes(raw, policy=SMTP)
    assert read.get_body(("plain",)).get_content().strip() == name.strip()  # type: ignore[union-attr]
    assert " ".join(str(read["Subject"]).split()) == f"Hi {' '.join(name.split())}"


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ann",
        "ann@",
        "@customer.test",
        "ann@customer.test, eve@evil.test",
        "ann@customer.test,eve@evil.test",
        "ann@customer.test\r\nBcc: eve@evil.test",
        "ann@customer.test\n",
        "Ann <ann@customer.test>",
        '"ann eve"@customer.test',
        "ann@[127.0.0.1]",
        "änn@customer.test",
        "ann@cüstomer.test",
        "ann..b@customer.test",
        "ann@customer..test",
        "ann@-customer.test",
        f"{'a' * 65}@customer.test",
        f"ann@{'a.' * 150}test",
    ],
)
def test_what_is_not_exactly_one_address_is_refused(to: str) -> None:
    with pytest.raises(AddressRefused):
        Address.parse(to)


def test_an_address_keeps_its_case_and_is_recognised_without() -> None:
    address = Address.parse("Ann.O'Neil+x@Customer.TEST")
    assert str(address) == "Ann.O'Neil+x@customer.test"
    assert address.normal == "ann.o'neil+x@customer.test"


def test_a_declared_secret_is_shown_in_the_mail_alone() -> None:
    assert render(template(text="{{ link }}"), Hello(name="Bob")).text == "https://acme.test/?t=1"


def test_a_typo_fails_at_assembly_and_not_at_night() -> None:
    assert faults(template(text="{{ nmae }}")) == ["MAIL_TEMPLATE_BROKEN"]
    assert faults(template(subject="{{ nmae }}")) == ["MAIL_TEMPLATE_BROKEN"]
    assert faults(template(html="{{ nmae }}")) == ["MAIL_TEMPLATE_BROKEN"]
    assert faults(template(text="{% if %}")) == ["MAIL_TEMPLATE_BROKEN"]
    assert faults(template()) == []


def test_samples_are_full_and_sparse() -> None:
    text = "{% for item in items %}{{ item.title }}{% endfor %}{{ reference }}{{ note.upper() }}"
    assert faults(template("Receipt", text, payload=Receipt)) == ["MAIL_TEMPLATE_BROKEN"], "a note may be None"
    guarded = text.replace("{{ note.upper() }}", "{% if note %}{{ note.upper() }}{% endif %}")
    assert faults(template("Receipt", guarded, payload=Receipt)) == []
    first = guarded.replace("{% for item in items %}{{ item.title }}{% endfor %}", "{{ items[0].title }}")
    assert faults(template("Receipt", first, payload=Receipt)) == ["MAIL_TEMPLATE_BROKEN"], "there may be no item"


def test_what_cannot_be_made_up_asks_for_an_example() -> None:
    class Strict(Payload):
        code: str = Field(pattern=r"^\d{6}$")

    assert faults(template("s", "{{ code }}", payload=Strict)) == ["MAIL_SAMPLE"]


def test_an_empty_mail_and_a_marketing_mail_are_refused() -> None:
    assert faults(template(subject="{{ '' }}")) == ["MAIL_EMPTY"]
    assert faults(template(text="\n")) == ["MAIL_EMPTY"]
    marketing = MailTemplate(name="shop.news", payload=Hello, subject="s", text="t", stream="marketing")
    assert faults(marketing) == ["MAIL_STREAM"]


def test_an_app_with_a_broken_template_is_not_composed() -> None:
    broken = Module(contract=Contract(name="shop", version="1.0.0", mails=(template(text="{{ nmae }}"),)))
    with pytest.raises(Faults, match=r"MAIL_TEMPLATE_BROKEN.*nmae"):
        compose(broken, Email(), replace(Doors(), mailer=None))


async def test_a_broken_template_fails_the_request_that_owes_the_mail(kit: Kit) -> None:
    owe = kit.process.services.registry.mailer
    assert owe is not None

    async def with_a_typo(unit: UnitOfWork) -> None:
        await owe(unit, template(text="{{ nmae }}"), "ann@customer.test", Hello(name="Bob"))

    with pytest.raises(Fault, match="MAIL_TEMPLATE_BROKEN"):
        async with kit.unit(tenant=UUID(int=0xA)) as unit:
            await with_a_typo(unit)
    assert await kit.sql("SELECT * FROM email_mails") == []
    assert await kit.sql("SELECT * FROM holdtrue_outbox") == []
