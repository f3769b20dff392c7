"""A plan in words, for who approves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdtrue.gate.paper import Change, Need, Pending, Plan

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What would let a text look like another one: control characters and changes of direction (Unicode, UAX 9)."""
_TITLES = {
    Need.MIGRATIONS: "the database changes",
    Need.MONEY: "what is paid or sent may change",
    Need.PERMISSIONS: "somebody may do more",
    Need.PUBLIC: "a route is open without signing in",
    Need.TENANCY: "rows are told apart in another way",
    Need.PROMISES: "less is held",
    Need.REHEARSAL: "what the check rehearses changes",
    Need.PROCESS: "commands, environment or hosts change",
    Need.MODULES: "code from elsewhere changes",
    Need.SIGNERS: "who may approve changes",
}
_WIDTH = 300
_MOST_FILES = 20


def words(plan: Plan) -> str:
    """The plan as text: what needs an approval and why, the migrations with their SQL, the rest, the digests."""
    return _CONTROL.sub("�", "\n".join(_lines(plan))) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    start = f"since {plan.base}" if plan.base else "nothing was admitted before: all of it is new"
    yield f"Plan for {plan.state.app}, {start}"
    yield ""
    needs = plan.needs
    if needs:
        yield f"Needs an approval ({', '.join(needs)}) by one of:"
        yield from (f"    {line}" for line in _signers(plan.signers))
        for need, changes in needs.items():
            yield ""
            yield f"{need}: {_TITLES[need]}"
            for change in changes:
                yield from _change(change)
    else:
        yield "Needs no approval: nothing is looser, nothing migrates, no money is touched. It must be held by a check."
    yield from _migrations(plan.pending)
    if rest := [change for change in plan.changes if change.need is None]:
        yield ""
        yield "Also changed, and nobody need approve it:"
        for change in rest:
            yield from _change(change)
    yield from _files(plan)
    yield ""
    yield "Digests"
    yield from (f"    {name}: {digest}" for name, digest in plan.digests.items())
    yield ""
    yield f"This plan, until {plan.until}:"
    yield f"    {plan.digest}"


def _signers(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield _short(line)


def _change(change: Change) -> Iterator[str]:
    yield f"  - {_short(change.what)}{f': {change.why}' if change.why else ''}"
    if change.was:
        yield from _value("was", change.was)
    if change.now:
        yield from _value("now", change.now)
    elif change.was:
        yield "      gone"


def _value(word: str, text: str) -> Iterator[str]:
    first, *others = text.splitlines() or [""]
    yield f"      {word} {_short(first)}"
    yield from (f"          {_short(line)}" for line in others)


def _migrations(pending: list[Pending]) -> Iterator[str]:
    for each in pending:
        yield ""
        yield f"Migration {each.revision}"
        for risk in each.risks:
            yield f"  ! {risk.kind}: {risk.why}"
            yield f"      {risk.statement}"
        if each.rendered.unreadable:
            yield f"  ! its SQL is not known before it runs ({_short(each.rendered.unreadable)}): read the file"
        elif not each.risks:
            yield "  no risk was seen"
        yield from (f"    | {line}" for line in each.rendered.sql.splitlines())


def _files(plan: Plan) -> Iterator[str]:
    before, now = (plan.before.files if plan.before else {}), plan.state.files
    changed = sorted(path for path in {**before, **now} if before.get(path) != now.get(path))
    if plan.before is None:
        yield ""
        yield f"{len(now)} files"
        return
    yield ""
    yield f"{len(changed)} of {len(now)} files changed"
    for path in changed[:_MOST_FILES]:
        word = "added" if path not in before else "removed" if path not in now else "changed"
        yield f"    {word} {path}"
    if len(changed) > _MOST_FILES:
        yield f"    … and {len(changed) - _MOST_FILES} more"


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}… ({len(text)} characters)"
