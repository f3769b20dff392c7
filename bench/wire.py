"""What the wire costs: the same statements with and without it, alternating in one run.

Usage: python bench/wire.py [ROUNDS]

Prints what a swap takes; then medians, their ratio and the milliseconds added per statement for a one-row SELECT by
primary key, in the simple and the extended protocol, with nothing recorded and while recording; then the throughput of
`pgbench -S` with one and with four clients. Without the wire clients use the server's unix socket; the wire adds a TCP
hop on loopback, and shares its event loop with the measuring drivers, but not with pgbench.
"""

import asyncio
import os
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import asyncpg
import psycopg

from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.wire import Listener, Upstream, Wire

ROUNDS = 1500
WARM_UP = 50

Ask = Callable[[], Awaitable[object]]


async def median_times(asks: dict[str, Ask], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turns so that the machine's mood hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(rounds + WARM_UP):
        for name, ask in asks.items():
            start = time.perf_counter()
            await ask()
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


async def statements(cluster: Cluster, wire: Wire, listener: Listener, rounds: int) -> None:
    def psycopg_dsn(**where: object) -> str:
        return psycopg.conninfo.make_conninfo(user=cluster.superuser, dbname="postgres", **where)

    direct_dsn = psycopg_dsn(host=cluster.host, port=cluster.port)
    wired_dsn = psycopg_dsn(host="127.0.0.1", port=listener.port, password=wire.password)
    direct = await psycopg.AsyncConnection.connect(direct_dsn, autocommit=True, prepare_threshold=None)
    wired = await psycopg.AsyncConnection.connect(wired_dsn, autocommit=True, prepare_threshold=None)
    direct_pg = await asyncpg.connect(
        host=cluster.host, port=cluster.port, user=cluster.superuser, database="postgres", ssl=False
    )
    wired_pg = await asyncpg.connect(
        host="127.0.0.1",
        port=listener.port,
        user=cluster.superuser,
        password=wire.password,
        database="postgres",
        ssl=False,
    )
    simple, numbered = "SELECT value FROM numbers WHERE id = 4711", "SELECT value FROM numbers WHERE id = %s"
    prepared = "SELECT value FROM numbers WHERE id = $1"
    pairs: dict[str, tuple[Ask, Ask]] = {
        "psycopg, simple": (lambda: direct.execute(simple), lambda: wired.execute(simple)),
        "psycopg, extended": (
            lambda: direct.execute(numbered, (4711,)),
            lambda: wired.execute(numbered, (4711,)),
        ),
        "asyncpg, prepared": (
            lambda: direct_pg.fetchval(prepared, 4711),
            lambda: wired_pg.fetchval(prepared, 4711),
        ),
    }
    print(f"{'one-row SELECT':<32}{'direct ms':>10}{'wire ms':>10}{'ratio':>8}{'added ms':>10}")
    for recorded in (False, True):
        with ExitStack() as stack:
            if recorded:
                stack.enter_context(wire.record())
            for name, (without, through) in pairs.items():
                found = await median_times({"direct": without, "wire": through}, rounds)
                label = f"{name}{', recorded' if recorded else ''}"
                ratio, added = found["wire"] / found["direct"], found["wire"] - found["direct"]
                print(f"{label:<32}{found['direct']:>10.3f}{found['wire']:>10.3f}{ratio:>8.2f}{added:>10.3f}")
    for connection in (direct, wired):
        await connection.close()
    for other in (direct_pg, wired_pg):
        await other.close()


async def pgbench(cluster: Cluster, where: list[str], password: str, *, mode: str, clients: int) -> float:
    """Transactions per second of `pgbench -S`."""
    program = await asyncio.create_subprocess_exec(
        str(cluster.binaries / "pgbench"),
        "-n", "-S", "-M", mode, "-c", str(clients), "-T", "2", "-U", cluster.superuser, *where, "postgres",
        env={**os.environ, "PGPASSWORD": password},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await program.communicate())[0].decode()
    found = re.search(r"tps = ([\d.]+)", output)
    if found is None:
        raise SystemExit(output)
    return float(found.group(1))


async def throughput(cluster: Cluster, wire: Wire, listener: Listener) -> None:
    directly = ["-h", cluster.host, "-p", str(cluster.port)]
    through = ["-h", "127.0.0.1", "-p", str(listener.port)]
    print(f"\n{'pgbench -S':<32}{'direct tps':>10}{'wire tps':>10}{'ratio':>8}")
    for mode in ("simple", "extended", "prepared"):
        for clients in (1, 4):
            direct = await pgbench(cluster, directly, "", mode=mode, clients=clients)
            wired = await pgbench(cluster, through, wire.password, mode=mode, clients=clients)
            print(f"{f'{mode}, {clients} clients':<32}{direct:>10.0f}{wired:>10.0f}{wired / direct:>8.2f}")


async def swaps(cluster: Cluster, wire: Wire, listener: Listener, setup: psycopg.AsyncConnection) -> None:
    await setup.execute("CREATE DATABASE elsewhere")
    dsn = psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=listener.port, user=cluster.superuser, password=wire.password
    )
    pool = [await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(6)]
    asks: dict[str, Ask] = {
        "there": lambda: wire.swap("elsewhere"),
        "first": lambda: pool[0].execute("SELECT 1"),
        "others": lambda: asyncio.gather(*(connection.execute("SELECT 1") for connection in pool[1:])),
        "again": lambda: pool[0].execute("SELECT 1"),
        "back": lambda: wire.swap("postgres"),
        "all": lambda: asyncio.gather(*(connection.execute("SELECT 1") for connection in pool)),
    }
    found = await median_times(asks, 20)
    print(
        f"swap of six idle connections {found['there']:.1f} ms, first statement after it {found['first']:.1f} ms, "
        f"the next one {found['again']:.1f} ms\n"
    )
    for connection in pool:
        await connection.close()


async def main(rounds: int) -> None:
    async with Cluster.embedded() as cluster, Wire(upstream=Upstream.of(cluster), seed=1) as wire:
        listener = await wire.listen("bench", "postgres")
        async with await psycopg.AsyncConnection.connect(
            host=cluster.host, port=cluster.port, user=cluster.superuser, dbname="postgres", autocommit=True
        ) as setup:
            await setup.execute(
                "CREATE TABLE numbers (id int PRIMARY KEY, value text); "
                "INSERT INTO numbers SELECT n, 'value ' || n FROM generate_series(1, 10000) n; "
                "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); "
                "INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) n; "
                "CREATE TABLE pgbench_branches (bid int); INSERT INTO pgbench_branches VALUES (1); ANALYZE"
            )
            await swaps(cluster, wire, listener, setup)
        await statements(cluster, wire, listener, rounds)
        await throughput(cluster, wire, listener)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
