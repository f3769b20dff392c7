"""Settings: ``EMAIL_*``."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.errors import AddressRefused
from holdtrue.runtime import ModuleSettings, SecretKey, prefix


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Keys = Annotated[tuple[SecretKey, ...], NoDecode, BeforeValidator(_split)]
"""Several, separated by commas, so that one can be replaced without a gap."""


class EmailSettings(ModuleSettings):
    """Where mails go out, and who may tell what became of them."""

    model_config = prefix("EMAIL_")

    sender: str
    """``Acme <post@acme.example>``: the From of every mail, and where bounces go."""
    seal_keys: Keys = Field(min_length=1)
    """What seals the text of a mail until it is sent. The first seals, all open."""
    smtp_host: str
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """``starttls`` refuses a server that does not offer it; ``none`` is for a server on this machine."""
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_ca_file: FilePath | None = None
    """Who vouches for the server, where it is not one of the public authorities."""
    idempotency_header: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9-]*)?$")
    """A header by which the server knows a mail that it was sent before: ``Resend-Idempotency-Key``."""
    webhook_secrets: Keys = ()
    """Sign ``POST /webhooks/email`` (Standard Webhooks); without one, the route is not there."""
    resend_secrets: Keys = ()
    """Sign ``POST /webhooks/email/resend``."""
    keep_days: int = Field(default=90, ge=11, le=3650)
    """How long it is kept to whom a mail went and what became of it."""

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        try:
            _mailbox(value)
        except (AddressRefused, ValueError):
            raise ValueError('must be one address, with or without a name: "Acme <post@acme.example>"') from None
        return value

    @model_validator(mode="after")
    def _encrypted(self) -> EmailSettings:
        if self.smtp_security == "none" and not _on_this_machine(self.smtp_host):
            raise ValueError(
                f"EMAIL_SMTP_SECURITY=none sends passwords and reset links in the clear to {self.smtp_host}; "
                "it is for a server on this machine"
            )
        if bool(self.smtp_username) != bool(self.smtp_password.get_secret_value()):
            raise ValueError("EMAIL_SMTP_USERNAME and EMAIL_SMTP_PASSWORD need each other")
        return self

    @cached_property
    def mailbox(self) -> tuple[str, Address]:
        """The sender's name and address."""
        return _mailbox(self.sender)


def _mailbox(text: str) -> tuple[str, Address]:
    header = EmailMessage(policy=SMTP)
    header["From"] = text
    (only,) = header["From"].addresses
    if header["From"].defects:
        raise ValueError(text)
    return only.display_name, Address.parse(only.addr_spec)


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
