"""What a value looks like: a moment, or something random. Used only on values that differed between equal runs."""

import re
from datetime import UTC, datetime

_DAYS = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_MONTHS = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?"

# ISO 8601, RFC 5322 dates, the long forms of mails, and seconds or milliseconds since 1970 (2014 to 2033).
_TIME = re.compile(
    rf"""(?<![\w.])(?:
        \d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_CLOCK}{_ZONE})?
      | (?:{_DAYS},?\s)?\d{{1,2}}\.?\s{_MONTHS},?\s\d{{4}}(?:,?\s(?:at\s)?{_CLOCK}{_ZONE})?
      | (?:{_DAYS},?\s)?{_MONTHS}\s\d{{1,2}},?\s\d{{4}}(?:,?\s(?:at\s)?{_CLOCK}{_ZONE})?
      | \d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}}(?:,?\s{_CLOCK}{_ZONE})?
      | {_CLOCK}{_ZONE}
      | (?:1[4-9]|20)\d{{8}}(?:\d{{3}}|\.\d+)?
    )(?!\w)""",
    re.VERBOSE,
)
# A run of letters and digits that no word is: both in it, or so long and mixed that nobody wrote it. Wide on purpose: a
# random token of base 62 may come without a digit, and would then stand out in one run of many.
_TOKEN = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}
      | (?=[A-Za-z0-9]*[A-Za-z])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{6,}
      | (?=[A-Za-z0-9_\-+/]*[A-Z])(?=[A-Za-z0-9_\-+/]*[a-z])[A-Za-z0-9_\-+/]{20,}={0,2}
      | [A-Z2-7]{10,}
      | (?=[A-Za-z]*[a-z][A-Z]+[a-z]+[A-Z])[A-Za-z]{8,}
      | \d{8,}
    )(?![A-Za-z0-9])""",
    re.VERBOSE,
)
_SECRET_NAME = re.compile(r"(?i)code|otp|pin\b|token|nonce|secret|salt|hash|digest|signature|state|challenge|random")
_MOMENT_NAME = re.compile(
    r"(?i)(?:_at|_on|_ts|time|date|stamp|epoch|expir\w*|until|since|created|updated|exp|iat|nbf)$"
)
_RETRY_NAME = re.compile(
    r"(?i)(?:\w+_)?(?:attempts?|tries|retries|retry_count|try_count|failures|failure_count)"
    r"|(?:last_)?error(?:_message)?|traceback|(?:request|trace|correlation)_id"
)
_EPOCH = range(1_400_000_000, 2_000_000_000)

TIME, RANDOM = "«time»", "«random»"
_NEAR_SECONDS = 21_156
_DAY = 86_400


def scrub(text: str) -> str:
    """The text with moments and random tokens replaced by marks."""
    return _TOKEN.sub(RANDOM, _TIME.sub(TIME, text))


def names_secret(name: str) -> bool:
    """Whether a column of this name holds a code or token, so that bare digits in it are random."""
    return _SECRET_NAME.search(name) is not None


def names_moment(name: str) -> bool:
    """Whether a column of this name holds a moment, so that a number in it may be one."""
    return _MOMENT_NAME.search(name) is not None


def names_retry(name: str) -> bool:
    """Whether a column of this name tells how often something was tried, with what error, in which request."""
    return _RETRY_NAME.fullmatch(name) is not None


def moment(value: object) -> datetime | None:
    """The moment that a value is as a whole: ISO 8601 text, or seconds or milliseconds since 1970. UTC where unsaid."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        seconds = value / 1000 if value // 1000 in _EPOCH else value
        return datetime.fromtimestamp(seconds, UTC) if int(seconds) in _EPOCH else None
    if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}", value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def from_now(value: object, now: datetime | None) -> str:
    """A moment as its distance from the run's own: «now», «now + 365 d»; so a year too many shows through the noise.

    Whole days, because the twin runs of a scenario are seconds apart, not days. The steps lie at an odd hour, where no
    deadline is ever set, so that a few seconds do not tip one over.
    """
    found = moment(value)
    if now is None or found is None:
        return TIME
    if isinstance(value, str) and len(value) == len("2026-01-01"):
        days = (found.date() - now.date()).days
    else:
        days = int(((found - now).total_seconds() + _DAY - _NEAR_SECONDS) // _DAY)
    return "«now»" if days == 0 else f"«now {'+' if days > 0 else '-'} {abs(days)} d»"
