"""The composed shop, put together wrongly: each mistake is refused before anything runs, and both sides are named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Text
from sqlalchemy import Table as ModelTable

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.lock import lock
from holdtrue.contract import Contract, MailTemplate, Table, Transform, public, signature
from holdtrue.contract.lock import differences
from holdtrue.modules.auth import ARRIVED
from holdtrue.modules.payments import CHECKOUT_LINES, PAYMENT_SETTLED, Payments
from holdtrue.modules.tenancy import JOINING, Tenancy
from holdtrue.runtime import Fault, Faults, Module, Router
from holdtrue.runtime.process import Blueprint
from holdtrue.runtime.settings import RuntimeSettings, load

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture(scope="module")
def main() -> Iterator[ModuleType]:
    """``shop.main``, imported as a server would."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield importlib.import_module("shop.main")
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
            del sys.modules[name]


@dataclass
class Parts:
    """What the shop is composed of, to be changed."""

    main: ModuleType
    shop: Module
    modules: dict[str, Module]
    bindings: list[Any]

    @classmethod
    def of(cls, main: ModuleType) -> Parts:
        own = {each.name: each for each in main.assembly.modules}
        mine = [each for module in own.values() for each in module.bindings]
        bindings = [each for each in main.assembly.bindings if each not in mine]
        return cls(main=main, shop=own.pop("shop"), modules=own, bindings=bindings)

    def compose(self) -> Assembly:
        return compose(self.shop, *self.modules.values(), bindings=self.bindings)

    def promise(self, **changes: Any) -> None:
        self.shop = replace(self.shop, contract=replace(self.shop.contract, **changes))

    def rebind(self, target: Any, function: str, **how: Any) -> None:
        self.bindings.append(replace(target.bind(_unbound), function=getattr(self.main.bindings, function), **how))


async def _unbound(*_: Any) -> Any: ...


def _route(path: str, method: str = "GET", access: Any = None) -> Router:
    router = Router()
    router.route(method, path, access=access or public("for this test"))(_unbound)
    return router


def _routed(parts: Parts, router: Router) -> None:
    parts.shop = replace(parts.shop, routers=(*parts.shop.routers, router))


def _model(parts: Parts, name: str) -> None:
    metadata = MetaData()
    for table in parts.shop.metadata.tables.values() if parts.shop.metadata else ():
        table.to_metadata(metadata)
    ModelTable(name, metadata, Column("code", Text, primary_key=True))
    parts.shop = replace(parts.shop, metadata=metadata)


def _without(parts: Parts, *names: str) -> None:
    parts.modules = {name: module for name, module in parts.modules.items() if name not in names}


def _mistyped_role(parts: Parts) -> None:
    parts.modules["tenancy"] = Tenancy(roles={"owner": "*", "clerk": ("shop.products_write", "payments.refnd")})


