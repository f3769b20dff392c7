"""What a session has set up on its server connection, kept so that a swap can replay it on another one.

Replayed: SET and set_config (session level, committed), LISTEN, prepared statements of the protocol and of SQL's
PREPARE, the session's advisory locks (`advisory`), and cursors WITH HOLD, which stand before their first row again.
Lost, as with any reconnection: temporary tables.
"""

import re
from collections.abc import Iterator

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.advisory import TAKES
from holdtrue.stage.wire.effects import Effect
from holdtrue.stage.wire.normalise import analyse
from holdtrue.stage.wire.units import Prepared, Step

# Spares the analysis of what certainly leaves nothing behind.
_MAY_LEAVE_SOMETHING = re.compile(
    rb"(?i)\b(?:set|set_config|reset|listen|unlisten|discard|prepare|deallocate|savepoint|to|declare|close)\b"
)
_TRUE = frozenset((b"t", b"true", b"on", b"1", b"\x01", b"yes"))


class SessionState:
    """Settings, channels and prepared statements of one session."""

    def __init__(self) -> None:
        self.prepared: dict[bytes, Prepared] = {}
        self._settings: dict[str, bytes] = {}
        self._channels: dict[str, bytes] = {}
        self._prepared_by_sql: dict[str, bytes] = {}
        self._cursors: dict[str, bytes] = {}
        self._tentative: list[tuple[Effect, str, bytes]] = []
        self.locks: tuple[bytes, ...] = ()
        """What takes the session's advisory locks again, as of the last swap."""
        self.may_hold_locks = False

    @property
    def is_missed(self) -> bool:
        """Whether others notice that the session is without a server connection: it listens, or holds a lock."""
        return bool(self._channels or self.locks)

    def executed(self, step: Step) -> None:
        """A statement completed without error; the end of a transaction is told by `commit` and `roll_back`."""
        if TAKES.search(step.sql):
            self.may_hold_locks = True
        if not _MAY_LEAVE_SOMETHING.search(step.sql):
            return
        parts = analyse(step.sql.decode("utf-8", "replace"))
        if not parts:
            return
        part = parts[min(step.part, len(parts) - 1)]
        if part.effect is not None:
            self._note(part.effect, step, part.sql)

    def _note(self, effect: Effect, step: Step, sql: str) -> None:
        name = effect.name
        if effect.action == "prepare":
            self._prepared_by_sql[name] = p.query_message(sql.encode())
        elif effect.action == "deallocate":
            self._prepared_by_sql.pop(name, None)
            self.prepared.pop(name.encode(), None)
        elif effect.action == "deallocate_all":
            self._prepared_by_sql.clear()
            self.prepared.clear()
        elif effect.action == "rollback_to":
            self._roll_back_to(name)
        else:
            if step.portal is not None and step.portal.prepared is not None:
                resolved = _resolve(effect, step.portal.bind)
                if resolved is None:
                    return
                name, messages = resolved, _as_messages(step.portal.prepared.payload, step.portal.bind)
            else:
                messages = p.query_message(sql.encode())
            self._tentative.append((effect, name, messages))

    def _roll_back_to(self, savepoint: str) -> None:
        for index in range(len(self._tentative) - 1, -1, -1):
            effect, name, _ = self._tentative[index]
            if effect.action == "savepoint" and name == savepoint:
                del self._tentative[index + 1 :]
                return

    def ready(self, *, committed: bool, open_transaction: bool) -> None:
        """The server is ready for the next query: outside a transaction everything is decided."""
        if open_transaction or not self._tentative:
            return
        if committed:
            self.commit()
        else:
            self.roll_back()

    def roll_back(self) -> None:
        self._tentative.clear()

    def commit(self) -> None:
        for effect, name, messages in self._tentative:
            match effect.action:
                case "set":
                    self._settings.pop(name, None)  # to the end: later ones may depend on earlier ones
                    self._settings[name] = messages
                case "reset":
                    self._settings.pop(name, None)
                case "reset_all":
                    # RESET ALL leaves the role as it is.
                    keep = ("role", "session authorization")
                    self._settings = {key: value for key, value in self._settings.items() if key in keep}
                case "listen":
                    self._channels[name] = messages
                case "unlisten":
                    self._channels.pop(name, None)
                case "unlisten_all":
                    self._channels.clear()
                case "declare":
                    self._cursors[name] = messages
                case "close":
                    self._cursors.pop(name, None)
                case "close_all":
                    self._cursors.clear()
                case "discard_all":
                    for kept in (self._settings, self._channels, self._prepared_by_sql, self._cursors, self.prepared):
                        kept.clear()
        self._tentative.clear()

    def replay(self) -> Iterator[bytes]:
        """Messages that set up a fresh server connection; the server answers each item with one ReadyForQuery."""
        yield from self._settings.values()
        yield from self.locks
        yield from self._channels.values()
        yield from self._prepared_by_sql.values()
        yield from self._cursors.values()
        for prepared in self.prepared.values():
            # A Sync each: one that cannot be prepared any more must not take the others with it.
            yield prepared.raw + p.SYNC_MESSAGE


def _resolve(effect: Effect, bind: bytes) -> str | None:
    """The name of the setting where set_config takes it from a parameter; None when the setting is local."""
    if not effect.name_parameter and not effect.local_parameter:
        return effect.name
    values = p.parse_binding(bind).values
    if effect.local_parameter and effect.local_parameter <= len(values):
        local = values[effect.local_parameter - 1]
        if local is not None and local.lower() in _TRUE:
            return None
    if effect.name_parameter and effect.name_parameter <= len(values):
        return (values[effect.name_parameter - 1] or b"").decode("utf-8", "replace").lower()
    return effect.name


def _as_messages(parse: bytes, bind: bytes) -> bytes:
    """The same execution again, through the unnamed statement and portal."""
    _, query_at = p.cstring(parse)
    _, statement_at = p.cstring(bind)
    _, rest_at = p.cstring(bind, statement_at)
    return b"".join(
        (
            p.message(p.PARSE, b"\x00" + parse[query_at:]),
            p.message(p.BIND, b"\x00\x00" + bind[rest_at:]),
            p.message(p.EXECUTE, b"\x00\x00\x00\x00\x00"),
            p.SYNC_MESSAGE,
        )
    )
