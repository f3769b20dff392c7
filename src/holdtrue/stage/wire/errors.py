"""What can go wrong with the wire itself; what PostgreSQL answers is forwarded, never raised."""

from holdtrue.contract.errors import HoldtrueError


class WireError(HoldtrueError):
    """The wire cannot do what was asked."""


class NotIdle(WireError, TimeoutError):  # noqa: N818 - it states the fact that was found
    """`Wire.idle` or `Wire.swap` ran out of patience; the message lists what is still going on."""
