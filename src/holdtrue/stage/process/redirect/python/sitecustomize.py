"""Redirects and guards the connections of an unmodified Python app. Loaded through PYTHONPATH by its own interpreter.

It is the app's process, so: standard library only, Python 3.8 and later, nothing imported that the app may not want,
nothing of holdtrue. It works at the socket, whatever SDK or HTTP client sits above:

- A host of ``HOLDTRUE_STAGE_ROUTES`` (``{"api.stripe.com:443": "127.0.0.1:41234"}``; ``*.example.com:443`` for all
  below) is answered by its double. A look-up gives each such name a loopback address of its own (127.83.x.y) and keeps
  the port; ``connect`` turns the pair into the double's. So it holds for clients that keep only the address (anyio).
- Loopback passes. Every other look-up, connect and datagram is refused and recorded in ``HOLDTRUE_STAGE_EGRESS``. An
  audit hook (PEP 578) does that as well, for code that takes ``_socket`` directly; it cannot be removed.
- TLS: every *client* context that loads any trust also trusts ``HOLDTRUE_STAGE_CA``. Verification is never weakened.
- uvloop resolves and connects in libuv, out of sight of Python: its loop's methods are wrapped when it is imported.

Out of reach, by nature: what opens sockets in C or Rust itself (gRPC, libpq, pycurl, librdkafka, pyOpenSSL's trust), an
interpreter started with ``-I``, ``-E`` or ``-S``, and a child started without the ``HOLDTRUE_STAGE_*`` variables. The
environment's refusals (``safety.py``) and, on Linux, the kernel's guard (``seal.py``) stand behind this one.

Beside that it makes starts cheaper. Rubbish is collected rarely until the app has its first socket, since what an
import makes stays: a tenth. And a process may be forked from one that has imported the most: ``holdtrue_zygote.py``.
And it notes the keys the app signs its tokens with: ``holdtrue_keys.py``.
"""
# ruff: noqa: PTH100, PTH109, PTH117, PTH118, PTH119, PTH120
# (pathlib would be one more import at every start of the app's interpreter)

from __future__ import annotations

import _socket
import errno
import gc
import importlib.machinery
import json
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import holdtrue_keys  # type: ignore[import-not-found]  # it lies beside this file

_HERE = os.path.dirname(os.path.abspath(__file__))
_CA = os.environ.get("HOLDTRUE_STAGE_CA")
_ROOT = os.path.realpath(os.environ.get("HOLDTRUE_STAGE_ROOT") or os.getcwd()) + os.sep
_ROUTES: dict[str, str] = {}
_egress: str | None = None
_note: Callable[[str], None] | None = None
_OWN_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", socket.gethostname().lower()}
_UNSPECIFIED = {"", "0.0.0.0", "::"}  # noqa: S104  names, nothing is bound
_aliases: dict[str, str] = {}
_STARTING = (50_000, *gc.get_threshold()[1:])
_STARTED = gc.get_threshold()

_real_getaddrinfo = socket.getaddrinfo
_real_c_getaddrinfo = _socket.getaddrinfo
_real_gethostbyname = socket.gethostbyname
_real_getnameinfo = socket.getnameinfo
_real_connect = socket.socket.connect
_real_connect_ex = socket.socket.connect_ex
_real_sendto: Any = socket.socket.sendto


# -- records ---------------------------------------------------------------------------------------------------------


