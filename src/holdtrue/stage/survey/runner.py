"""Runs a probe in the app's own interpreter and reads what it found."""

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.survey.facts import Problem

HERE = Path(__file__).parent
BOOTSTRAP = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
LARGEST_ANSWER = 2**28
SHOWN_OUTPUT = 4000
GRACE = 2.0
PROBLEM = TypeAdapter(Problem)

T = TypeVar("T")


class SurveyError(HoldtrueError):
    """The app could not be surveyed; `problem` is what it raised, where it was the app that did."""

    def __init__(
        self, seen: str, *, where: str = "", why: str = "", do: str = "", problem: Problem | None = None
    ) -> None:
        super().__init__(seen, where=where, why=why, do=do)
        self.problem = problem


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The app's own interpreter, directory and whole environment."""

    python: str
    directory: Path
    env: Mapping[str, str] = field(repr=False)


class Probe:
    """A probe process, from start to close. One JSON line in, one JSON line out."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: Any) -> None:
        self.name = name
        self._process = process
        self._output = output
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, name: str, arguments: tuple[str, ...], interpreter: Interpreter) -> Self:
        """Start `<name>.py` of this directory. Raises `SurveyError` when the interpreter cannot be started."""
        ours, theirs = socket.socketpair()
        words = (interpreter.python, "-c", BOOTSTRAP, str(HERE / "launch.py"), str(theirs.fileno()))
        return await cls._spawn(
            name,
            (*words, str(HERE / f"{name}.py"), *arguments),
            interpreter,
            (ours, theirs),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )

    @classmethod
    async def command(cls, name: str, words: Sequence[str], interpreter: Interpreter) -> Self:
        """Start a command of the app's own that answers on standard output what it is asked on standard input.

        Raises `SurveyError` when it cannot be started.
        """
        ours, theirs = socket.socketpair()
        return await cls._spawn(name, words, interpreter, (ours, theirs), stdin=theirs, stdout=theirs)

    @classmethod
    async def _spawn(
        cls,
        name: str,
        words: Sequence[str],
        interpreter: Interpreter,
        channel: tuple[socket.socket, socket.socket],
        **ends: Any,
    ) -> Self:
        ours, theirs = channel
        # A file, not a pipe: what the app starts on import may keep its output open longer than we want to read it.
        output = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=interpreter.directory,
                env=dict(interpreter.env),
                **({"stdout": output} | ends),
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            output.close()
            raise SurveyError(
                f"the app's interpreter did not start: {error}",
                where=words[0],
                why="Without it nothing of the app's code can be read.",
                do="Set [process] python to an interpreter that has the app's requirements.",
            ) from error
        finally:
            theirs.close()
        probe = cls(name, process, output)
        try:
            probe._reader, probe._writer = await asyncio.open_connection(sock=ours, limit=LARGEST_ANSWER)
        except BaseException:
            probe._kill()
            await process.wait()
            ours.close()
            output.close()
            raise
        return probe

    async def ask(self, command: Mapping[str, Any], *, patience: float) -> dict[str, Any]:
        """Send a command and read its answer. Raises `SurveyError` when there is none within `patience` seconds."""
        try:
            self._writer.write(json.dumps(command).encode() + b"\n")
            await self._writer.drain()
        except ConnectionError as error:
            raise await self._silence() from error
        return await self.answer(patience=patience)

    async def answer(self, *, patience: float) -> dict[str, Any]:
        """Read the next answer. Raises `SurveyError` when there is none within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                line = await self._reader.readline()
        except TimeoutError:
            raise await self._stuck(patience) from None
        except ConnectionError as error:
            raise await self._silence() from error
        if not line.endswith(b"\n"):
            raise await self._silence()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self, *, patience: float = 5.0) -> None:
        """End the process: at once when it has finished, else when it does so within `patience`, else by force."""
        self._writer.close()
        try:
            with suppress(ConnectionError):
                await self._writer.wait_closed()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()
        finally:
            self._kill()
            await self._process.wait()
            self._output.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(patience=0.0 if kind is not None else 5.0)

    def _kill(self) -> None:
        # The group too: what the app started on import goes with it.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _silence(self) -> SurveyError:
        try:
            async with asyncio.timeout(GRACE):
                ending = f"ended with exit code {await self._process.wait()}"
        except TimeoutError:
            ending = "closed the survey's channel"
        return SurveyError(
            f"the app's process {ending} before the survey was done",
            where=f"survey of {self.name}",
            why=self._said(),
            do="Import the app by hand in the same environment; it must not end the process on import.",
        )

    async def _stuck(self, patience: float) -> SurveyError:
        self._process.send_signal(signal.SIGUSR1)  # launch.py has it write its stacks, then it ends
        try:
            async with asyncio.timeout(GRACE):
                await self._process.wait()
        except TimeoutError:
            self._kill()
        return SurveyError(
            f"no answer within {patience:g} s",
            where=f"survey of {self.name}",
            why=self._said(),
            do="An app that waits for a service on import must be able to reach it in the stage, or wait later.",
        )

    def _said(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - SHOWN_OUTPUT))
        text = self._output.read().decode("utf-8", "replace").strip()
        return f"It last wrote:\n{text}" if text else "It wrote nothing."


def problem_in(answer: Mapping[str, Any]) -> Problem | None:
    """What the app raised, when the answer says so."""
    return PROBLEM.validate_python(answer["error"]) if "error" in answer else None


async def run_probe(
    name: str, arguments: tuple[str, ...], interpreter: Interpreter, facts: TypeAdapter[T], *, patience: float
) -> T:
    """Run a probe that answers once, and check its answer.

    Raises `SurveyError`: with the end of the app's traceback when the app cannot be imported, with what it wrote last
    when it ends or hangs instead.
    """
    async with await Probe.start(name, arguments, interpreter) as probe:
        answer = await probe.answer(patience=patience)
        problem = problem_in(answer)
        if problem is not None:
            raise SurveyError(
                f"the app cannot be read: {problem}",
                where=" ".join(arguments),
                why=problem.last_lines(),
                do=f"Import it with {interpreter.python} in {interpreter.directory}, in the environment of the stage: "
                "a missing module belongs into its requirements, a missing setting into [process] env.",
                problem=problem,
            )
        try:
            return facts.validate_python(answer)
        except ValidationError as error:
            raise SurveyError(
                f"the survey's answer is not what was agreed: {error}",
                where=f"survey of {name}",
                why="A version of the framework that the survey does not know may be in use.",
                do="Report the framework's version.",
            ) from error
