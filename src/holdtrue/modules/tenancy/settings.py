"""What differs from one deployment to the next."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from holdtrue.modules.tenancy.hosts import canonical
from holdtrue.runtime import ModuleSettings, prefix


def _link(value: str) -> str:
    if not value.startswith(("https://", "http://127.0.0.1", "http://localhost")) or "#" in value:
        raise ValueError("must be an https:// address without a fragment: the page where an invitation is accepted")
    return value


class TenancySettings(ModuleSettings):
    """``TENANCY_…``."""

    model_config = prefix("TENANCY_")

    accept_url: Annotated[str, AfterValidator(_link)]
    """The page of the app's front end that an invitation's link opens; the token follows as ``#token=``."""
    base_domain: Annotated[str, AfterValidator(canonical)] | None = None
    """``<slug>.<base domain>`` names a tenant, and so do custom hosts. Without it hosts name nobody."""
    invitation_days: float = Field(default=7.0, gt=0, le=30)
    invitations_per_day: int = Field(default=200, ge=1)
    """Of one tenant."""
    invitations_per_address_per_hour: int = Field(default=5, ge=1)
    """Of all tenants together: a stranger's mailbox is not ours to fill."""
