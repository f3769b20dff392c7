"""The words that both towers know: the contract document, the report, what a module declares, and errors that teach.

Loaded when they are first asked for (PEP 562): the command line's errors need none of them, and ``--help`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdtrue.contract.document import Call, Rehearsal
    from holdtrue.contract.hooks import (
        Bindable,
        Binding,
        Event,
        Guard,
        Hook,
        Job,
        Observe,
        Payload,
        Schedule,
        Transform,
    )
    from holdtrue.contract.promises import (
        Access,
        Contract,
        Grant,
        MailTemplate,
        OutboundHost,
        Permission,
        Public,
        Requirement,
        Route,
        Secret,
        SideEffect,
        Signature,
        SignedIn,
        Table,
        Variable,
        digest,
        global_table,
        public,
        signature,
        signed_in,
    )

__all__ = [
    "Access",
    "Bindable",
    "Binding",
    "Call",
    "Contract",
    "Event",
    "Grant",
    "Guard",
    "Hook",
    "Job",
    "MailTemplate",
    "Observe",
    "OutboundHost",
    "Payload",
    "Permission",
    "Public",
    "Rehearsal",
    "Requirement",
    "Route",
    "Schedule",
    "Secret",
    "SideEffect",
    "Signature",
    "SignedIn",
    "Table",
    "Transform",
    "Variable",
    "digest",
    "global_table",
    "public",
    "signature",
    "signed_in",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for room in ("hooks", "promises", "document"):
            found = vars(import_module(f"{__name__}.{room}")).get(name)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
