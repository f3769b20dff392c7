"""Whose row is it: by its tenant column, or by the rows it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdtrue.stage import Stage
from holdtrue.stage.database import Catalog, Difference, Snapshot
from holdtrue.stage.tables import listed, qualified, qualified_all

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """Knows the tenant of a row."""

    catalog: Catalog
    scene: Snapshot
    columns: Mapping[str, str]
    """Table → tenant column."""
    tenants: Mapping[str, str]
    """The tenant's id as text → its label."""
    audit: frozenset[str]

    @classmethod
    def of(cls, stage: Stage) -> Ownership:
        """From the document and the scene."""
        tenancy = stage.document.tenancy
        tenants = stage.cast.knowledge.tenants
        return cls(
            catalog=stage.scene.catalog,
            scene=stage.scene.rows,
            columns={qualified(table): column for table, column in tenancy.tables.items()} if tenancy else {},
            tenants={str(known[tenancy.tenant]): label for label, known in tenants.items()} if tenancy else {},
            audit=qualified_all(stage.document.audit.tables if stage.document.audit else ()),
        )

    def owner(self, table: str, row: Row) -> str | None:
        """The label of the tenant a row belongs to, or None when it says nothing about one."""
        column = self.columns.get(table)
        return self.tenants.get(str(row.get(column))) if column is not None else None

    def harmed(self, difference: Difference, tenant: str, *, by: str) -> list[str]:
        """What a change by one tenant did to another's rows, in words; its audit trail may note the attempt."""
        found = []
        for table, change in difference.tables.items():
            if table in self.audit:
                continue
            name = listed([table])
            deleted = [row for row in change.deleted if self.owner(table, row) == tenant]
            found += [f"a row of tenant {tenant} in {name} was deleted"] * len(deleted)
            for update in change.updated:
                if tenant in (self.owner(table, update.old), self.owner(table, update.new)):
                    columns = ", ".join(update.changed)
                    found.append(f"a row of tenant {tenant} in {name} was changed ({columns})")
            for row in change.inserted:
                if self.owner(table, row) == tenant:
                    found.append(f"a row was written into tenant {tenant}'s {name}")
                elif self.owner(table, row) == by and (parent := self._foreign_parent(table, row, tenant)):
                    found.append(f"a row of tenant {by} in {name} now refers to tenant {tenant}'s {listed([parent])}")
        return found

    def _foreign_parent(self, table: str, row: Row, tenant: str) -> str | None:
        """The table of another tenant's row that this one refers to."""
        known = self.catalog.get(table)
        for key in known.foreign_keys if known else ():
            if key.target not in self.columns:
                continue
            wanted = {theirs: row.get(ours) for ours, theirs in zip(key.columns, key.target_columns, strict=True)}
            if None in wanted.values():
                continue
            for parent in self.scene.rows.get(key.target, ()):
                if all(parent.get(column) == value for column, value in wanted.items()):
                    if self.owner(key.target, parent) == tenant:
                        return key.target
                    break
        return None
