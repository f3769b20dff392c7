"""Transactional mail: owed with the change that causes it, sent until it arrives or somebody sees that it cannot."""

from holdtrue.modules.email.checking import check
from holdtrue.modules.email.contract import (
    ADDRESS_RELEASED,
    ADDRESS_SUPPRESSED,
    CONTRACT,
    MAIL_FAILED,
    MAIL_SUPPRESSED,
    MANAGE,
    READ,
    AddressReleased,
    AddressSuppressed,
    MailFailed,
    MailSuppressed,
)
from holdtrue.modules.email.module import Email

__all__ = [
    "ADDRESS_RELEASED",
    "ADDRESS_SUPPRESSED",
    "CONTRACT",
    "MAIL_FAILED",
    "MAIL_SUPPRESSED",
    "MANAGE",
    "READ",
    "AddressReleased",
    "AddressSuppressed",
    "Email",
    "MailFailed",
    "MailSuppressed",
    "check",
]