WRONG: dict[str, tuple[Callable[[Parts], Any], list[tuple[str, list[str]]]]] = {
    "a guard where a transform belongs": (
        lambda parts: parts.rebind(CHECKOUT_LINES, "is_payable"),
        [
            (
                "BINDING_TYPE",
                [
                    "shop.bindings:is_payable",
                    "payments.checkout_lines of payments 1.0.0",
                    "OrderTold instead of Purchase",
                ],
            )
        ],
    ),
    "one transform of money where the other belongs": (
        lambda parts: parts.rebind(PAYMENT_SETTLED, "price_of_order"),
        [
            (
                "BINDING_TYPE",
                ["shop.bindings:price_of_order", "payments.payment_settled", "Purchase instead of Settlement"],
            )
        ],
    ),
    "an observer that wants the transaction": (
        lambda parts: parts.rebind(ARRIVED, "has_a_seat"),
        [("BINDING_TYPE", ["shop.bindings:has_a_seat", "observe auth.arrived", "UnitOfWork instead of Work"])],
    ),
    "a hook bound twice by the same function": (
        lambda parts: parts.rebind(JOINING, "has_a_seat"),
        [("BINDING_TWICE", ["shop.bindings:has_a_seat", "tenancy.joining"])],
    ),
    "an order of bindings that does not hold": (
        lambda parts: parts.rebind(PAYMENT_SETTLED, "pay_order", after=("shop.bindings:is_fraud",)),
        [("BINDING_TWICE", []), ("BINDING_ORDER", ["shop.bindings:pay_order", "shop.bindings:is_fraud"])],
    ),
    "a hook of another version": (
        lambda parts: parts.bindings.append(
            replace(
                CHECKOUT_LINES.bind(parts.main.bindings.price_of_order),
                target=Transform(name=CHECKOUT_LINES.name, payload=CHECKOUT_LINES.payload),
            )
        ),
        [
            ("BINDING_OF_ANOTHER_VERSION", ["shop.bindings:price_of_order", "payments.checkout_lines"]),
            ("BINDING_TWICE", []),
        ],
    ),
    "a module left out that bindings and the shop need": (
        lambda parts: _without(parts, "payments"),
        [
            ("MODULE_MISSING", ["shop requires payments"]),
            ("PERMISSION_UNKNOWN", ["payments.pay", "tenancy: role clerk"]),
            ("PERMISSION_UNKNOWN", ["payments.read"]),
            ("PERMISSION_UNKNOWN", ["payments.refund"]),
            ("BINDING_DANGLING", ["shop.bindings:price_of_order", "payments.checkout_lines", "Compose payments"]),
            ("BINDING_DANGLING", ["shop.bindings:pay_order", "payments.payment_settled"]),
        ],
    ),
    "no audit log": (
        lambda parts: _without(parts, "audit"),
        [
            ("MODULE_MISSING", ["shop requires audit"]),
            ("PORT_EMPTY", ["'recorder'", "tenancy.tenant_created", "audit"]),
        ],
    ),
    "a second mailer": (
        lambda parts: parts.modules.update(
            post=replace(
                parts.modules["email"],
                contract=Contract(name="post", version="1.0.0"),
                routers=(),
                bindings=(),
                metadata=None,
            )
        ),
        [("PORT_TWICE", ["email and post", "'mailer'"])],
    ),
    "a later payments than the shop was written for": (
        lambda parts: parts.modules.update(
            payments=replace(
                parts.modules["payments"], contract=replace(parts.modules["payments"].contract, version="2.0.0")
            )
        ),
        [("MODULE_VERSION", ["shop requires payments>=1.0, not 2.0.0"])],
    ),
    "a route that auth answers": (
        lambda parts: _routed(parts, _route("/auth/refresh", "POST")),
        [("ROUTE_CLASH", ["auth and shop", "POST /auth/refresh"])],
    ),
    "a route that payments answers, under another name of its parameter": (
        lambda parts: _routed(parts, _route("/payments/{id}")),
        [("ROUTE_CLASH", ["payments and shop", "GET /payments/{id}"])],
    ),
    "a route without a decision": (
        lambda parts: _routed(parts, _route("/reports", access=object())),
        [("ROUTE_WITHOUT_DECISION", ["shop: GET /reports"])],
    ),
    "a webhook of its own that Stripe is said to sign": (
        lambda parts: _routed(parts, _route("/orders/paid", "POST", signature("stripe"))),
        [("WEBHOOK_TWICE", ["shop: POST /orders/paid", "payments: POST /webhooks/stripe"])],
    ),
    "a table that payments owns": (
        lambda parts: parts.promise(tables=(*parts.shop.contract.tables, Table(name="payments"))),
        [("TABLE_CLASH", ["payments and shop", "table payments"])],
    ),
    "a table without tenant decision": (
        lambda parts: _model(parts, "coupons"),
        [("TABLE_WITHOUT_DECISION", ["coupons", "shop"])],
    ),
    "a table whose key does not lead with the tenant": (
        lambda parts: (
            _model(parts, "coupons"),
            parts.promise(tables=(*parts.shop.contract.tables, Table(name="coupons"))),
        ),
        [("TABLE_NOT_BY_TENANT", ["coupons", "tenant_id", "shop"])],
    ),
    "a role that holds what nobody declares": (
        _mistyped_role,
        [("PERMISSION_UNKNOWN", ["payments.refnd", "tenancy: role clerk", "payments.refund"])],
    ),
    "a mail that cannot be rendered": (
        lambda parts: parts.promise(
            mails=(
                *parts.shop.contract.mails,
                MailTemplate(
                    name="shop.torn", payload=parts.shop.contract.mails[0].payload, subject="{{ nobody }}", text=""
                ),
            )
        ),
        [("MAIL_TEMPLATE_BROKEN", ["shop.torn", "nobody"])],
    ),
}


