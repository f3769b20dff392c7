"""Laws that hold for every file of code (DESIGN §8)."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

Tree = Any
HARD_LINES = 500


def test_no_file_of_the_package_is_longer_than_the_hard_limit(tree: Tree) -> None:
    long = {tree.shown(path): tree.lines(path) for path in tree.python(tree.package) if tree.lines(path) > HARD_LINES}
    assert not long, f"split these along what they do; at most {HARD_LINES} lines each: {long}"


def test_what_a_package_names_as_public_is_what_can_be_imported_from_it(tree: Tree) -> None:
    wrong = {}
    for path in tree.python(tree.package):
        if path.name != "__init__.py" or "__all__" not in path.read_text(encoding="utf-8"):
            continue
        name = ".".join(path.parent.relative_to(tree.package.parent).parts)
        package = importlib.import_module(name)
        public = {each for each in _bound(path) if not each.startswith("_") and not _is_module(package, each)}
        if public != set(package.__all__) or not all(hasattr(package, each) for each in public):
            wrong[name] = sorted(public ^ set(package.__all__))
    assert not wrong, f"in `__all__` or bound in `__init__.py`, but not both: {wrong}"


def _bound(path: Path) -> set[str]:
    """The names of the project's own that a file binds at its top level, be it in an `if` or a `with`."""
    names: set[str] = set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    within = [each for node in body if isinstance(node, ast.If | ast.With) for each in node.body]
    for node in [*body, *within]:
        match node:
            case ast.ImportFrom(module=str(module)) if module.startswith("holdtrue."):
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def _is_module(package: ModuleType, name: str) -> bool:
    return isinstance(getattr(package, name), ModuleType)


def test_nothing_waits_by_sleeping(tree: Tree) -> None:
    """A sleep is too short on a busy machine and too long on an idle one: wait for the event itself."""
    sleeps = [
        f"{tree.shown(path)}:{node.lineno}"
        for path in tree.python(tree.package, tree.tests)
        for node in tree.nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
    ]
    assert not sleeps


def test_no_test_waits_for_a_length_of_time(tree: Tree) -> None:
    """``asyncio.sleep(0)`` lets others run; a longer one hopes that they are done."""
    sleeps = [
        f"{tree.shown(path)}:{node.lineno}"
        for path in tree.python(tree.tests)
        for node in tree.nodes(path)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("asyncio.sleep", "anyio.sleep")
        and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]
    assert not sleeps


def test_no_assertion_is_true_whatever_happens(tree: Tree) -> None:
    empty = [
        f"{tree.shown(path)}:{node.lineno}"
        for path in tree.python(tree.package, tree.tests)
        for node in tree.nodes(path)
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and node.test.value
    ]
    assert not empty


def test_every_except_says_what_it_catches(tree: Tree) -> None:
    bare = [
        f"{tree.shown(path)}:{node.lineno}"
        for path in tree.python(tree.package, tree.tests)
        for node in tree.nodes(path)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare
