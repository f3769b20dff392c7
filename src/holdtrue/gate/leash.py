"""Runs one command, and ends it when whoever asked for it is gone, however that ended. A script, standard library only.

Standard input is a pipe that only the asker holds open: the kernel closes it on a SIGKILL as well. A migration must not
go on when the session that holds the gate's lock is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys


def main() -> int:
    """Run the command; its exit code, or 128 and the signal that ended it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while child.poll() is None:
            ready, _, _ = select.select([sys.stdin.fileno(), reader], [], [])
            gone = sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1)
            told = set(os.read(reader, 64)) if reader in ready else set()
            if gone or told & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                break
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
            os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
