"""What changed in the contract document, and what of it is looser than before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdtrue.gate.paper import Change, Need

_GUARDS = ("permission", "public", "signature", "out_of_scope")
_SECTIONS = ("app", "permissions", "principals", "routes", "tenancy", "tables_out_of_scope", "audit", "waivers")
"""Sections with rules of their own; every other one is compared as a whole or key by key."""
_KEYED = ("webhooks", "mail", "resources")
_LESS = "less is promised, so less is held"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Every difference of two documents, as their JSON without defaults."""
    if old.get("app") != new.get("app"):
        yield Change(what="app", was=_text(old.get("app")), now=_text(new.get("app")))
    yield from _permissions(old.get("permissions", {}), new.get("permissions", {}))
    yield from _principals(old.get("principals", {}), new.get("principals", {}))
    yield from _routes(old.get("routes", {}), new.get("routes", {}))
    yield from _tables(old.get("tenancy", {}), new.get("tenancy", {}))
    yield from _out_of_scope(old.get("tables_out_of_scope", {}), new.get("tables_out_of_scope", {}))
    yield from _tenancy(old.get("tenancy", {}), new.get("tenancy", {}))
    yield from _audit(old.get("audit"), new.get("audit"))
    yield from _waivers(old.get("waivers", []), new.get("waivers", []))
    for section in _KEYED:
        yield from _keyed(section, old.get(section, {}), new.get(section, {}))
    for section in {**old, **new}:
        if section not in _SECTIONS and section not in _KEYED:
            yield from _whole(section, old.get(section), new.get(section), first=not old)


def _permissions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        if name not in old:
            why = "somebody will be able to do what nobody could"
            yield Change(what=f"permission {name}", now=new[name], need=Need.PERMISSIONS, why=why)
        elif old[name] != new.get(name):
            yield Change(what=f"permission {name}", was=old[name], now=new.get(name, ""))


