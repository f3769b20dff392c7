"""One-shot commands, and starts that survive a port lost to somebody else."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdtrue.stage.process.errors import CommandTimeoutError, PortInUseError
from holdtrue.stage.process.ports import free_port, is_taken
from holdtrue.stage.process.runner import AppProcess, Mother, Redactor, unredacted


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A one-shot command that ended: its code, the end of its output (redacted), and how long it took in seconds."""

    command: tuple[str, ...]
    returncode: int
    output: str
    seconds: float


async def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log_path: Path,
    patience: float,
    redact: Redactor = unredacted,
    name: str = "command",
    sealed: bool = True,
    mother: Mother | None = None,
) -> Completed:
    """Runs a one-shot command (migrate, seed) to its end. A non-zero code is returned, not raised.

    Raises ``StartError`` when it cannot be executed, ``CommandTimeoutError`` when it takes longer than ``patience``
    seconds; it is killed then. ``sealed=False`` lets it use the network, as an installer must. With a ``mother`` it is
    forked, where she can.
    """
    process = AppProcess(
        name, command, cwd=cwd, env=env, log_path=log_path, redact=redact, sealed=sealed, mother=mother
    )
    begun = time.monotonic()
    await process.start()
    try:
        returncode = await asyncio.wait_for(process.wait(), patience)
    except TimeoutError:
        await process.kill()
        raise CommandTimeoutError(
            f"{name} did not end within {patience:g} s and was killed; its output:\n{process.log(20)}",
            where=redact(" ".join(command)),
            why="What it left half done cannot be rehearsed on.",
            do="See whether it waits for input or for a service that the stage does not offer; give it more patience.",
        ) from None
    finally:
        await process.kill()
    seconds = time.monotonic() - begun
    return Completed(command=tuple(command), returncode=returncode, output=process.log(), seconds=seconds)


async def start_on_port(
    make: Callable[[int], AppProcess],
    *,
    port: int | None,
    url_path: str | None,
    patience: float,
    attempts: int = 3,
) -> tuple[AppProcess, int]:
    """Starts a process on a port and waits until it is ready; ``make`` builds it for a given port.

    ``port=None``: the stage chooses, and chooses again when somebody else was faster. A given port is tried once.
    Raises ``StartError`` or ``PortInUseError``; nothing is left running then.
    """
    if port is not None and is_taken(port):
        raise PortInUseError(
            f"port {port} is in use",
            where=f"127.0.0.1:{port}",
            why="It would have answered in the app's place.",
            do="End what listens there, or let the stage choose the port: write {port} in the command.",
        )
    for attempt in range(1, attempts + 1):
        chosen = free_port() if port is None else port
        process = make(chosen)
        try:
            await process.start()
            await process.ready(url_path, chosen, patience=patience)
        except PortInUseError:
            await process.kill()
            if port is not None or attempt == attempts:
                raise
        except BaseException:
            await process.kill()
            raise
        else:
            return process, chosen
    raise ValueError(f"attempts must be at least 1, not {attempts}")
