"""Ends the PostgreSQL of a test run that was killed, and removes its files. Run as a file, standard library only.

Its standard input is a pipe that only the test run holds open: the kernel closes it, however the run ends. After a run
that ended well there is nothing left to do.
"""

import os
import select
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

PATIENCE = 15.0
"""Seconds for an immediate shutdown, in which PostgreSQL itself kills who has not ended after 5."""


def main() -> None:
    """Wait for the end of the run, and clear up after it."""
    folder = Path(sys.argv[1])
    os.read(0, 1)
    pidfile = folder / "data" / "postmaster.pid"
    with suppress(FileNotFoundError, ProcessLookupError):
        postmaster = int(pidfile.read_text().split()[0])
        # It is nobody's child that we could wait for. Elsewhere than on Linux its files may go before it does.
        end = os.pidfd_open(postmaster) if sys.platform == "linux" else None
        os.kill(postmaster, signal.SIGQUIT)
        if end is not None:
            select.select([end], [], [], PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
