"""``holdtrue plan``: what would be deployed, against what was last admitted; and whether a plan still says so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdtrue import __version__
from holdtrue.contract.errors import UsageError
from holdtrue.gate import state as states
from holdtrue.gate.canonical import canonical, loads, same
from holdtrue.gate.changes import changes, money_sources, pending
from holdtrue.gate.errors import GateRefusal
from holdtrue.gate.paper import Pending, Plan
from holdtrue.gate.risk import risks
from holdtrue.gate.state import Rendered, State, Told


def draw(
    directory: Path, signers_file: str, told: Told, *, base: str | None, before: State | None, until: date
) -> Plan:
    """The plan for what is in a directory, given what the app's interpreter told. Runs nothing of the app.

    Raises:
        GateRefusal: a migration that was admitted is gone or was edited.
    """
    state = states.look(directory, signers_file, told)
    _refuse_rewritten(before, state)
    missing = Rendered(unreadable="the app's interpreter did not say")
    rendered = {revision: told.rendered.get(revision, missing) for revision in pending(before, state)}
    return Plan(
        made_with=__version__,
        until=until,
        base=base,
        before=before,
        state=state,
        digests=state.digests | {f"money: {path}": each for path, each in money_sources(state).items()},
        changes=changes(before, state),
        pending=[
            Pending(revision=revision, rendered=each, risks=risks(each.sql)) for revision, each in rendered.items()
        ],
    )


def redraw(plan: Plan, directory: Path, told: Told | None = None) -> Plan:
    """The same plan, as it would be drawn now.

    Without ``told`` nothing of the app is run: what its interpreter said is taken from the plan, and what follows from
    it is worked out anew. So whoever approves runs no code that an agent wrote on the machine that has the key.
    """
    return draw(
        directory,
        plan.state.signers_file,
        told or _told(plan),
        base=plan.base,
        before=plan.before,
        until=plan.until,
    )


def _told(plan: Plan) -> Told:
    rendered = {each.revision: each.rendered for each in plan.pending}
    return Told(revisions=plan.state.revisions, contracts=plan.state.contracts, rendered=rendered)


def refuse_stale(plan: Plan, now: Plan, today: date) -> None:
    """Refuse a plan that says something else than what is there, or that is too old.

    Raises:
        GateRefusal: PLAN_STALE or PLAN_EXPIRED.
    """
    if not same(plan.digest, now.digest):
        raise GateRefusal(
            "PLAN_STALE",
            f"what is here is not what was planned: {'; '.join(_differing(plan, now)) or 'the plan was edited'}",
            why="An approval holds for exactly what was planned.",
            do="Plan again (holdtrue plan), and have that approved.",
        )
    if today > plan.until:
        raise GateRefusal(
            "PLAN_EXPIRED", f"this plan could be used until {plan.until}", do="Plan again, and have that approved."
        )


def _differing(plan: Plan, now: Plan) -> Iterable[str]:
    if plan.made_with != now.made_with:
        yield f"it was made with holdtrue {plan.made_with} and this is {now.made_with}"
    one, other = plan.state.files, now.state.files
    files = sorted(path for path in {**one, **other} if one.get(path) != other.get(path))
    if files:
        yield f"{_listed(files)} changed"
    for name in {**plan.digests, **now.digests}:
        if plan.digests.get(name) != now.digests.get(name) and not (name == "source" and files):
            yield f"{name} differs"
    if plan.changes != now.changes:
        yield "the changes it lists are not those that there are"
    if plan.pending != now.pending:
        yield "the migrations' SQL or risks differ"


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _refuse_rewritten(before: State | None, state: State) -> None:
    now = {each.revision: each for each in state.revisions}
    for old in before.revisions if before else []:
        new = now.get(old.revision)
        if new is None:
            raise GateRefusal(
                "MIGRATION_GONE",
                f"the migration {old.revision} was admitted and is not here any more",
                why="The database has it: this code is behind the database.",
                do="Plan from the newest code. To undo a migration, write a new one.",
            )
        if not same(new.digest, old.digest):
            raise GateRefusal(
                "MIGRATION_EDITED",
                f"the migration {old.revision} was edited after it was admitted",
                where=new.file,
                why="Where it was applied nothing will change; elsewhere another schema will be made.",
                do="Restore the file, and write a new migration.",
            )
        if new.after != old.after:
            raise GateRefusal(
                "MIGRATION_MOVED",
                f"the migration {old.revision} now comes after {', '.join(new.after) or 'nothing'}",
                where=new.file,
                why="A migration that was put before it would never be applied where it already is.",
                do="Put new migrations at the end.",
            )


# -- files ------------------------------------------------------------------------------------------------------------


def write(file: Path, name: str, body: Any, digest: str, **beside: str) -> None:
    """Write one of the gate's papers as canonical JSON: its body, its digest, and what stands beside them.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        file.write_bytes(canonical({name: body, "digest": digest} | beside) + b"\n")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(file)) from None


def read_paper(file: Path, what: str, missing: str) -> dict[str, Any]:
    """Read one of the gate's papers.

    Raises:
        UsageError: there is none, or it is no such paper.
    """
    try:
        value = loads(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no {what}", where=str(file), do=missing) from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from None
    except ValueError as error:
        raise UsageError(f"is no {what}: {error}", where=str(file), do=missing) from None
    if not isinstance(value, dict) or what not in value or not isinstance(value.get("digest"), str):
        raise UsageError(f"is no {what}", where=str(file), do=missing)
    return value


def parse(value: Any, file: Path) -> Plan:
    """A plan from its JSON.

    Raises:
        UsageError: it is none.
    """
    try:
        return Plan.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        seen = f"is no plan of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UsageError(seen, where=str(file), do="Plan again.") from None


def read_plan(file: Path) -> Plan:
    """Read a plan.

    Raises:
        GateRefusal: PLAN_EDITED, it does not have the digest that it names.
        UsageError: it is no plan.
    """
    paper = read_paper(file, "plan", "Make one: holdtrue plan")
    plan = parse(paper["plan"], file)
    if not same(plan.digest, paper["digest"]):
        raise GateRefusal(
            "PLAN_EDITED", "the plan is not the one that its digest was made of", where=str(file), do="Plan again."
        )
    return plan