def _record(**fields: Any) -> None:
    """One JSON line; a single short append is atomic, so several processes may share the file."""
    if not _egress:
        return
    fields.update(pid=os.getpid(), process=_process())
    line = json.dumps(fields)[:4000] + "\n"
    descriptor = os.open(_egress, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _process() -> str:
    """The script's or the module's name; never the whole command line, which may hold secrets."""
    name: str = (getattr(sys, "argv", None) or [""])[0]
    if name not in ("", "-c", "-m"):
        return os.path.basename(name)
    words: list[str] = getattr(sys, "orig_argv", [])  # Python 3.10
    return words[words.index("-m") + 1] if name == "-m" and "-m" in words else "python"


def _where() -> str | None:
    """The innermost frame that is the app's own code, as ``file:line`` below its directory."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        path = file if os.path.isabs(file) else os.path.join(os.getcwd(), file)
        if path.startswith(_ROOT) and "site-packages" not in path:
            return f"{path[len(_ROOT) :]}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _message(what: str, host: str, port: int | None) -> str:
    target = host if port is None else f"{host}:{port}"
    return f"holdtrue refused the {what} {target}: a rehearsal reaches nothing outside the stage"


def _refuse(what: str, host: str, port: int | None) -> ConnectionRefusedError:
    _record(event="refused", kind=what.split()[0], host=host, port=port, where=_where())
    return ConnectionRefusedError(errno.ECONNREFUSED, _message(what, host, port))


def _refuse_lookup(host: str, port: int | None) -> socket.gaierror:
    _record(event="refused", kind="look-up", host=host, port=port, where=_where())
    return socket.gaierror(socket.EAI_NONAME, _message("look-up of", host, port))


# -- decisions -------------------------------------------------------------------------------------------------------


def _name(host: Any) -> str:
    if host is None:
        return ""
    text = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    return text.rstrip(".").lower()


def _number(port: Any) -> int | None:
    if port in (None, 0, "", b""):
        return None
    if isinstance(port, (bytes, bytearray)):
        port = port.decode("ascii", "replace")
    if isinstance(port, str) and not port.isdigit():
        try:
            return socket.getservbyname(port)
        except OSError:
            return None
    return int(port)


def _is_literal(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def _is_loopback(name: str) -> bool:
    bare = name.partition("%")[0]
    if bare.startswith("::ffff:"):
        bare = bare[7:]
    return bare in _UNSPECIFIED or bare == "::1" or (bare.startswith("127.") and _is_literal(bare))


def _is_own(name: str) -> bool:
    return name in _OWN_NAMES or name.endswith(".localhost")


def _route(name: str, port: int | None) -> tuple[str, int] | None:
    suffix, candidates = name, [f"{name}:{port}"]
    while "." in suffix:
        suffix = suffix.partition(".")[2]
        candidates.append(f"*.{suffix}:{port}")
    for candidate in candidates:
        target = _ROUTES.get(candidate)
        if target:
            host, _, number = target.rpartition(":")
            return host, int(number)
    return None


def _is_routed(name: str) -> bool:
    """Whether any port of the name has a double."""
    parents = [name.split(".", n)[-1] for n in range(1, name.count(".") + 1)]
    hosts = {key.rpartition(":")[0] for key in _ROUTES}
    return name in hosts or any("*." + parent in hosts for parent in parents)


def _alias(name: str) -> str:
    """The loopback address that stands for the name."""
    for address, known in _aliases.items():
        if known == name:
            return address
    high, low = divmod(len(_aliases) + 1, 256)
    address = f"127.83.{high}.{low}"
    _aliases[address] = name
    return address


def _lookup(host: Any, port: Any) -> tuple[Any, Any]:
    """What to look up instead of (host, port). Raises gaierror for what is neither routed nor loopback."""
    name = _name(host)
    if not name or _is_literal(name):
        return host, port
    if _is_own(name):
        return ("127.0.0.1" if name == _name(socket.gethostname()) else host), port
    number = _number(port)
    if _is_routed(name) if number is None else _route(name, number):
        return _alias(name), port
    raise _refuse_lookup(name, number)


def _target(family: int, address: Any, what: str = "connection to") -> Any:
    """Where to connect instead. Raises ConnectionRefusedError for what is neither routed nor loopback."""
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple) or len(address) < 2:
        return address
    name = _name(address[0])
    name = _aliases.get(name, name)
    target = _route(name, _number(address[1]))
    if target:
        host = "::ffff:" + target[0] if family == socket.AF_INET6 and "." in target[0] else target[0]
        return host, target[1]
    if _is_loopback(name) or _is_own(name):
        return address
    raise _refuse(what, name, _number(address[1]))


# -- the socket module -----------------------------------------------------------------------------------------------


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
    host, port = _lookup(host, port)
    return _real_getaddrinfo(host, port, family, type, proto, flags)


def _c_getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
    host, port = _lookup(host, port)
    return _real_c_getaddrinfo(host, port, family, type, proto, flags)


def _gethostbyname(hostname: Any) -> str:
    return _real_gethostbyname(_lookup(hostname, None)[0])


def _gethostbyname_ex(hostname: Any) -> tuple[str, list[str], list[str]]:
    return _name(hostname), [], [_gethostbyname(hostname)]


def _gethostbyaddr(host: Any) -> tuple[str, list[str], list[str]]:
    """Answered without asking anybody: smtplib and http.server ask for the own name at every start."""
    name = _name(host)
    if _is_own(name) or _is_loopback(name):
        return ("localhost" if _is_loopback(name) else name), [], ["127.0.0.1"]
    raise _refuse_lookup(name, None)


def _getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    return _real_getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST)


def _connect(self: socket.socket, address: Any) -> None:
    _real_connect(self, _target(self.family, address))


def _connect_ex(self: socket.socket, address: Any) -> int:
    try:
        address = _target(self.family, address)
    except ConnectionRefusedError:
        return errno.ECONNREFUSED
    return _real_connect_ex(self, address)


def _sendto(self: socket.socket, data: Any, *flags_and_address: Any) -> Any:
    *flags, address = flags_and_address
    return _real_sendto(self, data, *flags, _target(self.family, address, "datagram to"))


def _patch_socket() -> None:
    # socket.getaddrinfo is Python over _socket.getaddrinfo; each is wrapped, the inner one sees only addresses.
    socket.getaddrinfo = _getaddrinfo
    _socket.getaddrinfo = _c_getaddrinfo
    for module in (socket, _socket):
        module.gethostbyname = _gethostbyname  # type: ignore[attr-defined]
        module.gethostbyname_ex = _gethostbyname_ex  # type: ignore[attr-defined]
        module.gethostbyaddr = _gethostbyaddr  # type: ignore[attr-defined]
        module.getnameinfo = _getnameinfo  # type: ignore[attr-defined]
    socket.socket.connect = _connect  # type: ignore[assignment]
    socket.socket.connect_ex = _connect_ex  # type: ignore[assignment]
    socket.socket.sendto = _sendto  # type: ignore[assignment]


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """The last word: sees C-level ``_socket`` calls as well, after the wrappers above."""
    if event == "import" and _note is not None:
        _note(args[0])
    if not event.startswith("socket."):
        return
    if gc.get_threshold() == _STARTING:
        gc.set_threshold(*_STARTED)
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = args[0], args[1]
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            name = _name(address[0])
            if not (_is_loopback(name) or _is_own(name)):
                what = "connection to" if event == "socket.connect" else "datagram to"
                raise _refuse(what, name, _number(address[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        name = _name(args[0])
        if name and not (_is_literal(name) or _is_own(name)):
            raise _refuse_lookup(name, _number(args[1]) if event == "socket.getaddrinfo" else None)


# -- modules that are patched when (and only when) the app imports them ------------------------------------------------


def _patch_ssl(ssl: ModuleType) -> None:
    context: Any = ssl.SSLContext
    load, defaults = context.load_verify_locations, context.set_default_verify_paths

    def trust(self: Any) -> None:
        if self.protocol != ssl.PROTOCOL_TLS_SERVER:  # a server's list of client CAs is none of our business
            load(self, cafile=_CA)

    def load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        load(self, cafile, capath, cadata)
        trust(self)

    def set_default_verify_paths(self: Any) -> None:
        defaults(self)
        trust(self)

    context.load_verify_locations = load_verify_locations
    context.set_default_verify_paths = set_default_verify_paths


def _patch_asyncio(base_events: ModuleType) -> None:
    """Decides in the task, where the app's frames still are; the look-up itself runs in a bare thread."""
    loop: Any = base_events.BaseEventLoop
    real = loop.getaddrinfo

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        host, port = _lookup(host, port)
        return await real(self, host, port, **more)

    loop.getaddrinfo = getaddrinfo


def _patch_uvloop(uvloop: ModuleType) -> None:
    loop: Any = uvloop.Loop
    real_getaddrinfo, real_connection = loop.getaddrinfo, loop.create_connection
    real_datagram = loop.create_datagram_endpoint

    def settle(host: Any, port: Any) -> tuple[Any, Any]:
        host, port = _lookup(host, port)
        settled = _target(socket.AF_INET, (host, port))
        return settled[0], settled[1]

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        host, port = _lookup(host, port)
        return await real_getaddrinfo(self, host, port, **more)

    async def create_connection(self: Any, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        if host:
            if more.get("ssl") and more.get("server_hostname") is None:
                more["server_hostname"] = host
            host, port = settle(host, port)
        return await real_connection(self, factory, host, port, **more)

    async def create_datagram_endpoint(
        self: Any, factory: Any, local_addr: Any = None, remote_addr: Any = None, **more: Any
    ) -> Any:
        if isinstance(remote_addr, tuple):
            remote_addr = settle(*remote_addr[:2])
        return await real_datagram(self, factory, local_addr, remote_addr, **more)

    loop.getaddrinfo, loop.create_connection = getaddrinfo, create_connection
    loop.create_datagram_endpoint = create_datagram_endpoint


def _patch_aiohttp(resolver: ModuleType) -> None:
    """With aiodns installed, aiohttp asks the network itself (c-ares); the other resolver asks the event loop."""
    resolver.DefaultResolver = resolver.ThreadedResolver  # type: ignore[attr-defined]


def _patch_gevent(gevent_socket: ModuleType) -> None:
    """gevent's socket class stands beside the standard one and connects by ``_socket``."""
    green: Any = gevent_socket.socket
    real_connect, real_connect_ex = green.connect, green.connect_ex

    def connect(self: Any, address: Any) -> Any:
        return real_connect(self, _target(self.family, address))

    def connect_ex(self: Any, address: Any) -> Any:
        try:
            address = _target(self.family, address)
        except ConnectionRefusedError:
            return errno.ECONNREFUSED
        return real_connect_ex(self, address)

    green.connect, green.connect_ex = connect, connect_ex


_PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "aiohttp.resolver": _patch_aiohttp,
    "asyncio.base_events": _patch_asyncio,
    "gevent._socket3": _patch_gevent,
    "uvloop": _patch_uvloop,
    **holdtrue_keys.PATCHES,
}
if _CA:
    _PATCHES["ssl"] = _patch_ssl


class _PatchingFinder:
    """Finds a module as everybody else would, and patches it right after it was executed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        patch = _PATCHES.get(name)
        if patch is None:
            return None
        for finder in sys.meta_path:
            if finder is _PatchingFinder or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                _patch_after_execution(spec.loader, patch)
                return spec
        return None


def _patch_after_execution(loader: Any, patch: Callable[[ModuleType], None]) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        patch(module)

    loader.exec_module = exec_module


def _chain() -> None:
    """Runs the sitecustomize that ours hides (a distribution's, a coverage tool's), under its own name."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or os.getcwd()) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _begin() -> None:
    """Take this process's share of the environment, and leave to it alone what its own children must not have."""
    global _egress, _note  # noqa: PLW0603
    _egress = os.environ.get("HOLDTRUE_STAGE_EGRESS")
    _ROUTES.clear()
    _ROUTES.update(json.loads(os.environ.get("HOLDTRUE_STAGE_ROUTES") or "{}"))
    holdtrue_keys.write_to(os.environ.get("HOLDTRUE_STAGE_KEYS"))
    _record(event="guarded", runtime=f"python {sys.version_info[0]}.{sys.version_info[1]}")
    imports = os.environ.pop("HOLDTRUE_STAGE_IMPORTS", None)
    if imports:
        from holdtrue_imports import noter  # type: ignore[import-not-found]  # it lies beside this file

        _note = noter(imports)
    if hasattr(sys, "addaudithook"):
        gc.set_threshold(*_STARTING)


def _install() -> None:
    _patch_socket()
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(_audit)
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
    sys.meta_path.insert(0, _PatchingFinder)
    _begin()
    _chain()
    zygote = os.environ.pop("HOLDTRUE_STAGE_ZYGOTE", None)
    if zygote:
        from holdtrue_zygote import serve  # type: ignore[import-not-found]

        descriptor, _, names = zygote.partition(":")
        serve(int(descriptor), names)
        _begin()


_install()
