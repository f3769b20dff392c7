"""Where a file makes tables from SQLAlchemy's models, read without running it.

Source: SQLAlchemy documentation, "Emitting DDL to the Database" (`MetaData.create_all`, `Table.create`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from holdtrue.stage.survey.sources import PythonFile, Sources

_ALL = frozenset(("create_all", "drop_all"))
_ONE = frozenset(("create", "drop"))
_OWN = frozenset(("MetaData", "declarative_base", "automap_base", "Table"))
_SWITCHES = frozenset(("environ", "getenv", "get_x_argument", "argv", "settings"))
_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class MetadataCall:
    """A call that makes or drops tables as the models are at the time of the call."""

    text: str
    """As it is written, such as ``Base.metadata.create_all``."""
    file: str
    line: int
    models: str
    """The module that the models come from; empty where the file does not tell."""
    switched: bool
    """Whether a setting decides if it is made at all."""


def metadata_calls(sources: Sources, file: PythonFile) -> Iterator[MetadataCall]:
    """Such calls in a file, and in functions of the app that it calls.

    A ``MetaData`` that the file makes itself is frozen in it, and left out.
    """
    names = _Names(file.tree)
    for call, switched in _calls(file.tree, switched=False):
        models = _models(call, names)
        text = ast.unparse(call.func)
        if models is None and (called := _called(sources, call, names)) is not None:
            module, inner = called
            models, text = module, f"{text}(), which calls {inner}"
        if models is not None:
            yield MetadataCall(text=text, file=file.path, line=call.lineno, models=models, switched=switched)


class _Names:
    """What the names of a file stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.imported: dict[str, tuple[str, str]] = {}
        """Name → module, and the name there; the latter is empty for a module itself."""
        self.given: dict[str, ast.expr] = {}
        self.classes: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    self.imported[each.asname or each.name] = ("." * node.level + (node.module or ""), each.name)
            elif isinstance(node, ast.Import):
                for each in node.names:
                    self.imported[each.asname or each.name.partition(".")[0]] = (each.name, "")
            elif isinstance(node, ast.Assign):
                self.given |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                self.given[node.target.id] = node.value
            elif isinstance(node, ast.ClassDef):
                self.classes.add(node.name)


def _calls(node: ast.AST, *, switched: bool) -> Iterator[tuple[ast.Call, bool]]:
    if isinstance(node, ast.Call):
        yield node, switched
    if isinstance(node, ast.If | ast.IfExp):
        switched = switched or any(_word(each) in _SWITCHES for each in ast.walk(node.test))
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, switched=switched)


def _word(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _models(call: ast.Call, names: _Names) -> str | None:
    """The module of the models that a call makes tables of; None for another call, or for tables of the file's own."""
    func = call.func
    if not isinstance(func, ast.Attribute):
        return None
    of_one = func.attr in _ONE and _is_table(func.value)
    return _origin(func.value, names) if func.attr in _ALL or of_one else None


def _is_table(node: ast.expr) -> bool:
    """``Model.__table__``, or ``metadata.tables["name"]``."""
    if isinstance(node, ast.Subscript):
        return _word(node.value) == "tables"
    return _word(node) == "__table__"


def _origin(node: ast.expr, names: _Names, depth: int = _DEPTH) -> str | None:
    """Where the left end of an expression comes from: a module, '' where that is not known, None for the file."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        if isinstance(node, ast.Call):
            if _word(node.func) in _OWN:
                return None
            node = node.func
        else:
            node = node.value
    if not isinstance(node, ast.Name):
        return ""
    if node.id in names.classes:
        return None
    if node.id in names.imported:
        return names.imported[node.id][0]
    return _origin(names.given[node.id], names, depth - 1) if depth and node.id in names.given else ""


def _called(sources: Sources, call: ast.Call, names: _Names) -> tuple[str, str] | None:
    """For a function of another module of the app: that module, and the call in it that makes tables."""
    if isinstance(call.func, ast.Name) and call.func.id in names.imported:
        module, function = names.imported[call.func.id]
    elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name | ast.Attribute):
        function, module = call.func.attr, _module(call.func.value, names.imported)
    else:
        return None
    file = sources.module(module.lstrip(".")) if module and function else None
    if file is None:
        return None
    for node in file.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            theirs = _Names(file.tree)
            for inner, _ in _calls(node, switched=False):
                if isinstance(inner.func, ast.Attribute) and inner.func.attr in _ALL:
                    own = _own(inner.func.value, theirs, node)
                    return None if own else (module, ast.unparse(inner.func))
    return None


def _own(node: ast.expr, names: _Names, function: ast.stmt) -> bool:
    """Whether a metadata is made inside the function that uses it, and so has no models."""
    inside = _Names(ast.Module(body=[function], type_ignores=[]))
    return isinstance(node, ast.Name) and node.id in inside.given and _origin(node, names) is None


def _module(node: ast.expr, imported: Mapping[str, tuple[str, str]]) -> str:
    """The module that an expression such as ``models`` or ``app.models`` stands for; empty for something else."""
    dotted = ast.unparse(node)
    head, _, rest = dotted.partition(".")
    if head not in imported:
        return ""
    module, name = imported[head]
    if name:
        return ".".join(filter(None, (module, name, rest)))
    return dotted if module == dotted or module.startswith(f"{head}.") else ".".join(filter(None, (module, rest)))
