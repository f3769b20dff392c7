"""The API versions at which shapes changed (https://docs.stripe.com/changelog)."""

import re

from holdtrue.stage.payments import errors

LATEST = "2026-10-28.endive"
DAHLIA = "2026-03-25"
CLOVER = "2025-09-30"
BASIL = "2025-03-31"
MARKETING_FEATURES = "2024-04-10"
LATEST_CHARGE = "2022-11-15"

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z_]+)?\Z")


def at_least(version: str, other: str) -> bool:
    """Whether a version is `other` or newer; versions begin with their date."""
    return version[:10] >= other[:10]


def check(version: str) -> str:
    """The version, when it looks like one.

    Raises:
        StripeError: it does not.
    """
    if not _VERSION.match(version):
        raise errors.invalid(
            f"Invalid Stripe API version: {version}. You can find valid versions at https://stripe.com/docs/upgrades."
        )
    return version
