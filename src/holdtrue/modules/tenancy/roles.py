"""Roles, the app's names for sets of permissions. A row holds the name alone, so a changed role counts at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from holdtrue.contract import Grant, Permission
from holdtrue.runtime import Fault

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SPOKEN_FOR = ("owner", "outsider")
"""Principals of every rehearsal: who founded the tenant, and who is in none."""

Granted = Literal["*"] | Sequence[Permission | str]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the app declared."""

    owner: str
    """The one role that holds every permission, also those that a later release adds."""
    others: Mapping[str, frozenset[str]]

    @classmethod
    def declared(cls, roles: Mapping[str, Granted]) -> Roles:
        """Read what the app wrote.

        Raises:
            Fault: OWNER_ROLE, not exactly one role is granted "*"; ROLE_NAME; ROLE_TYPE, a text instead of a list.
        """
        owners = [name for name, granted in roles.items() if granted == "*"]
        if len(owners) != 1:
            raise Fault(
                "OWNER_ROLE",
                f'{len(owners)} roles are granted "*": {", ".join(owners) or "none"}',
                where="Tenancy(roles=…)",
                why="A tenant always has an owner, and the founder is the first; that must be one known role.",
                do='Write Tenancy(roles={"owner": "*", "clerk": (…)}).',
            )
        for name, granted in roles.items():
            if not _NAME.fullmatch(name) or (granted != "*" and name in _SPOKEN_FOR):
                raise Fault(
                    "ROLE_NAME",
                    f"a role is named {name!r}",
                    where="Tenancy(roles=…)",
                    why="Its name stands in rows, mails and rehearsals, where owner is who holds everything.",
                    do=f"Use lower-case letters, digits and underscores, and not {' or '.join(_SPOKEN_FOR)}.",
                )
        others = {name: _names(name, granted) for name, granted in roles.items() if name != owners[0]}
        return cls(owner=owners[0], others=others)

    def __contains__(self, role: object) -> bool:
        return role == self.owner or role in self.others

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The roles in the words of the contract: a changed grant changes its digest, and needs an approval."""
        others = [Grant(role=name, permissions=tuple(sorted(granted))) for name, granted in self.others.items()]
        return (Grant(role=self.owner, permissions=("*",)), *others)

    def permissions(self, role: str, every: frozenset[str]) -> frozenset[str]:
        """What a role allows now. A role that this release does not know allows nothing."""
        return every if role == self.owner else self.others.get(role, frozenset())

    def covers(self, role: str, held: frozenset[str], other: str, every: frozenset[str]) -> bool:
        """Whether a member with this role, who holds this now, may do all that the other role allows.

        Only an owner covers an owner: "*" is also what nobody has thought of yet.
        """
        if other == self.owner and role != self.owner:
            return False
        return self.permissions(other, every) <= held


def _names(role: str, granted: Granted) -> frozenset[str]:
    if isinstance(granted, str):
        raise Fault(
            "ROLE_TYPE",
            f"the role {role!r} is granted the text {granted!r}",
            where="Tenancy(roles=…)",
            do=f'Write a list: "{role}": ({granted!r},), or "*" for everything.',
        )
    return frozenset(each.name if isinstance(each, Permission) else each for each in granted)
