"""The pages of a development run: the mails that were sent, and Stripe's customer, who pays at a button."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from hmac import compare_digest
from html import escape
from typing import Any
from urllib.parse import parse_qs

from holdtrue.stage.http.server import Request, Response
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import StripeDouble

ACTS = ("pay", "decline", "abandon")
_URL = re.compile(r"https?://[^\s<>\"']+")
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    # What a mail or an app's words contain must neither run nor load anything here.
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
_STYLE = "body{font:15px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
_STYLE += "td,th{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:left}pre{white-space:pre-wrap}"


class Pages:
    """Answers requests; refuses those that another site's page makes a browser send."""

    def __init__(self, mail: MailServer, stripe: StripeDouble | None, app: str, acted: Callable[[], None]) -> None:
        self._mail = mail
        self._stripe = stripe
        self._app = app
        self._acted = acted
        self._token = secrets.token_urlsafe(24)
        self.port = 0

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.header("host") not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            return _text(421, "This page is at 127.0.0.1 only.")  # a foreign name that leads here (DNS rebinding)
        parts = [part for part in request.path.split("/") if part]
        match request.method, parts:
            case "GET", []:
                return self._page("holdtrue dev", self._home())
            case "GET", ["mail", number] if number.isdigit():
                return self._one_mail(int(number))
            case "POST", ["stripe", session, act] if self._stripe is not None and act in ACTS:
                return self._act(self._stripe, request, session, act)
        return _text(404, "There is no such page.")

    def _home(self) -> str:
        app = escape(self._app)
        shown = f"<p>The app answers at <a href='{app}'>{app}</a>.</p><h2>Mails</h2>{self._mails()}"
        return shown if self._stripe is None else f"{shown}<h2>Stripe</h2>{self._sessions(self._stripe)}"

    def _mails(self) -> str:
        rows = [
            f"<tr><td><a href='/mail/{mail.number}'>{escape(mail.subject) or '(no subject)'}</a></td>"
            f"<td>{escape(', '.join(mail.recipients))}</td><td>{mail.at:%H:%M:%S}</td></tr>"
            for mail in reversed(self._mail.mails)
        ]
        if not rows:
            return "<p>None yet. What the app sends arrives here, and nowhere else.</p>"
        return f"<table><tr><th>Subject<th>To<th>At (UTC)</tr>{''.join(rows)}</table>"

    def _one_mail(self, number: int) -> Response:
        mail = next((each for each in self._mail.mails if each.number == number), None)
        if mail is None:
            return _text(404, "There is no such mail.")
        to, sender = escape(", ".join(mail.recipients)), escape(mail.header("from") or "")
        text = mail.text if mail.text is not None else mail.raw.decode(errors="replace")
        head = f"<p><a href='/'>All</a></p><p>From {sender}<br>To {to}</p>"
        return self._page(mail.subject or "(no subject)", f"{head}<pre>{_linked(text)}</pre>")

    def _sessions(self, stripe: StripeDouble) -> str:
        rows = [self._session(each) for each in reversed(stripe.sessions)]
        if not rows:
            return "<p>No checkout yet. When the app starts one, pay it here instead of on Stripe's page.</p>"
        return f"<table><tr><th>Checkout<th>Amount<th>State<th></tr>{''.join(rows)}</table>"

    def _session(self, session: dict[str, Any]) -> str:
        amount = f"{session['amount_total']} {session['currency']} (smallest unit)"
        buttons = ""
        if session["status"] == "open":
            token = f"<input type='hidden' name='token' value='{self._token}'>"
            buttons = "".join(
                f"<form method='post' action='/stripe/{escape(session['id'])}/{act}' style='display:inline'>"
                f"{token}<button>{act}</button></form> "
                for act in ACTS
            )
        state = f"{session['mode']}, {session['status']}, {session['payment_status']}"
        return f"<tr><td>{escape(session['id'][:24])}…<td>{escape(amount)}<td>{escape(state)}<td>{buttons}</tr>"

    def _act(self, stripe: StripeDouble, request: Request, session: str, act: str) -> Response:
        given = parse_qs(request.body.decode(errors="replace")).get("token", [""])[0]
        if not compare_digest(given.encode(), self._token.encode()):
            return _text(403, "This form is of another run; load the page again.")
        try:
            getattr(stripe.customer, act)(session)
        except (KeyError, ValueError) as error:
            return _text(409, str(error.args[0]))
        self._acted()
        return Response(status=303, headers=(("Location", "/"),))

    @staticmethod
    def _page(title: str, body: str) -> Response:
        head = f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
        return Response(status=200, headers=_HEADERS, body=f"{head}<h1>{escape(title)}</h1>{body}".encode())


def _linked(text: str) -> str:
    """Escaped, with addresses to click on."""
    parts, at = [], 0
    for found in _URL.finditer(text):
        url = escape(found[0])
        parts += [escape(text[at : found.start()]), f"<a href='{url}'>{url}</a>"]
        at = found.end()
    return "".join([*parts, escape(text[at:])])


def _text(status: int, words: str) -> Response:
    headers = tuple((name, "text/plain; charset=utf-8" if name == "Content-Type" else it) for name, it in _HEADERS)
    return Response(status=status, headers=headers, body=words.encode())
