"""Roles, the app's names for sets of permissions. A row holds the name alone, so a changed role counts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from holdtrue.contract import Permission
from holdtrue.runtime import Fault

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
            Fault: OWNER_ROLE, not exactly one role is granted "*"; ROLE_TYPE, a text instead of a list.
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
        others = {name: _names(name, granted) for name, granted in roles.items() if name != owners[0]}
        return cls(owner=owners[0], others=others)

    def __contains__(self, role: object) -> bool:
        return role == self.owner or role in self.others

    def permissions(self, role: str, every: frozenset[str]) -> frozenset[str]:
        """What a role allows now. A role that this release does not know allows nothing."""
        return every if role == self.owner else self.others.get(role, frozenset())

    def allows(self, role: str, scopes: frozenset[str] | None, permission: str) -> bool:
        """Whether a member with this role, narrowed by a credential's scopes, holds a permission."""
        within = scopes is None or permission in scopes
        return within and (role == self.owner or permission in self.others.get(role, ()))

    def covers(self, role: str, scopes: frozenset[str] | None, other: str) -> bool:
        """Whether a member with this role, narrowed by a credential's scopes, may do all that the other role allows."""
        if other == self.owner:
            return role == self.owner and scopes is None
        return all(self.allows(role, scopes, each) for each in self.others.get(other, ()))


def _names(role: str, granted: Granted) -> frozenset[str]:
    if isinstance(granted, str):
        raise Fault(
            "ROLE_TYPE",
            f"the role {role!r} is granted the text {granted!r}",
            where="Tenancy(roles=…)",
            do=f'Write a list: "{role}": ({granted!r},), or "*" for everything.',
        )
    return frozenset(each.name if isinstance(each, Permission) else each for each in granted)
