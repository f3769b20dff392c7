"""What tenancy refuses."""

from __future__ import annotations

from holdtrue.runtime import Conflict, Forbidden, Refused, TooMany, Unprocessable


class SeveralTenants(Forbidden):
    """Neither the token nor the host says which of several tenants is meant."""

    code = "tenancy.several_tenants"

    def __init__(self) -> None:
        super().__init__("You belong to several tenants here; sign in to one of them.")


class AboveOwnPermissions(Forbidden):
    """A role that allows more than the caller may do."""

    code = "tenancy.above_own_permissions"

    def __init__(self) -> None:
        super().__init__("This role allows more than you are allowed to.", keep=True)


class AddressNotVerified(Forbidden):
    """Only a person whose address is verified may do this."""

    code = "tenancy.address_not_verified"

    def __init__(self) -> None:
        super().__init__("This needs a person who is signed in with a verified e-mail address.")


class InvitationInvalid(Refused):
    """Unknown, used, revoked, expired, or somebody else's: the caller cannot tell which."""

    code = "tenancy.invitation_invalid"

    def __init__(self, *, keep: bool = False) -> None:
        super().__init__("This invitation is not valid for you, or no longer.", keep=keep)


class UnknownRole(Unprocessable):
    """The app has no such role."""

    code = "tenancy.unknown_role"

    def __init__(self) -> None:
        super().__init__("There is no such role.")


class HostRefused(Unprocessable):
    """A host that cannot be a tenant's own."""

    code = "tenancy.host_refused"


class LastOwner(Conflict):
    """Without an owner nobody could ever manage the tenant again."""

    code = "tenancy.last_owner"

    def __init__(self) -> None:
        super().__init__("The last owner stays an owner.")


class AlreadyMember(Conflict):
    """The person is a member."""

    code = "tenancy.already_member"

    def __init__(self) -> None:
        super().__init__("There is already such a member.")


class SlugTaken(Conflict):
    """Another tenant has it, or nobody may."""

    code = "tenancy.slug_taken"

    def __init__(self) -> None:
        super().__init__("This slug is taken.")


class HostTaken(Conflict):
    """Another tenant has it."""

    code = "tenancy.host_taken"

    def __init__(self) -> None:
        super().__init__("This host is taken.")


class TooManyInvitations(TooMany):
    """Beyond what a tenant may send, or an address be sent."""

    code = "tenancy.too_many_invitations"

    def __init__(self) -> None:
        super().__init__("Too many invitations were sent; try again later.", headers={"Retry-After": "3600"})
