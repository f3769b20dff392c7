"""The pieces that a conversation is tracked in: prepared statements, portals, units, their entries and steps."""

from typing import Any

from holdtrue.stage.wire import protocol as p


class Prepared:
    """A prepared statement; `raw` is its whole Parse message."""

    __slots__ = ("name", "payload", "raw", "sql")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.name, offset = p.cstring(payload)
        self.sql, _ = p.cstring(payload, offset)
        self.raw = p.message(p.PARSE, payload)


class Portal:
    """A bound statement; the Executes after the first continue it."""

    __slots__ = ("bind", "executed", "prepared")

    def __init__(self, prepared: Prepared | None, bind: bytes) -> None:
        self.prepared = prepared
        self.bind = bind
        self.executed = False


class Step:
    """One statement that the server executed. `part`: its index in a query string."""

    __slots__ = ("answered", "ended", "error", "extended", "part", "portal", "sql", "started", "tag", "transaction")

    def __init__(self, *, sql: bytes, part: int, portal: Portal | None, started: float, extended: bool) -> None:
        self.sql = sql
        self.extended = extended
        self.part = part
        self.portal = portal
        self.started = started
        self.ended = started
        self.transaction = 0
        self.tag: bytes | None = None
        self.error: bytes | None = None
        self.answered = False


class Unit:
    """What goes to the server in one piece, and one point at most."""

    __slots__ = (
        "audience", "complete", "continues", "entries", "failed", "left", "number", "raw", "sent_at", "shape", "sqls",
        "steps",
    )  # fmt: skip

    def __init__(self, number: int, raw: bytes) -> None:
        self.number = number
        self.raw = raw
        self.entries: list[Entry] = []
        self.sqls: list[bytes] = []  # what it executes, in order
        self.steps: list[Step] = []
        self.left = 0
        self.sent_at = 0.0
        self.shape: str | None = None  # of its first statement that is a point; None without one
        self.audience: Any = ()  # who records it; the hub's
        self.failed = False
        self.complete = True  # false for a part of a batch too large to be kept in one piece
        self.continues = False  # the rest of a unit too large to be kept in one piece


class Entry:
    """A message that the server will answer."""

    __slots__ = ("kind", "portal", "prepared", "sql", "step", "target", "unit")

    def __init__(self, kind: int, unit: Unit) -> None:
        self.kind = kind
        self.unit = unit
        self.sql = b""
        self.prepared: Prepared | None = None
        self.portal: Portal | None = None
        self.target = b""  # of a Close: S or P, then the name
        self.step: Step | None = None
