"""Code ahead of the schema.

What production does
--------------------
A release starts before, or without, its migration. Or the migration was never written: on the developer's machine the
app created its tables itself.

Why apps break here
-------------------
A column is added to the model and not to the migrations, and `create_all` at startup hides it wherever the database is
new. And the health check says "ok" without looking, so that the deploy goes on and the old release is stopped.

Wrong
-----
    Base.metadata.create_all(engine)

    @app.get("/health")
    def health(): return {"ok": True}

Right
-----
    @app.get("/health/ready")
    def ready(db: Session = Depends(get_db)):
        if current_revision(db) != HEAD:
            raise HTTPException(503)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.database import PrepareFailure, prepare
from holdtrue.stage.play import try_route, twin
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.wire import Recording

MISSING = ("42P01", "42703", "42883", "42704", "3F000")
"""SQLSTATEs of an undefined table, column, function, object and schema (PostgreSQL, appendix A)."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Every statement the code sends, prepared against what the migrations made; then a start on no schema at all."""
    for key, route in stage.document.routes.items():
        if key in stage.setting.reached or route.signature is not None or route.out_of_scope is not None:
            continue
        with stage.wire.record() as recording:
            try:
                await twin(stage, key)
            except StepFailedError as error:
                # A route that fails for want of a column has sent the statement that tells; others have not been heard.
                if not any(item.sqlstate in MISSING for item in recording.statements):
                    yield Untried(subject=key, reason=str(error))
    await stage.fresh()
    yield Case(name="statements of the code", play=partial(_statements, stage), cause="statements")
    if stage.document.process.ready is not None:
        yield Case(name="start on a database that was never migrated", play=partial(_unmigrated, stage), cause="ready")


async def _statements(stage: Stage) -> Harm | None:
    await stage.fresh()
    captured = list(stage.setting.captured.values())
    database = await stage.setting.databases.clone(stage.setting.base)
    try:
        async with await stage.setting.cluster.admin(database) as connection:
            prepared = await prepare(connection, [(item.sql, item.parameter_types) for item in captured])
    finally:
        await stage.setting.databases.drop(database)
    if not prepared.tried:
        raise StepFailedError("the code sent no statement that could be prepared", where="migrations")
    failures = [failure for failure in prepared.failures if failure.sqlstate in MISSING]
    stage.player.evidence.add(
        "prepared", statements=prepared.tried, skipped=prepared.skipped, failures=[str(failure) for failure in failures]
    )
    if not failures:
        return None
    return Harm(
        seen=f"{prepared.tried} statements of the code were prepared against the schema that the migrations make; "
        f"{_told(failures)}.",
        where="migrations",
        clause=("migrations",),
    )


def _told(failures: list[PrepareFailure]) -> str:
    messages = list(dict.fromkeys(failure.message for failure in failures))
    return f"{len(failures)} cannot run: {'; '.join(messages[:4])} (such as `{failures[0].sql[:120]}`)"


async def _unmigrated(stage: Stage) -> Harm | None:
    """Start on an empty database: the app must not say it is ready while it cannot answer."""
    ready = stage.document.process.ready
    if ready is None:
        return None
    async with stage.outfit.unmigrated() as started:
        if started is None:
            return None
        port, wire = started
        health = await stage.client.send(port, "GET", ready)
        if not health.admitted:
            return None
        with wire.record() as recording:
            broken = await _first_failure(stage, port, recording)
    if broken is None:
        return None
    if not _lacks_schema(recording):
        raise StepFailedError(
            f"on a database that was never migrated, GET {ready} was answered {health.describe()} and {broken}, yet no "
            "statement failed for want of a schema",
            where=f"GET {ready}",
            do="Look into the log of the process named `unmigrated`: it did not come as far as to ask the database.",
        )
    return Harm(
        seen=f"On a database that was never migrated the app started and GET {ready} was answered {health.describe()}, "
        f"while {broken}: a deploy would send traffic to it.",
        where=f"GET {ready}",
        clause=("process", "ready"),
    )


async def _first_failure(stage: Stage, port: int, recording: Recording) -> str | None:
    """Call every route until one fails for want of a schema; else tell of the first that fails."""
    first = None
    for key, route in stage.document.routes.items():
        unsuited = route.out_of_scope is not None or route.signature is not None
        if unsuited or key == f"GET {stage.document.process.ready}":
            continue
        answer = await try_route(stage, key, port)
        if answer is None or not answer.failed:
            continue
        failure = f"{key} was answered {answer.describe()}"
        if _lacks_schema(recording):
            return failure
        first = first or failure
    return first


def _lacks_schema(recording: Recording) -> bool:
    return any(statement.sqlstate in MISSING for statement in recording.statements)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="REL058",
    catalogue="M58",
    severity=Severity.HIGH,
    promise="Every statement the code sends fits the schema its migrations make, and no traffic is taken without it.",
    why="The release answers 500 to customers, and the deploy that caused it looks green.",
    do="Write the missing migration, drop create_all, and let readiness compare the schema's revision with the code's.",
    do_not="Do not create missing tables at startup: it hides the gap until the first column changes.",
    subjects=lambda document: ["schema"] if document.process.migrate is not None else [],
    rehearse=rehearse,
    weight=2,
)
