"""What a process of tenancy has: the roles that the app declared, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from holdtrue.modules.tenancy.hosts import Named, named_by
from holdtrue.modules.tenancy.roles import Roles
from holdtrue.modules.tenancy.settings import TenancySettings


@dataclass(frozen=True, kw_only=True)
class TenancyPorts:
    """Reached by ``unit.port(TenancyPorts)``."""

    roles: Roles
    reserved: frozenset[str]
    """Slugs that no tenant may have; below the base domain they name no tenant."""
    settings: TenancySettings

    def named_by(self, host: str) -> Named:
        """Which tenant a host names."""
        return named_by(host, self.settings.base_domain, self.reserved)
