"""One JSON object a line: what happened, in which request, tenant and for whom, and no secrets."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
_SECRETS = re.compile(
    r"""(?P<url>\w+://[^\s:/@]*:)[^\s@/]+(?=@)          # the password in a URL
      | (?P<bearer>[Bb]earer\ )\S+
      | \b(?:sk|rk|whsec)_[A-Za-z0-9_]{8,}              # Stripe's keys
      | \beyJ[\w-]+\.[\w-]+\.[\w-]+                     # a JSON web token
      | (?P<named>(?:password|secret|token|api_key)["']?\s*[:=]\s*["']?)[^\s"',;}]+""",
    re.VERBOSE | re.IGNORECASE,
)
_JSON = json.JSONEncoder(default=str, ensure_ascii=False)
_MARKS = ("://", "bearer ", "sk_", "rk_", "whsec_", "eyj", "password", "secret", "token", "api_key")
"""Whatever is a secret to the expression holds one of these; looking for them first is a twentieth of its cost."""


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    folded = text.casefold()
    if not any(mark in folded for mark in _MARKS):
        return text
    return _SECRETS.sub(lambda found: f"{found['url'] or found['bearer'] or found['named'] or ''}[redacted]", text)


class JsonLines(logging.Formatter):
    """Formats a record with whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD and value not in ("", None)
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return redacted(_JSON.encode(told))


def configure(level: int = logging.INFO) -> None:
    """Log as JSON to standard error, unless the process has its own configuration."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root.addHandler(handler)
    root.setLevel(level)
    for noisy in ("stripe", "httpx", "procrastinate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
