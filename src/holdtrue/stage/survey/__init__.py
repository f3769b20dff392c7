"""The survey: what the app's own interpreter, or its OpenAPI document, says about it.

``launch.py``, ``fastapi.py``, ``sqlalchemy.py`` and ``alembic.py`` are never imported here: they are run by the app's
interpreter, and are the only files that know a framework.
"""

from holdtrue.stage.survey.facts import (
    ANY_METHOD,
    Body,
    Column,
    Dependency,
    Model,
    Models,
    Mount,
    Parameter,
    Problem,
    Revision,
    Revisions,
    Route,
    Routing,
    SecurityNeed,
    Source,
    Step,
    Table,
    WebSocket,
)
from holdtrue.stage.survey.migrations import AlembicDriver
from holdtrue.stage.survey.models import survey_sqlalchemy
from holdtrue.stage.survey.openapi import parse_openapi
from holdtrue.stage.survey.routes import survey_fastapi
from holdtrue.stage.survey.runner import Interpreter, SurveyError, run_probe
from holdtrue.stage.survey.steps import StepDriver

__all__ = [
    "ANY_METHOD",
    "AlembicDriver",
    "Body",
    "Column",
    "Dependency",
    "Interpreter",
    "Model",
    "Models",
    "Mount",
    "Parameter",
    "Problem",
    "Revision",
    "Revisions",
    "Route",
    "Routing",
    "SecurityNeed",
    "Source",
    "Step",
    "StepDriver",
    "SurveyError",
    "Table",
    "WebSocket",
    "parse_openapi",
    "run_probe",
    "survey_fastapi",
    "survey_sqlalchemy",
]
