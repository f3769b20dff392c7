"""The survey of an app's mapped tables."""

from collections.abc import Iterable

from pydantic import TypeAdapter

from holdtrue.stage.survey.facts import Models
from holdtrue.stage.survey.runner import Interpreter, run_probe

MODELS = TypeAdapter(Models)


async def survey_sqlalchemy(modules: Iterable[str], interpreter: Interpreter, *, patience: float = 60.0) -> Models:
    """The tables the app knows after these modules (``pkg.module`` or ``pkg.module:attribute``) are imported.

    `patience` is in seconds. Raises `SurveyError`.
    """
    return await run_probe("sqlalchemy", tuple(modules), interpreter, MODELS, patience=patience)
