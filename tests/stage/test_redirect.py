"""Unmodified apps reach the doubles over verified TLS, and nothing else."""

import asyncio
import gc
import json
import shutil
import ssl
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from holdtrue.stage.process import Attempt, Completed, Redirect, run

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node on PATH")

Run = Callable[..., Awaitable[Completed]]


@dataclass
class Double:
    """Answers every request with one customer, over TLS, as api.stripe.com and *.provider.test."""

    port: int
    requests: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


async def answer(double: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ssl.SSLError, ConnectionResetError):
        writer.close()
        return
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(headers.get("content-length", 0)))
    double.requests.append(head.split(" HTTP")[0])
    double.hosts.append(headers["host"])
    body = json.dumps({"id": "cus_double", "object": "customer"}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def double(authority: trustme.CA) -> AsyncIterator[Double]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.stripe.com", "*.provider.test").configure_cert(context)
    double = Double(port=0)
    server = await asyncio.start_server(lambda r, w: answer(double, r, w), "127.0.0.1", 0, ssl=context)
    double.port = server.sockets[0].getsockname()[1]
    async with server:
        yield double


@pytest.fixture
def redirect(tmp_path: Path, authority: trustme.CA, double: Double) -> Redirect:
    app = tmp_path / "the app"
    app.mkdir()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    to = double.port
    return Redirect(
        tmp_path / "the hooks", routes={"api.stripe.com:443": to, "*.provider.test:443": to}, ca=ca, root=app
    )


@pytest.fixture
def python(redirect: Redirect, tmp_path: Path) -> Run:
    return lambda code, *options, **env: run_script(redirect, tmp_path, "app.py", [sys.executable, *options], code, env)


@pytest.fixture
def node(redirect: Redirect, tmp_path: Path) -> Run:
    return lambda code, name="app.js", **env: run_script(redirect, tmp_path, name, [str(NODE)], code, env)


async def run_script(
    redirect: Redirect, scratch: Path, name: str, command: list[str], code: str, env: dict[str, str]
) -> Completed:
    script = redirect.root / name
    script.write_text(textwrap.dedent(code))
    environment = redirect.environment({"PATH": "/usr/bin:/bin", "HOME": str(scratch), **env})
    log = scratch / "log"
    return await run([*command, name], cwd=redirect.root, env=environment, log_path=log, patience=60)


STRIPE_STYLES = {
    "module": """
        import stripe
        stripe.api_key = "sk_test_1"
        print(stripe.Customer.create().id)
    """,
    "client object": """
        import stripe
        print(stripe.StripeClient("sk_test_1").v1.customers.create().id)
    """,
    "async": """
        import asyncio, stripe
        client = stripe.StripeClient("sk_test_1", http_client=stripe.HTTPXClient())
        print(asyncio.run(client.v1.customers.create_async()).id)
    """,
    "urllib fallback": """
        import stripe
        stripe.api_key = "sk_test_1"
        stripe.default_http_client = stripe.UrllibClient()
        print(stripe.Customer.create().id)
    """,
}


@pytest.mark.parametrize("style", STRIPE_STYLES)
async def test_an_unmodified_app_reaches_the_stripe_double_over_verified_tls(
    python: Run, double: Double, redirect: Redirect, style: str
) -> None:
    done = await python(STRIPE_STYLES[style])
    assert done.output == "cus_double\n"
    assert (double.requests[0], double.hosts[0]) == ("POST /v1/customers", "api.stripe.com")
    # The SDK reports its latency and looks for nothing else: whatever it tries besides is not let out.
    assert redirect.egress.attempts() == []


@pytest.mark.parametrize(
    "get",
    [
        "import requests; print(requests.get(URL).json()['id'])",
        "import json, urllib.request; print(json.load(urllib.request.urlopen(URL))['id'])",
        "import httpx; print(httpx.get(URL).json()['id'])",
        "import socket; print(socket.gethostbyname_ex('eu.provider.test')[2][0][:7])",
        "import socket; s = socket.socket(); s.connect(('eu.provider.test', 443)); print(s.getpeername()[0])",
        # Looked up without a port, connected later: the address stands for the name.
        "import socket as s; a = s.gethostbyname('eu.provider.test')\n"
        "print(s.create_connection((a, 443)).getpeername()[0])",
        "import _socket; print(_socket.getaddrinfo('eu.provider.test', 443)[0][4][0][:7])",
        "import anyio; print(anyio.run(anyio.connect_tcp, 'eu.provider.test', 443)._raw_socket.getpeername()[0])",
    ],
)
async def test_a_routed_host_is_reached_whatever_the_client(python: Run, redirect: Redirect, get: str) -> None:
    done = await python(f"URL = 'https://eu.provider.test/v1/x'\n{get}")
    assert done.returncode == 0, done.output
    assert done.output.strip() in ("cus_double", "127.0.0.1", "127.83.")
    assert redirect.egress.attempts() == []


async def test_trust_is_added_and_never_weakened(python: Run, tmp_path: Path) -> None:
    # The same route, but without the authority of the stage: the double's certificate must not be believed.
    done = await python("import httpx; httpx.get('https://eu.provider.test/')", HOLDTRUE_STAGE_UNUSED="1")
    assert done.returncode == 0
    wrong = await python("""
        import ssl, socket
        context = ssl.create_default_context()
        raw = socket.create_connection(("eu.provider.test", 443))
        context.wrap_socket(raw, server_hostname="bank.example")
    """)
    assert "CERTIFICATE_VERIFY_FAILED" in wrong.output


async def test_without_the_stages_authority_the_double_is_not_believed(
    double: Double, tmp_path: Path, authority: trustme.CA
) -> None:
    (tmp_path / "app").mkdir()
    routes = {"api.stripe.com:443": double.port}
    redirect = Redirect(tmp_path / "hooks", routes=routes, ca=None, root=tmp_path / "app")
    done = await run_script(
        redirect, tmp_path, "app.py", [sys.executable], "import httpx; httpx.get('https://api.stripe.com/')", {}
    )
    assert "CERTIFICATE_VERIFY_FAILED" in done.output


REFUSALS = {
    "requests": ("import requests", "requests.get('https://telemetry.example/collect')"),
    "urllib": ("import urllib.request", "urllib.request.urlopen('https://telemetry.example/collect')"),
    "httpx": ("import httpx", "httpx.get('https://telemetry.example/collect')"),
    "asyncio": ("import asyncio", "asyncio.run(asyncio.open_connection('telemetry.example', 443))"),
    "C level": ("import _socket", "_socket.getaddrinfo('telemetry.example', 443)"),
}


@pytest.mark.parametrize("client", REFUSALS)
async def test_every_other_host_is_refused_and_recorded_with_the_apps_own_line(
    python: Run, redirect: Redirect, client: str
) -> None:
    first, call = REFUSALS[client]
    done = await python(f"{first}\n\ndef report():\n    {call}\n\nreport()\n")
    assert done.returncode == 1
    assert "holdtrue refused the" in done.output
    (attempt,) = redirect.egress.attempts()
    assert (attempt.host, attempt.port, attempt.process) == ("telemetry.example", 443, "app.py")
    assert attempt.where == "app.py:4"
    assert str(attempt) == "look-up telemetry.example:443 from app.py:4"
    assert attempt.pid in [process.pid for process in redirect.egress.guarded()]


CALLS = {
    "s.create_connection(('203.0.113.7', 5432))": ("203.0.113.7", 5432, "connection"),
    "s.socket().connect(('203.0.113.8', 5432))": ("203.0.113.8", 5432, "connection"),
    "s.socket(s.AF_INET6).connect(('2001:db8::1', 25, 0, 0))": ("2001:db8::1", 25, "connection"),
    "s.SocketType().connect(('203.0.113.9', 443))": ("203.0.113.9", 443, "connection"),
    "s.socket(type=s.SOCK_DGRAM).sendto(b'x', ('203.0.113.53', 53))": ("203.0.113.53", 53, "datagram"),
    "s.socket(type=s.SOCK_DGRAM).sendto(b'x', 0, ('ntp.example', 123))": ("ntp.example", 123, "datagram"),
    "s.gethostbyname('db.prod.example')": ("db.prod.example", None, "look-up"),
    "s.gethostbyaddr('203.0.113.10')": ("203.0.113.10", None, "look-up"),
    "s.getaddrinfo('db.prod.example', 'smtp')": ("db.prod.example", 25, "look-up"),
    "s.create_connection(('api.stripe.com', 80))": ("api.stripe.com", 80, "look-up"),
}


async def test_addresses_datagrams_and_look_ups_are_refused_as_well(python: Run, redirect: Redirect) -> None:
    tries = [f"try:\n    {call}\nexcept OSError as error:\n    print(error)\n" for call in CALLS]
    done = await python("import socket as s\n" + "".join(tries))
    assert done.output.count("holdtrue refused the") == len(CALLS)
    assert [(a.host, a.port, a.kind) for a in redirect.egress.attempts()] == list(CALLS.values())


async def test_connect_ex_answers_refused(python: Run, redirect: Redirect) -> None:
    done = await python(
        "import errno, socket; print(errno.errorcode[socket.socket().connect_ex(('203.0.113.7', 443))])"
    )
    assert done.output == "ECONNREFUSED\n"
    assert len(redirect.egress.attempts()) == 1


async def test_loopback_the_own_name_and_listening_pass(python: Run, redirect: Redirect) -> None:
    done = await python("""
        import asyncio, socket, smtplib
        server = socket.create_server(("0.0.0.0", 0))
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "app.localhost", socket.gethostname(), b"127.0.0.1"):
            if host != "app.localhost":
                socket.create_connection((host, port)).close()
        socket.getfqdn(), socket.gethostbyname(socket.gethostname()), socket.getaddrinfo(None, 80)

        async def both():
            there = await asyncio.start_server(lambda *_: None, "localhost", 0)
            await asyncio.open_connection("127.0.0.1", there.sockets[0].getsockname()[1])

        asyncio.run(both())
        here, there = socket.socketpair()
        here.send(b"x")
        print("passed")
    """)
    assert done.output == "passed\n"
    assert redirect.egress.attempts() == []


async def test_children_inherit_the_guard(python: Run, redirect: Redirect) -> None:
    done = await python("""
        import multiprocessing, os, subprocess, sys, urllib.request

        def call(url):
            try:
                urllib.request.urlopen(url)
            except OSError as error:
                print(error)

        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                child = multiprocessing.get_context(method).Process(target=call, args=(f"http://{method}.example/",))
                child.start()
                child.join()
            subprocess.run([sys.executable, "-c", "import socket; socket.create_connection(('shell.example', 80))"])
    """)
    assert done.returncode == 0
    attempts = redirect.egress.attempts()
    assert [attempt.host for attempt in attempts] == ["fork.example", "spawn.example", "shell.example"]
    assert len({attempt.pid for attempt in attempts}) == 3
    assert attempts[-1].process == "python"


async def test_a_sitecustomize_of_the_apps_own_still_runs(python: Run, redirect: Redirect, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins; builtins.own = __name__")
    done = await python("print(own)", PYTHONPATH=str(own))
    assert done.output == "sitecustomize\n"
    assert len(redirect.egress.guarded()) == 1


async def test_rubbish_is_collected_as_ever_once_the_app_has_a_socket(python: Run) -> None:
    done = await python("""
        import gc, socket
        before = gc.get_threshold()[0]
        socket.socket().close()
        print(before, *gc.get_threshold())
    """)
    assert done.output.split() == ["50000", *map(str, gc.get_threshold())]


async def test_an_app_started_without_the_hook_is_missing_among_the_guarded(python: Run, redirect: Redirect) -> None:
    await python("pass", "-I")
    assert redirect.egress.guarded() == []


async def test_records_can_be_cleared_between_scenarios(python: Run, redirect: Redirect) -> None:
    call = "import socket; socket.create_connection(('first.example', 80))"
    await python(call)
    redirect.egress.clear()
    await python(call.replace("first", "second"))
    assert [attempt.host for attempt in redirect.egress.attempts()] == ["second.example"]


def test_a_route_without_a_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a route starts at host:port"):
        Redirect(tmp_path, routes={"https://api.stripe.com": 1}, ca=None, root=tmp_path)


# -- Node ------------------------------------------------------------------------------------------------------------

NODE_CLIENTS = {
    "https.request": """
        const https = require('https');
        https.get('https://api.stripe.com/v1/customers', (response) => {
          response.on('data', (data) => console.log(JSON.parse(data).id));
        }).on('error', (error) => { console.log(error.message); process.exitCode = 1; });
    """,
    "fetch": """
        fetch('https://api.stripe.com/v1/customers')
          .then((response) => response.json())
          .then((customer) => console.log(customer.id))
          .catch((error) => { console.log(error.cause.message); process.exitCode = 1; });
    """,
    "tls with a ca of its own": """
        const tls = require('tls');
        const options = { host: 'api.stripe.com', port: 443, servername: 'api.stripe.com', ca: tls.rootCertificates };
        const socket = tls.connect(options, () => {
          socket.write('GET /v1/customers HTTP/1.1\\r\\nhost: api.stripe.com\\r\\n\\r\\n');
        });
        socket.on('data', (data) => console.log(/cus_double/.exec(data)?.[0] ?? ''));
        socket.on('error', (error) => { console.log(error.message); process.exitCode = 1; });
    """,
    "looked up first": """
        const https = require('https');
        require('dns').lookup('api.stripe.com', (error, address) => {
          const options = { host: address, servername: 'api.stripe.com', headers: { host: 'api.stripe.com' } };
          https.get({ ...options, path: '/v1/customers' }, (response) => {
            response.on('data', (data) => console.log(JSON.parse(data).id));
          });
        });
    """,
}


@needs_node
@pytest.mark.parametrize("client", NODE_CLIENTS)
async def test_an_unmodified_node_app_reaches_the_double_over_verified_tls(
    node: Run, double: Double, redirect: Redirect, client: str
) -> None:
    done = await node(NODE_CLIENTS[client])
    assert done.output.strip() == "cus_double"
    assert (double.requests, double.hosts) == (["GET /v1/customers"], ["api.stripe.com"])
    assert redirect.egress.attempts() == []


@needs_node
async def test_an_ecmascript_module_is_redirected_too(node: Run, double: Double) -> None:
    code = """
        import { lookup } from 'node:dns/promises';
        import { get } from 'node:https';
        const { address } = await lookup('api.stripe.com');
        get('https://api.stripe.com/', (response) => response.on('data', () => console.log(address.slice(0, 7))));
    """
    done = await node(code, "app.mjs")
    assert (done.returncode, done.output) == (0, "127.83.\n")


@needs_node
async def test_node_does_not_believe_the_double_under_another_name(node: Run) -> None:
    done = await node("""
        const options = { host: 'api.stripe.com', port: 443, servername: 'bank.example' };
        require('tls').connect(options).on('error', (error) => console.log(error.code));
    """)
    assert done.output == "ERR_TLS_CERT_ALTNAME_INVALID\n"


NODE_REFUSALS = {
    "https.request": (
        "require('https').get('https://telemetry.example/x').on('error', (e) => console.log(e.message));",
        ("telemetry.example", 443, "connection"),
    ),
    "fetch": (
        "fetch('https://telemetry.example/x').catch((e) => console.log(e.cause.message));",
        ("telemetry.example", 443, "connection"),
    ),
    "net": (
        "require('net').connect(5432, '203.0.113.7').on('error', (e) => console.log(e.message));",
        ("203.0.113.7", 5432, "connection"),
    ),
    "lookup": (
        "require('dns').lookup('db.prod.example', (e) => console.log(e.message));",
        ("db.prod.example", None, "look-up"),
    ),
    "resolve": (
        "require('dns').promises.resolveMx('shop.example').catch((e) => console.log(e.message));",
        ("shop.example", None, "look-up"),
    ),
    "datagram": (
        "const s = require('dgram').createSocket('udp4');"
        "s.send('x', 53, '203.0.113.53', (e) => { console.log(e.message); s.close(); });",
        ("203.0.113.53", 53, "datagram"),
    ),
}


@needs_node
@pytest.mark.parametrize("client", NODE_REFUSALS)
async def test_node_refuses_and_records_every_other_host(node: Run, redirect: Redirect, client: str) -> None:
    call, expected = NODE_REFUSALS[client]
    done = await node(f"\n{call}")
    assert "holdtrue refused the" in done.output
    (attempt,) = redirect.egress.attempts()
    assert (attempt.host, attempt.port, attempt.kind) == expected
    assert attempt == Attempt(
        host=attempt.host, port=attempt.port, kind=attempt.kind, pid=attempt.pid, process="app.js", where="app.js:2"
    )


@needs_node
async def test_loopback_passes_in_node_and_workers_and_children_inherit_the_guard(
    node: Run, redirect: Redirect
) -> None:
    done = await node("""
        const { Worker, isMainThread } = require('worker_threads');
        const call = `require('net').connect(80, 'WHO.example').on('error', () => {})`;
        const server = require('http').createServer((_, response) => response.end('passed'));
        server.listen(0, '127.0.0.1', () => {
          fetch(`http://localhost:${server.address().port}/`).then((r) => r.text()).then((text) => {
            console.log(text);
            server.close();
            new Worker(call.replace('WHO', 'worker'), { eval: true }).on('exit', () => {
              require('child_process').execFileSync(process.execPath, ['-e', call.replace('WHO', 'child')]);
            });
          });
        });
    """)
    assert done.output == "passed\n"
    assert [attempt.host for attempt in redirect.egress.attempts()] == ["worker.example", "child.example"]
