"""Run by path in a fresh interpreter: imports modules, and notes what their own top level does to the world.

Usage: python probe.py '{"folder": …, "names": […], "path": […]}'
"""

import contextlib
import importlib
import json
import os
import sys
import threading
import types
from typing import Any

WATCHED = {
    "socket.connect": "connects to {1}",
    "socket.bind": "listens on {1}",
    "socket.getaddrinfo": "looks up {0}",
    "subprocess.Popen": "starts {0}",
    "os.system": "runs {0}",
    "os.fork": "forks",
    "os.mkdir": "makes the directory {0}",
    "os.remove": "removes {0}",
    "os.rename": "renames {0}",
    "os.rmdir": "removes {0}",
    "os.putenv": "sets the environment variable {0}",
    "signal.signal": "takes over a signal",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


def main() -> None:
    """Import, and print what was seen as one line of JSON."""
    asked = json.loads(sys.argv[1])
    sys.path[:] = asked["path"]
    effects: list[str] = []
    watching = True

    def own() -> bool:
        """Whether the nearest module that is being imported is one of those asked about."""
        frame: types.FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                return os.path.realpath(frame.f_code.co_filename).startswith(asked["folder"])
            frame = frame.f_back
        return False

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event == "open":
            file, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES and own():
                effects.append(f"opens {file!r} to write")
        elif event in WATCHED and own():
            effects.append(WATCHED[event].format(*(repr(each) for each in arguments)))

    start = threading.Thread.start

    def started(thread: threading.Thread) -> None:
        if own():
            effects.append("starts a thread")
        start(thread)

    # Not every Python version audits the start of a thread.
    setattr(threading.Thread, "start", started)  # noqa: B010  (mypy knows that a method is not assigned to)
    sys.addaudithook(note)
    with contextlib.redirect_stdout(sys.stderr):
        for name in asked["names"]:
            importlib.import_module(name)
    watching = False
    digests = {
        name: sys.modules[name].CONTRACT.digest
        for name in asked["names"]
        if name.endswith("contract") and hasattr(sys.modules[name], "CONTRACT")
    }
    print(json.dumps({"effects": sorted(set(effects)), "digests": digests}))


main()