@pytest.mark.parametrize(("mistake", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_composition_is_refused_and_both_sides_are_named(
    main: ModuleType, mistake: Callable[[Parts], Any], told: list[tuple[str, list[str]]]
) -> None:
    parts = Parts.of(main)
    mistake(parts)
    with pytest.raises(Faults) as refused:
        parts.compose()
    assert [fault.code for fault in refused.value.faults] == [code for code, _ in told]
    for fault, (_, words) in zip(refused.value.faults, told, strict=True):
        assert all(word in str(fault) for word in words), str(fault)
        assert fault.do, "nobody is told what to do"


def test_the_shop_as_it_is_fits_together(main: ModuleType) -> None:
    assert Parts.of(main).compose().bindings == main.assembly.bindings


def test_nobody_may_hold_everything_by_accident() -> None:
    with pytest.raises(Fault, match=r'OWNER_ROLE.*2 roles are granted "\*"'):
        Tenancy(roles={"owner": "*", "clerk": "*"})


# -- settings ---------------------------------------------------------------------------------------------------------


def test_all_settings_that_are_missing_weak_or_mistyped_are_told_at_once(main: ModuleType) -> None:
    blueprint: Blueprint = main.assembly.blueprint
    environ = {
        "DATABASE_URL": "postgresql://app@localhost/shop",
        "AUTH_SECRET_KEY": "changeme" * 8,
        "AUTH_ACESS_SECONDS": "60",
        "EMAIL_SENDER": "nobody",
        "PAYMENTS_STRIPE_WEBHOOK_SECRETS": "",
    }
    with pytest.raises(Faults) as refused:
        load((RuntimeSettings, *blueprint.settings), environ)
    told = [str(fault) for fault in refused.value.faults]
    for words in (
        "SETTING_WRONG: AUTH_SECRET_KEY: is guessable",
        "SETTING_UNKNOWN: AUTH_ACESS_SECONDS",
        "SETTING_WRONG: EMAIL_SENDER",
        "SETTING_MISSING: PAYMENTS_STRIPE_API_KEY",
        "SETTING_MISSING: EMAIL_SEAL_KEYS",
    ):
        assert any(each.startswith(words) for each in told), (words, told)
    assert not any("changeme" in each for each in told)


# -- stale locks ------------------------------------------------------------------------------------------------------


def _audit_of_own(parts: Parts) -> None:
    def written_to_a_file(facts: Any) -> Any:
        return ()

    parts.modules["audit"] = replace(parts.modules["audit"], recorder=written_to_a_file)


STALE: dict[str, tuple[Callable[[Parts], Any], list[str]]] = {
    "a money hook that nobody decides any more": (
        lambda parts: parts.bindings.remove(next(each for each in parts.bindings if each.target is PAYMENT_SETTLED)),
        ['bindings."payments.payment_settled calls shop.bindings:pay_order": gone, was "money"'],
    ),
    "bindings in another order": (lambda parts: parts.bindings.reverse(), ["order of bindings: ["]),
    "a permission more for the clerk": (
        lambda parts: parts.modules.update(
            tenancy=Tenancy(
                roles={"owner": "*", "clerk": (*parts.main.CLERK, "audit.read"), "viewer": parts.main.VIEWER}
            )
        ),
        ["the contract of tenancy: 1.0.0 (", "principals.clerk.permissions: ["],
    ),
    "refunds that need nobody's approval up to ten times as much": (
        lambda parts: parts.modules.update(payments=Payments(sample="{order_id}", approve_above=1000_00)),
        ["the contract of payments: 1.0.0 ("],
    ),
    "a public route more": (
        lambda parts: _routed(parts, _route("/reports", access=public("the office reads them"))),
        ["the contract of shop: 1.0.0 (", 'routes."GET /reports": new, {"public": "the office reads them"}'],
    ),
    "another who writes the audit log": (
        _audit_of_own,
        ['ports.recorder: "holdtrue.modules.audit.recording:Recording" → "'],
    ),
}


@pytest.mark.parametrize(("change", "told"), STALE.values(), ids=STALE)
def test_what_an_app_decides_anew_makes_its_lock_stale(
    main: ModuleType, change: Callable[[Parts], Any], told: list[str]
) -> None:
    parts = Parts.of(main)
    change(parts)
    old, new = (lock(each, "shop.main:assembly", EXAMPLE) for each in (main.assembly, parts.compose()))
    found = [str(each) for each in differences(old, new) if not each.own_source]
    for words in told:
        assert any(each.startswith(words) for each in found), (words, found)


def test_a_route_past_the_guard_is_refused(main: ModuleType) -> None:
    parts = Parts.of(main)
    assembly = parts.compose()
    assembly.asgi.add_api_route("/admin/orders", _unbound, methods=["DELETE"])
    with pytest.raises(Faults, match=r"ROUTE_OUTSIDE_THE_GUARD.*test_shop.py:\d+: DELETE /admin/orders is mounted"):
        lock(assembly, "shop.main:assembly", EXAMPLE)
    assert (
        lock(parts.compose(), "shop.main:assembly", EXAMPLE).ports["mailer"] == "holdtrue.modules.email.flows.owe:owe"
    )
