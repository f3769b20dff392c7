"""The kit's PostgreSQL ends with the test run, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

RUN = """
import sys
from holdtrue.assembly.testing import Postgres

with Postgres.start() as server:
    print(server.urls("postgres").superuser.partition("host=")[2], flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_nothing_of_it_stays_after_a_run(end: signal.Signals | None) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdin is not None
    assert run.stdout is not None
    with run:
        folder = Path(run.stdout.readline().strip())
        postmaster = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        server = [postmaster, *postmaster.children()]
        (keeper,) = psutil.Process(run.pid).children()
        if end is not None:
            run.send_signal(end)
        run.stdin.close()
    _, alive = psutil.wait_procs([keeper, *server], timeout=60)
    assert not alive
    assert not folder.parent.exists()
    assert folder.parent.name.startswith("holdtrue-pg-")
