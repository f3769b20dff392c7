"""The real email module against the stage's mail server; signing in and recording by the test's doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.contract import Contract, MailTemplate, Payload
from holdtrue.modules.email import Email
from holdtrue.runtime import Module
from holdtrue.stage.mail import MailServer

ENVIRON = {
    "EMAIL_SENDER": '"Acme, Inc." <post@acme.test>',
    "EMAIL_SEAL_KEYS": "new-5Jw8cUqB1zYt7Ns3VbLd9RfKe2HxGm,old-Qm4Zr6Tn8Wk1Xp3Yv5Bs7Ld9Gf2Hj",
    "EMAIL_SMTP_HOST": "127.0.0.1",
    "EMAIL_SMTP_SECURITY": "none",
    "EMAIL_WEBHOOK_SECRETS": "next-8fKq2Zr6Tn4Wk1Xp3Yv5Bs7Ld9Gf,whsec_OHpUeDdSa1FmM2JWNXdMOW4zS2M3Vnk0QnQ2R2g=",
    "EMAIL_RESEND_SECRETS": "whsec_T3pXcTJZc0E3bEtqNUhmRzlicFYzTmQxUXhaOG1MdVc=",
}


class Link(Payload):
    name: str
    link: str


INVITE = MailTemplate(
    name="shop.invite",
    payload=Link,
    subject="{{ name }} invites you",
    text="Hello {{ name }}: {{ link }}",
    html="<p>Hello {{ name }}: <a href='{{ link }}'>come</a></p>",
)
RESET = MailTemplate(name="shop.reset", payload=Link, subject="Reset", text="{{ name }}: {{ link }}", stream="security")


def Shop() -> Module:  # noqa: N802
    return Module(contract=Contract(name="shop", version="1.0.0", mails=(INVITE, RESET)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def smtp() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
def assembly() -> Assembly:
    return compose(Shop(), Email(), replace(Doors(), mailer=None))


@pytest.fixture
def environ() -> dict[str, str]:
    return dict(ENVIRON)


@pytest.fixture
async def kit(assembly: Assembly, postgres: Postgres, smtp: MailServer, environ: dict[str, str]) -> AsyncIterator[Kit]:
    async with running(assembly, postgres, environ=environ | {"EMAIL_SMTP_PORT": str(smtp.port)}) as started:
        yield started