def _principals(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        was, now = old.get(name, {}), new.get(name, {})
        gained = sorted(set(now.get("permissions", [])) - set(was.get("permissions", [])))
        if gained:
            why = f"{name} is granted {', '.join(gained)}"
            held = (_text(each.get("permissions", [])) if each else "" for each in (was, now))
            yield _change(f"permissions of {name}", *held, need=Need.PERMISSIONS, why=why)
        elif was.get("permissions", []) != now.get("permissions", []) and now:
            held = (_text(each.get("permissions", [])) for each in (was, now))
            yield _change(f"permissions of {name}", *held)
        if was and not now:
            yield _change(
                f"principal {name}", _text(was), "", need=Need.PROMISES, why="nobody rehearses as it any more"
            )
        elif was and (_without(was, "permissions")) != _without(now, "permissions"):
            texts = (_text(_without(each, "permissions")) for each in (was, now))
            yield _change(f"principal {name}", *texts, need=Need.REHEARSAL, why="it comes to be in another way")


def _routes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in {**old, **new}:
        was, now = old.get(key), new.get(key)
        if now is None:
            yield Change(what=f"route {key}", was=_guard(was))
            continue
        before, after = _guard(was), _guard(now)
        if before != after:
            need, why = _loosened(was, now)
            yield _change(f"route {key}", before, after, need=need, why=why)
        if was is None:
            continue
        if was.get("scope") != now.get("scope"):
            account = now.get("scope") == "account"
            why = "it still answers somebody who left the tenant" if account else ""
            scopes = was.get("scope", "tenant"), now.get("scope", "tenant")
            yield _change(f"scope of {key}", *scopes, need=Need.PERMISSIONS if account else None, why=why)
        if (one := _without(was, "scope", *_GUARDS)) != (other := _without(now, "scope", *_GUARDS)):
            why = "another call is taken for its success"
            yield _change(f"rehearsal of {key}", _text(one), _text(other), need=Need.REHEARSAL, why=why)


def _guard(route: Mapping[str, Any] | None) -> str:
    if route is None:
        return ""
    return next(f"{guard}: {route[guard]}" for guard in _GUARDS if route.get(guard) is not None)


def _loosened(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[Need | None, str]:
    if now.get("public") is not None:
        stays = was is not None and was.get("public") is not None
        return (None, "") if stays else (Need.PUBLIC, "anybody may call it")
    if now.get("out_of_scope") is not None:
        return Need.PROMISES, "no rehearsal calls it"
    if now.get("signature") is not None:
        return Need.PUBLIC, "nothing but a signature guards it"
    if was is None or was.get("public") is not None or was.get("out_of_scope") is not None:
        return None, ""
    return Need.PERMISSIONS, "other people may call it"


def _tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    was, now = _decisions(old), _decisions(new)
    for table in {**was, **now}:
        before, after = was.get(table, ""), now.get(table, "")
        if before == after:
            continue
        need, why = None, ""
        if after.startswith("global"):
            need, why = (None, "") if before.startswith("global") else (Need.TENANCY, "its rows belong to no tenant")
        elif before.startswith("tenant"):
            need, why = Need.TENANCY, "its rows are told apart by another column, or not at all"
        yield _change(f"table {table}", before, after, need=need, why=why)


def _out_of_scope(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for table in {**old, **new}:
        was, now = old.get(table, ""), new.get(table, "")
        if was != now:
            need, why = (Need.PROMISES, "no guarantee looks at it") if not was else (None, "")
            yield _change(f"table {table} out of scope", was, now, need=need, why=why)


def _decisions(tenancy: Mapping[str, Any]) -> dict[str, str]:
    found = {table: f"tenant: {column}" for table, column in tenancy.get("tables", {}).items()}
    return found | {table: f"global: {reason}" for table, reason in tenancy.get("global", {}).items()}


def _tenancy(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if old and not new:
        yield Change(what="tenancy", was="promised", need=Need.PROMISES, why=_LESS)
        return
    for key in ("tenant", "headers"):
        if old and old.get(key) != new.get(key):
            why = "tenants are told apart in another way"
            yield _change(f"tenancy.{key}", _text(old.get(key)), _text(new.get(key)), need=Need.TENANCY, why=why)
    yield from _keyed("tenancy.removals", old.get("removals", {}), new.get("removals", {}))


def _audit(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[Change]:
    if old == new:
        return
    was, now = old or {}, new or {}
    lost = set(was.get("tables", [])) - set(now.get("tables", []))
    excepted = set(now.get("except", {})) - set(was.get("except", {}))
    covered, covers = set(was.get("covers", [])), set(now.get("covers", []))
    # An empty list covers every tenant table.
    narrowed = bool(covers) and (not covered or not covered <= covers)
    loose = old is not None and bool(new is None or lost or excepted or narrowed)
    need, why = (Need.PROMISES, "fewer changes leave an event") if loose else (None, "")
    yield _change("audit", _text(old), _text(new), need=need, why=why)


def _waivers(old: list[Any], new: list[Any]) -> Iterator[Change]:
    was, now = ([(each["code"], each) for each in listed] for listed in (old, new))
    for code in dict(was + now):
        # A guarantee may have several: of single findings, or of all.
        before, after = ([each for of, each in listed if of == code] for listed in (was, now))
        if before != after:
            new_one = any(each not in before for each in after)
            need, why = (Need.PROMISES, "a guarantee may be broken") if new_one else (None, "")
            yield _change(f"waiver {code}", _text(before or None), _text(after or None), need=need, why=why)


def _keyed(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    money = section == "webhooks"
    for key in {**old, **new}:
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        need, why = None, ""
        if now is None:
            need, why = Need.PROMISES, _LESS
        elif money:
            need, why = Need.MONEY, "a provider's word changes what was paid"
        elif was is not None:
            need, why = Need.REHEARSAL, "something else is rehearsed"
        yield _change(f"{section}.{key}", _text(was), _text(now), need=need, why=why)


def _whole(section: str, was: Any, now: Any, *, first: bool) -> Iterator[Change]:
    if was == now:
        return
    if section in ("process", "migrations"):
        need, why = Need.PROCESS, "these commands run, the migration as the owner of the database"
    elif now is None:
        need, why = Need.PROMISES, _LESS
    elif was is None or first:
        need, why = None, ""
    else:
        need, why = Need.REHEARSAL, "something else is rehearsed"
    if section != "process" or was is None or now is None:
        yield _change(section, _text(was), _text(now), need=need, why=why)
        return
    for key in {**was, **now}:
        if was.get(key) != now.get(key):
            yield _change(f"process.{key}", _text(was.get(key)), _text(now.get(key)), need=need, why=why)


def _change(what: str, was: str, now: str, *, need: Need | None = None, why: str = "") -> Change:
    return Change(what=what, was=was, now=now, need=need, why=why)


def _without(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in keys}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
