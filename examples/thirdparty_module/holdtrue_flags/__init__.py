"""Feature flags, each of one tenant."""

from holdtrue_flags.contract import CONTRACT, READ, SWITCHED, SWITCHING, WRITE, Switch
from holdtrue_flags.module import Flags, is_on, switch

__all__ = ["CONTRACT", "READ", "SWITCHED", "SWITCHING", "WRITE", "Flags", "Switch", "is_on", "switch"]
