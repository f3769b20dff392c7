from typing import Literal, get_args

Permission = Literal[
    "products.read",
    "products.write",
    "orders.read",
    "orders.write",
    "orders.refund",
    "members.manage",
    "billing.manage",
    "audit.read",
]
Role = Literal["owner", "clerk", "viewer"]

ROLES: dict[str, frozenset[str]] = {
    "owner": frozenset(get_args(Permission)),
    "clerk": frozenset({"products.read", "products.write", "orders.read", "orders.write"}),
    "viewer": frozenset({"products.read", "orders.read"}),
}
