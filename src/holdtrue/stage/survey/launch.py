"""Runs one probe inside the app's own interpreter and hands its answers back over a socket.

``runner.py`` starts it by path, with the arguments FD PROBE ARGS...:
neither this directory nor holdtrue is on the app's path, so a probe called ``fastapi.py`` never hides the real one.
Python 3.8 syntax, standard library only. Whatever the app prints stays on its own stdout and stderr.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import inspect
import json
import os
import signal
import socket
import sys
import traceback
from functools import partial
from typing import Any, Iterator, NoReturn  # noqa: UP035 (3.8)


class Frame:
    """What a probe is given: the channel to the stage, and how to find and name things of the app."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._file = socket.socket(fileno=fd).makefile("rwb")
        self._home = os.path.realpath(os.getcwd())  # noqa: PTH109

    def requests(self) -> Iterator[dict[str, Any]]:
        """What the stage asks, until it closes the channel."""
        for line in self._file:
            yield json.loads(line)

    def answer(self, document: dict[str, Any]) -> None:
        """One JSON document, on a line of its own."""
        self._file.write(json.dumps(document).encode() + b"\n")
        self._file.flush()

    def load(self, target: str) -> Any:
        """Import ``pkg.module`` or ``pkg.module:attribute.path``."""
        name, _, attributes = target.partition(":")
        found: Any = importlib.import_module(name)
        for attribute in filter(None, attributes.split(".")):
            found = getattr(found, attribute)
        return found

    def version(self, module: str) -> str | None:
        """The version of a module that the app has loaded."""
        return getattr(sys.modules.get(module), "__version__", None)

    def source(self, thing: Any) -> dict[str, Any]:
        """Where a callable is defined: decorators that name what they wrap, partials and instances are seen through."""
        while isinstance(thing, partial):
            thing = thing.func
        thing = inspect.unwrap(getattr(thing, "__func__", thing))
        if not hasattr(thing, "__qualname__"):
            thing = type(thing)
        return {
            "module": getattr(thing, "__module__", None) or "",
            "qualname": thing.__qualname__,
            "file": self._file_of(thing),
            "line": _line_of(thing),
        }

    def _file_of(self, thing: Any) -> str | None:
        try:
            file = inspect.getsourcefile(thing)
        except TypeError:  # a builtin
            return None
        return None if file is None else self.relative(file)

    def relative(self, file: str) -> str:
        """A path as seen from the app's directory, when it is inside."""
        real = os.path.realpath(file)
        inside = real.startswith(self._home + os.sep)
        return os.path.relpath(real, self._home) if inside else real

    def problem(self, error: BaseException) -> dict[str, str]:
        """An exception of the app, as the stage wants to read it."""
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return {"type": type(error).__qualname__, "message": str(error), "traceback": "".join(lines)}


def _line_of(thing: Any) -> int | None:
    code = getattr(thing, "__code__", None)
    if code is not None:
        return int(code.co_firstlineno)
    try:
        return inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return None


def main() -> NoReturn:
    """Run the probe named on the command line. Exits 0 when it answered, 1 when the app would not let it."""
    fd, probe_file, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    frame = Frame(fd)
    # The stage sends this when its patience ends: the output then shows where the app was stuck.
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)
    if os.getcwd() not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    sys.argv = [probe_file]
    status = 0
    try:
        specification = importlib.util.spec_from_file_location("_holdtrue_probe", probe_file)
        if specification is None or specification.loader is None:
            raise ImportError("not a probe: " + probe_file)
        probe = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(probe)
        probe.run(frame, arguments)
    except BaseException as error:  # noqa: BLE001 the edge: an app may even raise SystemExit on import
        frame.answer({"error": frame.problem(error)})
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the app started on import must not keep this process.
    os._exit(status)


if __name__ == "__main__":
    # runpy puts this file at sys.argv[0] and leaves the rest where it was.
    sys.argv = sys.argv[1:]
    main()
