"""What a release changes, and which of it a human must approve.

One rule decides where no other does: adding to what is promised and rehearsed needs nobody; changing or removing it
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdtrue.contract.lock import Bound
from holdtrue.gate import document_changes
from holdtrue.gate.paper import Change, Need
from holdtrue.gate.state import State


def changes(old: State | None, new: State) -> list[Change]:
    """Everything that differs, what needs an approval first. ``None``: nothing was admitted yet."""
    found = [
        *document_changes.changes(old.document if old else {}, new.document),
        *_bindings(old.bindings if old else [], new),
        *_money_sources(old, new),
        *_ports(old, new),
        *_contracts(old.contracts if old else {}, new.contracts),
        *_modules(old, new),
        *_revisions(old, new),
        *_moving_files(old.moving_files if old else {}, new.moving_files),
        *_signers(old, new),
    ]
    return sorted(found, key=lambda each: (each.need is None, each.need or "", each.what))


def pending(old: State | None, new: State) -> list[str]:
    """Revisions that were not admitted before, in the order in which they are applied."""
    known = {each.revision for each in old.revisions} if old else set()
    return [each.revision for each in new.revisions if each.revision not in known]


def _bindings(old: list[Bound], new: State) -> Iterator[Change]:
    was, now = _calls(old), _calls(new.bindings)
    for target in {**was, **now}:
        before, after = was.get(target, []), now.get(target, [])
        if before == after:
            continue
        money = any(each.money for each in (*old, *new.bindings) if each.target == target)
        yield Change(
            what=f"binding of {target}",
            was=", ".join(before),
            now=", ".join(after),
            need=Need.MONEY if money else None,
            why="what is bound to it decides about money" if money else "",
        )


def _calls(bindings: list[Bound]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in bindings:
        found.setdefault(each.target, []).append(f"{each.function} (money)" if each.money else each.function)
    return found


def money_sources(state: State) -> dict[str, str]:
    """File → its digest, for every function of the app that is bound to a money hook."""
    functions = [each.function for each in state.bindings if each.money]
    paths = (_file_of(function, state.files) for function in functions)
    return {path: state.files[path] for path in paths if path is not None}


def _file_of(function: str, files: Mapping[str, str]) -> str | None:
    """``shop.pricing:capped`` → ``src/shop/pricing.py``; None for what comes with an installed module."""
    name = function.partition(":")[0].replace(".", "/")
    endings = (f"{name}.py", f"{name}/__init__.py")
    found = [path for path in files if any(path == each or path.endswith(f"/{each}") for each in endings)]
    return min(found, key=len, default=None)


def _money_sources(old: State | None, new: State) -> Iterator[Change]:
    was, now = (money_sources(old) if old else {}), money_sources(new)
    for path, digest in now.items():
        if was.get(path) != digest:
            yield Change(
                what=f"source {path}",
                was=was.get(path, ""),
                now=digest,
                need=Need.MONEY,
                why="a function in it is bound to a money hook",
            )


def _ports(old: State | None, new: State) -> Iterator[Change]:
    """A function of the app's own is compared with the file that it stands in."""
    yield from _texts(
        "port",
        _fillers(old) if old else {},
        _fillers(new),
        Need.PERMISSIONS,
        "what fills it decides who is let in, as whom, or what is recorded",
    )


def _fillers(state: State) -> dict[str, str]:
    paths = {port: _file_of(function, state.files) for port, function in state.ports.items()}
    return {port: f"{state.ports[port]} {state.files[path] if path else ''}".rstrip() for port, path in paths.items()}


def _contracts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        was, now = old.get(name, {}), new.get(name, {})
        for key, what, need, why in (
            ("effects", "side effect", Need.MONEY, "what leaves the database cannot be taken back"),
            ("hosts", "host called by", Need.PROCESS, "data may leave to it"),
        ):
            yield from _named(f"{what} {name}", was.get(key) or [], now.get(key) or [], need, why)
        hooks = [each for each in was.get("hooks") or [] if each.get("money")]
        kept = {each["name"] for each in now.get("hooks") or [] if each.get("money")}
        for hook in hooks:
            if hook["name"] not in kept and name in new:
                yield Change(
                    what=f"money hook {hook['name']}",
                    was="decides about money",
                    now="does not",
                    need=Need.MONEY,
                    why="bindings of it would need no approval any more",
                )


def _named(what: str, old: list[Any], new: list[Any], need: Need, why: str) -> Iterator[Change]:
    was, now = ({str(each.get("name") or each.get("host")): each for each in listed} for listed in (old, new))
    for name in {**was, **now}:
        if was.get(name) != now.get(name):
            yield Change(
                what=f"{what}: {name}",
                was=_shown(was.get(name)),
                now=_shown(now.get(name)),
                need=need if name in now else None,
                why=why if name in now else "",
            )


def _shown(value: Any) -> str:
    # Sorted: what was read from a plan has another order than what an interpreter told.
    return (
        ", ".join(f"{key}={each}" for key, each in sorted(value.items()) if key not in ("is", "name")) if value else ""
    )


def _modules(old: State | None, new: State) -> Iterator[Change]:
    before = old.modules if old else {}
    for name in {**before, **new.modules}:
        was, now = before.get(name), new.modules.get(name)
        if was == now:
            continue
        installed = any(each is not None and each.distribution for each in (was, now))
        yield Change(
            what=f"module {name}",
            was=f"{was.distribution} {was.version} contract {was.contract} {was.digest} {was.source}" if was else "",
            now=f"{now.distribution} {now.version} contract {now.contract} {now.digest} {now.source}" if now else "",
            need=Need.MODULES if installed else None,
            why="code from elsewhere runs in the app" if installed else "",
        )
    if (old.runtime if old else None) != new.runtime and new.runtime is not None:
        yield Change(
            what="holdtrue's runtime",
            was=f"{old.runtime.version} {old.runtime.source}" if old and old.runtime else "",
            now=f"{new.runtime.version} {new.runtime.source}",
            need=Need.MODULES,
            why="it runs below all modules",
        )


def _revisions(old: State | None, new: State) -> Iterator[Change]:
    known = {each.revision for each in old.revisions} if old else set()
    for revision in new.revisions:
        if revision.revision not in known:
            yield Change(
                what=f"migration {revision.revision}",
                now=f"{revision.file or 'of an installed module'} {revision.digest}",
                need=Need.MIGRATIONS,
                why="it changes the database of production, as its owner",
            )


def _moving_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    why = "it takes part in changing the database of production, as its owner"
    yield from _texts("migration file", old, new, Need.MIGRATIONS, why)


def _texts(what: str, old: Mapping[str, str], new: Mapping[str, str], need: Need, why: str) -> Iterator[Change]:
    for name in sorted({**old, **new}):
        if old.get(name) != new.get(name):
            yield Change(what=f"{what} {name}", was=old.get(name, ""), now=new.get(name, ""), need=need, why=why)


def _signers(old: State | None, new: State) -> Iterator[Change]:
    was = (old.signers_file, old.signers) if old else ("", "")
    if was != (new.signers_file, new.signers):
        yield Change(
            what="who may approve",
            was="\n".join(was).strip(),
            now=f"{new.signers_file}\n{new.signers}".strip(),
            need=Need.SIGNERS,
            why="only who may approve now can say who may approve next" if old else "this is the first list",
        )
