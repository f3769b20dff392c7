"""Drives an app's Alembic revisions one by one, all in one process of its own interpreter."""

from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter

from holdtrue.stage.survey.facts import Revisions, Step
from holdtrue.stage.survey.runner import Interpreter, Probe, SurveyError, problem_in

REVISIONS = TypeAdapter(Revisions)
STRINGS = TypeAdapter(tuple[str, ...])


class AlembicDriver:
    """Alembic in the app's interpreter, with the app's own ``env.py``. Between commands it holds no connection.

    `patience`, in seconds, is for each command.
    """

    def __init__(self, probe: Probe, patience: float) -> None:
        self._probe = probe
        self._patience = patience

    @classmethod
    async def start(cls, interpreter: Interpreter, config: str | None = None, *, patience: float = 120.0) -> Self:
        """Start with the named configuration, or the ``alembic.ini`` (or pyproject section) found in the app.

        Raises `SurveyError` when there is none, or several.
        """
        probe = await Probe.start("alembic", () if config is None else (config,), interpreter)
        driver = cls(probe, patience)
        try:
            driver._checked(await probe.answer(patience=patience), "alembic")
        except BaseException:
            await probe.close(patience=0.0)
            raise
        return driver

    async def revisions(self) -> Revisions:
        """Every revision, with heads and bases. Raises `SurveyError` when the scripts cannot be read."""
        return REVISIONS.validate_python(await self._answered(do="revisions"))

    async def current(self) -> tuple[str, ...]:
        """The revisions the database stands at; none for an empty one. Raises `SurveyError`."""
        return STRINGS.validate_python((await self._answered(do="current"))["current"])

    async def upgrade(self, revision: str = "heads") -> Step:
        """Bring the database up to a revision. What the migration raises is in the step, not raised."""
        return await self._step(do="upgrade", revision=revision)

    async def downgrade(self, revision: str) -> Step:
        """Bring the database down to a revision (``base`` for none). What it raises is in the step, not raised."""
        return await self._step(do="downgrade", revision=revision)

    async def sql(self, start: str, end: str) -> str:
        """The SQL of an upgrade, rendered without a database (Alembic's offline mode). Raises `SurveyError`."""
        return str((await self._answered(do="sql", revision=f"{start}:{end}"))["sql"])

    async def close(self) -> None:
        """End the process."""
        await self._probe.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._probe.__aexit__(kind, error, trace)

    async def _step(self, **command: str) -> Step:
        answer = await self._probe.ask(command, patience=self._patience)
        return Step(seconds=float(answer["seconds"]), problem=problem_in(answer))

    async def _answered(self, **command: str) -> dict[str, Any]:
        return self._checked(await self._probe.ask(command, patience=self._patience), " ".join(command.values()))

    def _checked(self, answer: dict[str, Any], where: str) -> dict[str, Any]:
        problem = problem_in(answer)
        if problem is not None:
            raise SurveyError(
                f"Alembic refused: {problem}",
                where=where,
                why=problem.last_lines(),
                do="Run the same alembic command by hand in the app's environment.",
                problem=problem,
            )
        return answer
