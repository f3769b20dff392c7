"""Whether the parts of a document fit together: names that are used exist, and placeholders are filled in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from holdtrue.contract.document import PARAMETER, Command, Document, Route
from holdtrue.contract.placeholders import BUILT_IN, COMMAND, ENVIRONMENT, Placeholders, words
from holdtrue.contract.positions import Positions
from holdtrue.contract.problems import Pointer, Problem, key_text
from holdtrue.contract.scopes import Scopes
from holdtrue.contract.template import suggestion


def problems(document: Document, positions: Positions) -> list[Problem]:
    """Return everything that does not fit together."""
    texts = Placeholders(document, positions)
    _References(document, texts).run()
    return texts.problems


def expired(document: Document, positions: Positions, today: date) -> list[tuple[int, Problem]]:
    """Return the waivers that no longer count, each with its index."""
    return [
        (
            index,
            Problem(
                position=positions.locate(("waivers", index, "until")),
                message=f"the waiver of {waiver.code} expired on {waiver.until}: it is not applied",
                hint=f"mend what {waiver.code} found, or let {waiver.owner} decide on a later date",
            ),
        )
        for index, waiver in enumerate(document.waivers)
        if waiver.until < today
    ]


class _References:
    def __init__(self, document: Document, texts: Placeholders) -> None:
        self._document = document
        self._texts = texts
        self._scopes = Scopes(document, texts)

    def run(self) -> None:
        self._process()
        self._permissions()
        self._scopes.enter_cast()
        for key, route in self._document.routes.items():
            self._route(key, route)
        self._refresh()
        self._endings()
        self._tenancy()
        self._webhooks()
        for name, mail in self._document.mail.items():
            found = self._scopes.steps(mail.before, ("mail", name, "before"), self._scopes.everything)
            self._scopes.step(mail.cause, ("mail", name, "cause"), self._scopes.everything | found)
            self._texts.filled([mail.to], ("mail", name, "to"), self._scopes.everything | found)
        self._audit()

    def _process(self) -> None:
        process = self._document.process
        for table, env in (("env", process.env), ("migrate_env", process.migrate_env)):
            for name, text in env.items():
                self._texts.environment([text], ("process", table, name), ENVIRONMENT)
        commands: list[tuple[Pointer, Command | None]] = [
            (("process", key), getattr(process, key)) for key in ("start", "install", "migrate", "worker")
        ]
        commands += [(("process", "seed", index), command) for index, command in enumerate(process.seed)]
        if self._document.migrations:
            moves = ("up", "down", "steps")
            commands += [(("migrations", key), getattr(self._document.migrations, key)) for key in moves]
        for pointer, command in commands:
            self._texts.environment(words(command), pointer, COMMAND)

    def _permissions(self) -> None:
        for name, principal in self._document.principals.items():
            for index, permission in enumerate(principal.permissions):
                if permission != "*":
                    self._permission(permission, ("principals", name, "permissions", index))

    def _permission(self, permission: str, pointer: Pointer) -> bool:
        if permission in self._document.permissions:
            return True
        declare = f'declare it: [permissions] {key_text((permission,))} = "what it allows"'
        self._texts.add(
            pointer,
            f"nobody declares the permission `{permission}`",
            suggestion(permission, {*self._document.permissions, "signed_in"}),
            declare,
        )
        return False

    def _route(self, key: str, route: Route) -> None:
        pointer: Pointer = ("routes", key)
        if route.as_ is not None:
            self._scopes.who(route.as_, (*pointer, "as"))
        if (
            route.permission not in (None, "signed_in")
            and self._permission(str(route.permission), (*pointer, "permission"))
            and route.as_ in self._document.principals
            and not {"*", route.permission} & set(self._document.principals[route.as_].permissions)
        ):
            self._texts.add(
                (*pointer, "as"),
                f"`{route.as_}` does not hold `{route.permission}`, so its call must be refused",
                "name a principal that holds it; leave `as` out for the first that does",
            )
        if route.signature is not None and route.signature not in self._document.webhooks:
            self._texts.add(
                (*pointer, "signature"),
                f"there is no webhook `{route.signature}`",
                suggestion(route.signature, self._document.webhooks),
                f"declare it: [webhooks.{route.signature}]",
            )
        known = self._scopes.everything | self._journey(route, pointer)
        known |= self._scopes.steps(route.before, (*pointer, "before"), known)
        self._texts.filled_request(route, pointer, known)
        self._parameters(key, route, pointer, known)

    def _journey(self, route: Route, pointer: Pointer) -> set[str]:
        """Return what the journey before a route captures."""
        if route.after is None:
            return set()
        journeys = {
            f"{webhook}.{name}": journey
            for webhook, each in self._document.webhooks.items()
            for name, journey in each.journeys.items()
        }
        if route.after in journeys:
            return {name for step in journeys[route.after].steps for name in step.capture}
        self._texts.add(
            (*pointer, "after"),
            f"there is no journey `{route.after}`",
            suggestion(route.after, journeys),
            f"a journey is named `webhook.journey`; declared: {', '.join(journeys) or 'none'}",
        )
        return set()

    def _parameters(self, key: str, route: Route, pointer: Pointer, known: Iterable[str]) -> None:
        parameters = PARAMETER.findall(key)
        for name, text in route.params.items():
            if name not in parameters:
                hint = suggestion(name, parameters) or f"its parameters: {', '.join(parameters) or 'none'}"
                self._texts.add((*pointer, "params", name), f"the path has no parameter `{name}`", hint)
            self._texts.filled([text], (*pointer, "params", name), known)
        if route.out_of_scope is not None:
            return
        for name in parameters:
            if name not in known and name not in route.params:
                self._texts.add(
                    pointer,
                    f"nothing fills the path parameter `{{{name}}}`",
                    suggestion(name, known),
                    f'let a resource capture `{name}`, or give params = {{ {name} = "…" }}',
                )

    def _refresh(self) -> None:
        refresh = self._document.refresh
        if refresh is None:
            return
        self._scopes.who(refresh.principal, ("refresh", "principal"))
        found = self._scopes.steps(refresh.login, ("refresh", "login"), self._scopes.everything)
        again = self._scopes.steps(
            [refresh.step], ("refresh", "step"), self._scopes.everything | found | {"refresh_token"}
        )
        for key, captured in (("login", found), ("step", again)):
            missing = [name for name in ("access_token", "refresh_token") if name not in captured]
            if missing:
                self._texts.add(
                    ("refresh", key),
                    f"does not capture {' and '.join(f'`{name}`' for name in missing)}",
                    'capture = { access_token = "access_token", refresh_token = "refresh_token" }',
                )
        self._known_route(refresh.probe, ("refresh", "probe"))

    def _endings(self) -> None:
        for name, ending in self._document.endings.items():
            self._scopes.who(ending.principal, ("endings", name, "principal"))
            self._scopes.steps(ending.steps, ("endings", name, "steps"), self._scopes.everything)
            self._known_route(ending.probe, ("endings", name, "probe"))

    def _known_route(self, route: str, pointer: Pointer) -> bool:
        routes = self._document.routes
        if route in routes:
            return True
        self._texts.add(
            pointer,
            f'the route "{route}" is not declared',
            suggestion(route, routes),
            f'declare it: [routes."{route}"]',
        )
        return False

    def _tenancy(self) -> None:
        tenancy = self._document.tenancy
        if tenancy is None:
            return
        if tenancy.tenant not in self._scopes.tenant:
            self._texts.add(
                ("tenancy", "tenant"),
                f"no principal and no resource captures `{tenancy.tenant}`",
                suggestion(tenancy.tenant, self._scopes.tenant),
                f'capture it where the tenant is made: capture = {{ {tenancy.tenant} = "id" }}',
            )
        for name, text in tenancy.headers.items():
            # They are sent from the very first request on, when nothing has been captured yet.
            self._texts.filled([text], ("tenancy", "headers", name), BUILT_IN)
        for table in tenancy.tables:
            if table in tenancy.global_:
                self._texts.add(
                    ("tenancy", "global", table),
                    f"`{table}` is listed under `tables` as well",
                    "a table belongs to a tenant or to none: remove one of the two",
                )
            if table in self._document.tables_out_of_scope:
                self._texts.add(
                    ("tables_out_of_scope", table), f"`{table}` is a tenant table as well", "remove one of the two"
                )
        for name, removal in tenancy.removals.items():
            self._scopes.who(removal.principal, ("tenancy", "removals", name, "principal"))
            self._scopes.steps(removal.steps, ("tenancy", "removals", name, "steps"), self._scopes.everything)

    def _webhooks(self) -> None:
        for name, webhook in self._document.webhooks.items():
            pointer: Pointer = ("webhooks", name)
            if self._known_route(webhook.route, (*pointer, "route")):
                guard = self._document.routes[webhook.route].signature
                if guard is None or (guard != name and guard in self._document.webhooks):
                    self._texts.add(
                        ("routes", webhook.route),
                        f"takes the webhook `{name}`, but is not guarded by it",
                        f'signature = "{name}"',
                    )
            for journey, declared in webhook.journeys.items():
                self._scopes.steps(declared.steps, (*pointer, "journeys", journey, "steps"), self._scopes.everything)

    def _audit(self) -> None:
        audit = self._document.audit
        for table in set(audit.covers) & set(audit.except_) if audit else ():
            self._texts.add(
                ("audit", "except", table), f"`{table}` is listed under `covers` as well", "remove one of the two"
            )
