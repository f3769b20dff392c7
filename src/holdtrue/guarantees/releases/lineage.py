"""Where the revisions of an app do not make one line: two heads, a lost parent, a name given twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdtrue.contract.document import Command
from holdtrue.stage.survey import Revision

_UPGRADE = re.compile(r"\balembic\b.*?\bupgrade\s+(?:-\S+\s+)*([\w@+-]+)")
_FLASK = re.compile(r"\bdb\s+upgrade\b(?:\s+(?:-\S+\s+)*([\w@+-]+))?")


@dataclass(frozen=True, kw_only=True)
class Tangle:
    """One thing that is wrong with the line."""

    seen: str
    where: str
    file: str
    """The file to look into first."""


def target_of(migrate: Command | None) -> str | None:
    """What a migrate command goes up to, such as ``head``; None where its words do not tell."""
    words = migrate if isinstance(migrate, str) else " ".join(migrate or ())
    if found := _UPGRADE.search(words):
        return found[1]
    if found := _FLASK.search(words):
        return found[1] or "head"
    return None


def tangles(revisions: Sequence[Revision], *, to: str | None, whole: bool) -> Iterator[Tangle]:
    """What a deploy would stumble over.

    ``to``: what the migrate command goes up to. ``whole``: that there are no other revisions, so that a parent that is
    not among them is lost. Branches that do not share a root are meant, and so are those that each have a label; but no
    deploy can go up to *the* head where there are several.
    """
    yield from _twice(revisions)
    if whole:
        yield from _lost(revisions)
    found = False
    for heads in _branches(revisions):
        if len(heads) > 1 and not (to != "head" and _labelled(heads, revisions)):
            found = True
            yield _parted(heads, revisions, to)
    heads = _heads(revisions)
    if to == "head" and len(heads) > 1 and not found:
        names = _listed(heads)
        yield Tangle(
            seen=f"There are {len(heads)} heads ({names}), and the deploy goes up to `head`, of which there must be "
            "one: Alembic refuses.",
            where=f"revisions {names}",
            file=heads[-1].file,
        )


def _twice(revisions: Sequence[Revision]) -> Iterator[Tangle]:
    for name, count in Counter(each.revision for each in revisions).items():
        if count > 1:
            files = [each.file for each in revisions if each.revision == name]
            yield Tangle(
                seen=f"{count} files say that they are revision {name}: {', '.join(files)}. Alembic runs one of them, "
                "and what the other should do never happens.",
                where=f"revision {name}",
                file=files[-1],
            )


def _lost(revisions: Sequence[Revision]) -> Iterator[Tangle]:
    known = {each.revision for each in revisions} | {label for each in revisions for label in each.branch_labels}
    for each in revisions:
        for parent in (*each.down_revisions, *each.depends_on):
            if parent not in known:
                yield Tangle(
                    seen=f"Revision {each.revision} builds on {parent}, and no file has that revision: Alembic finds "
                    "no way up, and the deploy ends there.",
                    where=f"revision {each.revision}",
                    file=each.file,
                )


def _parted(heads: Sequence[Revision], revisions: Sequence[Revision], to: str | None) -> Tangle:
    names, point = _listed(heads), _parting(heads, revisions)
    outcome = (
        "`upgrade head` is refused, so the deploy ends there"
        if to == "head"
        else "which of them a database gets first depends on when it was migrated, and a step down is ambiguous"
    )
    return Tangle(
        seen=f"The revisions {names} are heads of one branch{f', which parts after {point}' if point else ''}: "
        f"{outcome}.",
        where=f"revisions {names}",
        file=heads[-1].file,
    )


def _heads(revisions: Sequence[Revision]) -> list[Revision]:
    """What no other builds on; a name that was given twice counts once."""
    parents = {parent for each in revisions for parent in each.down_revisions}
    heads = {each.revision: each for each in revisions if each.revision not in parents}
    return sorted(heads.values(), key=lambda each: each.revision)


def _branches(revisions: Sequence[Revision]) -> list[list[Revision]]:
    """The heads of each branch: of revisions that are joined by ``down_revision``, in either direction."""
    joined: dict[str, set[str]] = defaultdict(set)
    for each in revisions:
        for parent in each.down_revisions:
            joined[each.revision].add(parent)
            joined[parent].add(each.revision)
    branches: dict[frozenset[str], list[Revision]] = defaultdict(list)
    for head in _heads(revisions):
        branches[_reached(head.revision, joined)].append(head)
    return list(branches.values())


def _reached(start: str, steps: Mapping[str, set[str]]) -> frozenset[str]:
    seen, waiting = {start}, [start]
    while waiting:
        new = steps.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return frozenset(seen)


def _below(head: Revision, revisions: Sequence[Revision]) -> frozenset[str]:
    """A head and all that it builds on."""
    return _reached(head.revision, {each.revision: set(each.down_revisions) for each in revisions})


def _labelled(heads: Sequence[Revision], revisions: Sequence[Revision]) -> bool:
    """Whether each head but one, the trunk's, has a label that is its own: somebody meant them to be apart."""
    labels = {each.revision: each.branch_labels for each in revisions}
    below = {head.revision: _below(head, revisions) for head in heads}
    without = 0
    for name, mine in below.items():
        others = frozenset().union(*(theirs for other, theirs in below.items() if other != name))
        without += not any(labels.get(each) for each in mine - others)
    return without <= 1


def _parting(heads: Sequence[Revision], revisions: Sequence[Revision]) -> str:
    """The newest revision that all heads build on; empty where there is none."""
    common = frozenset.intersection(*(_below(head, revisions) for head in heads))
    parents = {parent for each in revisions if each.revision in common for parent in each.down_revisions}
    return next(iter(sorted(common - parents)), "")


def _listed(revisions: Sequence[Revision]) -> str:
    return ", ".join(each.revision for each in revisions)
