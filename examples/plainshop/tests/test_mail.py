import smtplib
import socketserver
import threading

import pytest
from markupsafe import escape
from plainshop.db import Database
from plainshop.mail import WRITERS, Reader, money, write
from plainshop.models import MailJob
from plainshop.tokens import Tokens
from plainshop.worker.loops import next_attempt
from plainshop.worker.mails import send_next_mail
from plainshop.worker.smtp import Rejected, deliver, message

from tests.fakes import PASSWORD, at_once, open_shop, part, send_mails

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"]


def due_again(admin):
    admin.execute("UPDATE mail_outbox SET due_at = now() WHERE status = 'pending'")


def test_sign_up_succeeds_while_the_mail_server_is_down_and_the_mail_comes_later(client, settings, smtp, admin):
    smtp.refusals["owner@alpha.example"] = [451, 421]
    open_shop(client, "alpha")
    for _ in range(3):
        send_mails(settings)
        due_again(admin)
    assert len(smtp.to("owner@alpha.example")) == 1
    assert admin.execute("SELECT status, attempts FROM mail_outbox").fetchone() == ("sent", 3)


def test_a_permanent_refusal_is_dead_at_once_and_stops_no_other(client, settings, smtp, admin):
    smtp.refusals["owner@alpha.example"] = [550]
    open_shop(client, "alpha")
    open_shop(client, "beta")
    admin.execute("UPDATE mail_outbox SET kind = 'poison' WHERE recipient = 'owner@alpha.example'")
    open_shop(client, "gamma")
    smtp.refusals["owner@gamma.example"] = [550]
    send_mails(settings)
    assert [mail["To"] for mail in smtp.sent] == ["owner@beta.example"]
    dead = admin.execute("SELECT recipient, attempts FROM mail_outbox WHERE status = 'dead' ORDER BY 1").fetchall()
    assert dead == [("owner@alpha.example", 1), ("owner@gamma.example", 1)]


def test_attempts_are_spaced_jittered_and_end(client, settings, smtp, admin):
    settings = settings.model_copy(update={"worker_max_attempts": 3})
    smtp.refusals["owner@alpha.example"] = [451] * 9
    open_shop(client, "alpha")
    for _ in range(5):
        send_mails(settings)
        due_again(admin)
    assert admin.execute("SELECT status, attempts FROM mail_outbox").fetchone() == ("dead", 3)
    assert len({next_attempt(settings, 5) for _ in range(5)}) == 5


def test_four_workers_send_each_mail_once(client, settings, smtp, admin, shop):
    admin.execute(
        "INSERT INTO mail_outbox (shop_id, id, kind, dedupe_key, recipient, params, status, attempts, due_at) "
        "SELECT %s, gen_random_uuid(), 'welcome', n::text, n || '@x.example', '{}', 'pending', 0, now() "
        "FROM generate_series(1, 200) n",
        [shop.id],
    )
    at_once([lambda: send_mails(settings)] * 4)
    ids = [mail["Message-ID"] for mail in smtp.sent]
    assert len(ids) == len(set(ids)) == 201


def test_a_mail_of_a_dead_worker_is_sent_under_the_same_id(client, settings, smtp, admin, monkeypatch):
    open_shop(client, "alpha")
    database = Database(settings, pool_size=2)
    kill = KeyboardInterrupt

    def sent_and_killed(mail, *_):
        smtp.sent.append(mail)
        raise kill

    monkeypatch.setattr("plainshop.worker.mails.deliver", sent_and_killed)
    try:
        send_next_mail(database, settings, Tokens(settings))
    except KeyboardInterrupt:
        monkeypatch.setattr("plainshop.worker.mails.deliver", smtp.deliver)
    due_again(admin)
    send_mails(settings)
    database.close()
    first, second = smtp.sent
    assert first["Message-ID"] == second["Message-ID"]


def test_every_kind_of_mail_can_be_written(settings, shop):
    params = {"invitation_id": shop.id, "role": "viewer", "order_id": "x", "amount_cents": 1999, "currency": "eur"}
    for kind in WRITERS:
        job = MailJob(id=shop.id, kind=kind, recipient="a@b.example", params=params)
        import uuid

        job.id, job.shop_id = uuid.uuid4(), uuid.UUID(shop.id)
        reader = Reader(shop="Alpha", slug="alpha", name=None)
        mail = message(job, write(job, reader, settings, Tokens(settings)), settings)
        assert mail["Date"] and mail["Message-ID"] and mail["To"] == "a@b.example"
        assert mail.as_bytes().isascii()
        assert b"quoted-printable" not in mail.as_bytes()
    assert (money(1999, "eur"), money(1999, "jpy")) == ("19.99 EUR", "1999 JPY")


