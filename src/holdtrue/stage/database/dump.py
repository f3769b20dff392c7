"""A schema as text that two databases with the same schema share, and what differs between two such texts."""

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.database.errors import DatabaseError

# pg_dump writes this above every object, and nothing else that looks like it.
_HEADER = re.compile(
    r"^--\n-- (?:Data for )?Name: (.+?); Type: ([A-Z ]+?); Schema: (.+?); Owner:.*\n--\n", re.MULTILINE
)
# What the server writes around the objects: session settings, comments, and the \restrict token, new in every dump.
_NOISE = re.compile(r"^(?:--.*|SET .*|SELECT pg_catalog\.set_config\(.*|\\(?:un)?restrict .*|\s*)$")
_COLUMNS = re.compile(r"\A(CREATE (?:UNLOGGED |FOREIGN )?TABLE [^\n]+ \(\n)(.*?)(\n\).*)\Z", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class SchemaDump:
    """The objects of a schema: `TABLE public.users` → the statements that make it."""

    objects: Mapping[str, str]

    @property
    def text(self) -> str:
        """The whole schema, objects in the order of their names."""
        return "".join(f"-- {name}\n{body}\n\n" for name, body in self.objects.items())


async def schema_dump(cluster: Cluster, database: str, *, ignore: Collection[str] = ()) -> SchemaDump:
    """Read a database's schema with `pg_dump`, owners and grants included.

    `ignore` names tables to leave out, such as a migration tool's own ledger. Columns are put in the order of their
    names: one that was dropped and added again stands elsewhere, and no query by name can tell.

    Raises:
        DatabaseError: pg_dump fails.
    """
    target = conninfo_to_dict(cluster.conninfo(database))
    # By the environment: a command line is for everybody on the machine to read.
    password = str(target.pop("password", None) or "")
    process = await asyncio.create_subprocess_exec(
        str(cluster.binaries / "pg_dump"),
        "--schema-only",
        "--no-comments",
        *(f"--exclude-table={name}" for name in sorted(ignore)),
        f"--dbname={make_conninfo('', **target)}",
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGPASSWORD": password},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise DatabaseError(
            f"pg_dump of '{database}' ended with {process.returncode}: {err.decode(errors='replace').strip()}",
            "A frozen database admits nobody: dump it before it is frozen, or dump a clone.",
        )
    return parse(out.decode())


def parse(dumped: str) -> SchemaDump:
    """Take `pg_dump --schema-only` apart into its objects, without what changes from one dump to the next."""
    objects: dict[str, str] = {}
    for name, body in _objects(dumped):
        objects[name] = "\n".join(filter(None, (objects.get(name), body)))
    return SchemaDump(objects=dict(sorted(objects.items())))


def schema_difference(a: SchemaDump, b: SchemaDump, *, names: tuple[str, str] = ("a", "b")) -> tuple[str, ...]:
    """What differs, one line per object, or per line of an object that both have; `names` say which side is which."""
    lines: list[str] = []
    for name in sorted({*a.objects, *b.objects}):
        mine, other = a.objects.get(name), b.objects.get(name)
        if mine == other:
            continue
        if mine is None or other is None:
            lines.append(f"{name}: only in {names[1] if mine is None else names[0]}")
            continue
        only_mine, only_other = _unshared(mine, other)
        if not only_mine and not only_other:
            lines.append(f"{name}: the same lines in another order")
        lines += [f"{name}: only in {names[0]}: {line}" for line in only_mine]
        lines += [f"{name}: only in {names[1]}: {line}" for line in only_other]
    return tuple(lines)


def _objects(dumped: str) -> Iterator[tuple[str, str]]:
    parts = _HEADER.split(dumped)
    for name, kind, schema, body in zip(parts[1::4], parts[2::4], parts[3::4], parts[4::4], strict=True):
        kept = "\n".join(_without_noise(body))
        if kept:
            where = "" if schema == "-" else f"{schema}."
            yield f"{kind} {where}{name}", _in_order(kept)


def _without_noise(body: str) -> list[str]:
    """The object's lines, without the settings that pg_dump puts before and after an object, but never inside it."""
    lines = body.splitlines()
    while lines and _NOISE.match(lines[0]):
        lines.pop(0)
    while lines and _NOISE.match(lines[-1]):
        lines.pop()
    return lines


def _in_order(body: str) -> str:
    found = _COLUMNS.match(body)
    if not found:
        return body
    columns = sorted(line.strip().removesuffix(",") for line in found[2].split("\n"))
    return found[1] + "\n".join(f"    {column}" for column in columns) + found[3]


def _unshared(a: str, b: str) -> tuple[list[str], list[str]]:
    mine, other = a.splitlines(), b.splitlines()
    return [line.strip() for line in mine if line not in other], [line.strip() for line in other if line not in mine]
