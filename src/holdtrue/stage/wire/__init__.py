"""A PostgreSQL proxy between an app under test and a real server: it records, cuts, holds, and swaps databases.

Any driver can use it: it speaks the frontend/backend protocol 3.0 and 3.2 and changes no message. What differs from the
server behind it: it asks for its own password, offers no TLS (`sslmode=prefer` goes on without, `require` fails),
ignores the database asked for, and after a swap `pg_backend_pid()` differs from what the client was told at its start.
A swap loses temporary tables, as any reconnection does, and rewinds WITH HOLD cursors.
"""

from holdtrue.stage.wire.errors import NotIdle, WireError
from holdtrue.stage.wire.facts import Facts, facts_of
from holdtrue.stage.wire.link import Upstream
from holdtrue.stage.wire.listener import Listener
from holdtrue.stage.wire.points import Arm, Gate, Held, Hold, Pause, Point
from holdtrue.stage.wire.recording import Recording, Statement, passed
from holdtrue.stage.wire.two_phase import Identifiers
from holdtrue.stage.wire.wire import InFlight, OpenTransaction, Wire

__all__ = [
    "Arm", "Facts", "Gate", "Held", "Hold", "Identifiers", "InFlight", "Listener", "NotIdle", "OpenTransaction",
    "Pause", "Point", "Recording", "Statement", "Upstream", "Wire", "WireError", "facts_of", "passed",
]  # fmt: skip