NAMES = ['<a href="https://evil.example">Win</a>', "Łódź & Söhne", '"' * 200, "=?utf-8?q?x=0ABcc:_a@b.c?=", "{{ 7*7 }}"]


@pytest.mark.parametrize("name", NAMES)
def test_names_reach_a_mail_as_text_and_no_header(client, settings, smtp, name):
    owner = "owner@alpha.example"
    body = {"name": name, "slug": "alpha", "owner_email": owner, "owner_password": PASSWORD, "owner_name": name}
    token = client.post("/shops", json=body).json()["access_token"]
    invitation = {"email": "new@alpha.example", "role": "viewer"}
    client.post("/members/invitations", json=invitation, headers={"Authorization": f"Bearer {token}"})
    client.post("/auth/forgot", json={"shop": "alpha", "email": owner})
    send_mails(settings)
    assert len(smtp.sent) == 3
    for mail in smtp.sent:
        invited = mail["To"] == "new@alpha.example"
        greeting = "Hello," if invited else f"Hello {name},"
        assert part(mail, "plain").split("\n")[0].rstrip("\r") == greeting
        assert f"the shop {name} as viewer." in part(mail, "plain") or not invited
        assert str(escape(name)) in part(mail, "html")
        assert "<a href" not in name or name not in part(mail, "html")
        assert mail.keys() == [*HEADERS, "Content-Type"]
        assert name not in " ".join(mail.values())
        assert max(len(line) for line in mail.as_bytes().splitlines()) < 998


class Server:
    """What smtplib shows of a server that refuses at one phase."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_, **__):
        return self

    def send_message(self, *_, **__):
        raise self.error

    def quit(self):
        pass

    def close(self):
        pass


def test_only_a_refusal_of_this_mail_is_permanent(settings, monkeypatch, shop):
    phases = {
        smtplib.SMTPRecipientsRefused({"a@b.example": (550, b"")}): True,
        smtplib.SMTPRecipientsRefused({"a@b.example": (450, b"")}): False,
        smtplib.SMTPDataError(554, b""): True,
        smtplib.SMTPDataError(451, b""): False,
        smtplib.SMTPSenderRefused(550, b"", "x"): True,
        smtplib.SMTPConnectError(554, b""): False,
        smtplib.SMTPServerDisconnected(): False,
        ConnectionRefusedError(): False,
    }
    for error, permanent in phases.items():
        monkeypatch.setattr("smtplib.SMTP", Server(error))
        try:
            deliver(None, "a@b.example", settings)
        except Rejected:
            assert permanent, error
        except (smtplib.SMTPException, OSError):
            assert not permanent, error


class RudeServer(socketserver.ThreadingTCPServer):
    """A mail server on a socket that answers QUIT as it likes."""

    def __init__(self, farewell, to_rcpt=b"250 ok"):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.farewell, self.to_rcpt = farewell, to_rcpt
        self.accepted = []


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        self.say(b"220 here")
        while line := self.rfile.readline():
            match line[:4].upper():
                case b"RCPT":
                    self.say(self.server.to_rcpt)
                case b"DATA":
                    self.say(b"354 go on")
                    self.server.accepted.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.say(b"250 taken")
                case b"QUIT":
                    self.wfile.write(self.server.farewell)
                    return
                case _:
                    self.say(b"250 ok")

    def say(self, line):
        self.wfile.write(line + b"\r\n")


@pytest.fixture
def rude(settings):
    opened = []

    def start(*answers):
        server = RudeServer(*answers)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        opened.append((server, thread))
        host, port = server.server_address
        return server, settings.model_copy(update={"smtp_host": host, "smtp_port": port})

    yield start
    for server, thread in opened:
        server.shutdown()
        thread.join()
        server.server_close()


FAREWELLS = {
    "a refusal": b"421 too busy\r\n",
    "an error": b"554 no\r\n",
    "silence": b"",
    "nonsense": b"what?\r\n",
    "an endless line": b"2" * 9000 + b"\r\n",
}


@pytest.mark.parametrize("farewell", FAREWELLS.values(), ids=FAREWELLS.keys())
def test_a_mail_the_server_took_is_sent_whatever_it_answers_to_quit(farewell, rude, client, admin):
    server, settings = rude(farewell)
    open_shop(client, "alpha")
    for _ in range(2):
        send_mails(settings)
        due_again(admin)
    assert len(server.accepted) == 1
    assert admin.execute("SELECT status, attempts FROM mail_outbox").fetchone() == ("sent", 1)


def test_a_permanent_refusal_stays_one_whatever_the_server_answers_to_quit(rude, client, admin):
    server, settings = rude(b"421 too busy\r\n", b"550 nobody here")
    open_shop(client, "alpha")
    send_mails(settings)
    assert not server.accepted
    assert admin.execute("SELECT status, attempts FROM mail_outbox").fetchone() == ("dead", 1)
