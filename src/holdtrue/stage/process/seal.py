"""The kernel's guard: no process of the app connects outside this machine, whatever language or library it is made of.

Linux only. A seccomp filter (seccomp(2), seccomp_unotify(2), Linux 5.5 and later, no privileges needed) hands every
``connect`` and addressed ``sendto`` of the app and of all its descendants to the supervisor, which looks at the address
and lets it go on or answers ECONNREFUSED. It stands behind the hooks of ``redirect``, which redirect and name the
app's line; this one only refuses, and reaches what they cannot: libpq, gRPC, Go, Ruby, ``python -I``.

Refused besides: port 53 on loopback and systemd's resolver socket (they forward look-ups), and the sockets of a
PostgreSQL or MySQL on this machine, which would lead past the wire. io_uring is switched off, as it goes around system
calls, and set-uid programs get no privileges (PR_SET_NO_NEW_PRIVS). Out of reach: unconnected UDP by sendmsg. The
address is read before the kernel reads it again, so a program that sets out to cheat can; the guard is against
mistakes. It costs about a tenth of a millisecond for each connection, and nothing for what is sent over it.

Imported by ``supervisor.py`` as a top-level module: standard library only.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import socket
import struct
import sys
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_ALLOW, _NOTIFY, _NO_SUCH_CALL = 0x7FFF0000, 0x7FC00000, 0x00050000 | errno.ENOSYS
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")

# machine → (AUDIT_ARCH, connect, sendto, seccomp); io_uring_setup is 425 everywhere.
_MACHINES = {"x86_64": (0xC000003E, 42, 44, 317), "aarch64": (0xC00000B7, 203, 206, 277)}
_LIBC = ctypes.CDLL(None, use_errno=True)
_RESOLVER_SOCKET = "/run/systemd/resolve/"
_DATABASE_SOCKETS = ("/.s.PGSQL.", "/mysqld.sock", "/mysql.sock")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter(arch: int, connect: int, sendto: int) -> bytes:
    """The BPF program; jumps are relative to the next instruction. Offsets are those of struct seccomp_data."""
    load, equal, greater_or_equal, end = 0x20, 0x15, 0x35, 0x06
    address_of_sendto = 16 + 4 * 8
    program = [
        (load, 0, 0, 4),
        (equal, 0, 11, arch),  # else 13: another architecture's calls have other numbers
        (load, 0, 0, 0),
        (greater_or_equal, 9, 0, 0x40000000),  # 13: the x32 numbers
        (equal, 7, 0, connect),  # 12
        (equal, 7, 0, 425),  # 13
        (equal, 0, 4, sendto),  # else 11
        (load, 0, 0, address_of_sendto),
        (equal, 0, 3, 0),  # else 12: it has an address
        (load, 0, 0, address_of_sendto + 4),
        (equal, 0, 1, 0),  # else 12
        (end, 0, 0, _ALLOW),
        (end, 0, 0, _NOTIFY),
        (end, 0, 0, _NO_SUCH_CALL),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def enter() -> int | None:
    """Seals this process for good, and what it becomes and forks. Returns the supervisor's end, a file descriptor, or
    None where the kernel or the container does not offer it.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return None
    *numbers, seccomp = machine
    code = _filter(*numbers)
    program = _Program(len(code) // 8, code)
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener: int = _LIBC.syscall(seccomp, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))
    return None if listener < 0 else listener


class Guard:
    """The supervisor's end: answers one question at a time. ``record`` is the file of refused attempts, if any."""

    def __init__(self, listener: int, record: str | None) -> None:
        self.listener = listener
        self._record = record

    def answer(self) -> None:
        """Reads one question and answers it. Nothing happens when the asking process is gone by then."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, buffer)
        except OSError as gone:
            if gone.errno in (errno.ENOENT, errno.EINTR):
                return
            raise
        ident, pid, _, number, *_, a1, a2, _a3, a4, a5 = _NOTIFICATION.unpack(buffer)
        pointer, length = (a1, a2) if number == _connect_number() else (a4, a5)
        refusal = self._judge(pid, pointer, length)
        response = _RESPONSE.pack(ident, 0, -errno.ECONNREFUSED if refusal else 0, 0 if refusal else _CONTINUE)
        try:
            fcntl.ioctl(self.listener, _ANSWER, response)
        except OSError as gone:
            if gone.errno != errno.ENOENT:
                raise

    def _judge(self, pid: int, pointer: int, length: int) -> bool:
        """Whether to refuse; what cannot be read is refused."""
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
                memory.seek(pointer)
                address = memory.read(min(length, 128))
        except (OSError, ValueError, OverflowError):
            self._write(pid, "an unreadable address", None, "connection")
            return True
        return self._judge_address(pid, address)

    def _judge_address(self, pid: int, address: bytes) -> bool:
        family = int.from_bytes(address[:2], sys.byteorder)
        if family == socket.AF_UNIX:
            path = address[2:].partition(b"\0")[0].decode(errors="replace")
            if path.startswith(_RESOLVER_SOCKET):
                return True  # not recorded: it is tried in vain before the resolver at port 53
            if any(mark in path for mark in _DATABASE_SOCKETS):
                self._write(pid, path, None, "connection")
                return True
            return False
        if family not in (socket.AF_INET, socket.AF_INET6):
            return False
        port = int.from_bytes(address[2:4], "big")
        packed = address[4:8] if family == socket.AF_INET else address[8:24]
        if _is_loopback(packed) and port != 53:
            return False
        if port:  # port 0 is glibc asking which source address it would use; nothing is sent
            self._write(pid, socket.inet_ntop(family, packed), port, "look-up" if port == 53 else "connection")
        return True

    def _write(self, pid: int, host: str, port: int | None, kind: str) -> None:
        if self._record is None:
            return
        try:
            process = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            process = "?"
        record = {"event": "refused", "kind": kind, "host": host, "port": port, "where": None, "pid": pid}
        descriptor = os.open(self._record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, json.dumps(record | {"process": process}).encode() + b"\n")
        finally:
            os.close(descriptor)


def _connect_number() -> int:
    return _MACHINES[platform.machine()][1]


def _is_loopback(packed: bytes) -> bool:
    """0.0.0.0 and :: are this machine too, for a connect."""
    if len(packed) == 16 and packed.startswith(bytes(10) + b"\xff\xff"):
        packed = packed[12:]
    if len(packed) == 4:
        return packed[0] == 127 or packed == bytes(4)
    return packed in (bytes(16), bytes(15) + b"\x01")
