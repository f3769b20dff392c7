"""A mail as it was received, and what a person would find in it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html.parser import HTMLParser

URL = re.compile(r"https?://[^\s<>\"'\\^`{|}]+")
CODE = re.compile(r"(?<![\w.,/#=&?-])\d{4,8}(?![\w/-]|[.,:]\d)")
WORD_BREAKS = frozenset({"br", "p", "div", "td", "th", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol"})
UNREAD = frozenset({"style", "script", "title"})


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail the server stored. `number` counts from 1 in the order of arrival; `attempt` is its connection."""

    number: int
    at: datetime
    attempt: int
    mail_from: str  # the envelope's sender; empty for the null reverse-path of a bounce
    recipients: tuple[str, ...]  # the envelope's, not the To header's
    headers: tuple[tuple[str, str], ...]  # decoded, unfolded, in order, repeated ones kept
    subject: str
    message_id: str | None
    text: str | None
    html: str | None
    raw: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The first header of that name, decoded, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def is_for(self, address: str) -> bool:
        """Whether the envelope names this recipient (without regard to case)."""
        return address.lower() in (recipient.lower() for recipient in self.recipients)


def read_mail(
    raw: bytes, *, number: int, at: datetime, attempt: int, mail_from: str, recipients: Iterable[str]
) -> Mail:
    """Parse what arrived. Never fails: what cannot be decoded is shown with replacement characters (RFC 5322, 2047)."""
    message = message_from_bytes(raw)
    headers = tuple((name, _decoded_header(value)) for name, value in message.raw_items())
    named = {name.lower(): value for name, value in reversed(headers)}
    return Mail(
        number=number,
        at=at,
        attempt=attempt,
        mail_from=mail_from,
        recipients=tuple(recipients),
        headers=headers,
        subject=named.get("subject", ""),
        message_id=named.get("message-id"),
        text=_body(message, "text/plain"),
        html=_body(message, "text/html"),
        raw=raw,
    )


def extract(mail: Mail, pattern: str | re.Pattern[str]) -> list[str]:
    """Every match of the pattern in the mail's text, its readable HTML and its HTML link targets, each once.

    With a group in the pattern, the first group. Transfer encodings and HTML entities are already undone.
    """
    wanted = re.compile(pattern)
    found = (match[1] if wanted.groups else match[0] for part in _readable(mail) for match in wanted.finditer(part))
    return list(dict.fromkeys(found))


def links(mail: Mail) -> list[str]:
    """Every http and https address in the mail, each once, without the punctuation that ends a sentence."""
    return list(dict.fromkeys(_trimmed(url) for url in extract(mail, URL)))


def codes(mail: Mail) -> list[str]:
    """Every number of four to eight digits that stands alone in what a person reads, each once."""
    readable = (URL.sub(" ", part) for part in _readable(mail, with_targets=False))
    return list(dict.fromkeys(match for part in readable for match in CODE.findall(part)))


def _trimmed(url: str) -> str:
    url = url.rstrip(".,;:!?*")
    while url.endswith((")", "]")) and url.count(url[-1]) > url.count("(["[")]".index(url[-1])]):
        url = url[:-1].rstrip(".,;:!?*")
    return url


def _readable(mail: Mail, *, with_targets: bool = True) -> Iterator[str]:
    if mail.text is not None:
        yield mail.text
    if mail.html is not None:
        reader = _HtmlReader()
        reader.feed(mail.html)
        reader.close()
        yield "".join(reader.words)
        if with_targets:
            yield from reader.targets


class _HtmlReader(HTMLParser):
    """Collects what a mail client would show, and where its links lead."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.targets: list[str] = []
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNREAD:
            self._unread += 1
        if tag in WORD_BREAKS:
            self.words.append("\n")
        self.targets.extend(value for name, value in attrs if name in {"href", "action"} and value)

    def handle_endtag(self, tag: str) -> None:
        if tag in UNREAD and self._unread:
            self._unread -= 1
        if tag in WORD_BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.words.append(data)


def _decoded_header(value: str) -> str:
    # The parser keeps bytes outside ASCII as surrogates; senders that do not encode them mean UTF-8 (RFC 6532).
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        return str(make_header(decode_header(unfolded))).strip()
    except (HeaderParseError, LookupError, ValueError):
        return unfolded.strip()


def _body(message: Message, content_type: str) -> str | None:
    for part in message.walk():
        if part.get_content_type() == content_type and not part.is_multipart() and part.get_filename() is None:
            payload = part.get_payload(decode=True)
            return _text(payload if isinstance(payload, bytes) else b"", part.get_content_charset() or "utf-8")
    return None


def _text(payload: bytes, charset: str) -> str:
    try:
        decoded = payload.decode(charset, "replace")
    except (LookupError, ValueError):
        decoded = payload.decode("utf-8", "replace")
    return decoded.replace("\r\n", "\n")
