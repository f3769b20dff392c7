"""Migrations that do not make one line.

What production does
--------------------
Two people, or two agents, each add a migration in a branch of their own. Both branches are merged on the same day, and
the next deploy runs `alembic upgrade head`.

Why apps break here
-------------------
Both migrations were written on top of the same one, so there are two heads, and "the head" does not exist. No test
fails: each branch was green by itself, and a test database is often made without migrations. Or the parent's file was
deleted or renamed while a migration went on building on it; or a file was copied together with its revision id.

Wrong
-----
    # 0005_refund_reason.py             # 0005_order_notes.py
    revision = "0005_refund_reason"     revision = "0005_order_notes"
    down_revision = "0004"              down_revision = "0004"

Right
-----
    # 0006_merge.py, or let the second one build on the first
    revision = "0006"
    down_revision = ("0005_refund_reason", "0005_order_notes")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import partial
from itertools import groupby
from pathlib import PurePosixPath

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Read, Tried, Untried
from holdtrue.guarantees.releases.lineage import Tangle, tangles, target_of
from holdtrue.stage import Stage
from holdtrue.stage.migrations import mover
from holdtrue.stage.survey import Revision
from holdtrue.stage.survey.scripts import Scripts, migration_scripts
from holdtrue.stage.survey.sources import Sources

LINELESS = "its migration tool takes the migrations in the order of their names, which cannot part"


def inspect(sources: Sources, document: Document) -> Iterable[Read]:
    """The files of the migrations, by what each says of itself and of its parent."""
    scripts = migration_scripts(sources, document)
    if scripts is None:
        yield Absent(reason=LINELESS)
        return
    for reason in scripts.unread:
        yield Untried(subject="migrations", reason=reason)
    for revisions, whole in _lines(scripts, document):
        for tangle in tangles(revisions, to=target_of(document.process.migrate), whole=whole):
            yield _harm(tangle, source=f"{tangle.file}:{scripts.lines[tangle.file]}")


def _lines(scripts: Scripts, document: Document) -> Iterable[tuple[list[Revision], bool]]:
    """Revisions that one tool takes together, and whether these are all it has."""
    if document.migrations is None or document.migrations.tool == "alembic":
        yield list(scripts.revisions), not scripts.unread
        return
    # Found by what they say: of several directories each may be another database's, or have its parents in a package.
    for _, together in groupby(sorted(scripts.revisions, key=_folder), key=_folder):
        yield list(together), False


def _folder(revision: Revision) -> PurePosixPath:
    return PurePosixPath(revision.file).parent


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """What the migration tool itself says of its revisions."""
    told = stage.document.migrations
    if told is None:
        return
    moving = mover(stage.setting, told)
    stage.at_close(moving.close)
    known = await moving.revisions()
    if known is None:
        yield Absent(reason=LINELESS)
        return
    to = target_of(stage.document.process.migrate)
    found = {tangle.where: tangle for tangle in tangles(known, to=to, whole=True)}
    for where, tangle in found.items():
        yield Case(name=where, play=partial(_told, stage, known, tangle), cause=where)
    if not found:
        yield Case(name="the revisions make one line", play=partial(_told, stage, known, None), cause="line")


async def _told(stage: Stage, known: tuple[Revision, ...], tangle: Tangle | None) -> Harm | None:
    stage.player.evidence.add("revisions", revisions={each.revision: each.down_revisions for each in known})
    return None if tangle is None else _harm(tangle)


def _harm(tangle: Tangle, source: str = "") -> Harm:
    return Harm(seen=tangle.seen, where=tangle.where, clause=("migrations",), source=source)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="REL043",
    catalogue="M43",
    severity=Severity.HIGH,
    promise="The migrations make one line that ends in one head, and no migration is missing or there twice.",
    why="The deploy ends in the middle: the new code is there and its schema is not, or a migration never runs.",
    do="Let the second migration build on the first, or add a merge revision that names both; bring back what is lost.",
    do_not="Do not put `heads` into the deploy command: the order of the two then differs from database to database.",
    subjects=lambda document: ["migrations"] if document.migrations else [],
    rehearse=rehearse,
    inspect=inspect,
    staged=False,
)
