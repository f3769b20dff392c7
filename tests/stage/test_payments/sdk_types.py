"""What the SDK's generated classes say of objects and events, read from their source, and JSON compared with it.

Required fields must be there, no field may be unknown, values must be of the type and, where the type is a `Literal`,
among its words; an object in a field must be of the class that the field names.
"""

import ast
import inspect
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import stripe
from stripe._object_classes import OBJECT_CLASSES

SDK = Path(inspect.getfile(stripe)).parent
_PLAIN: dict[str, tuple[type, ...]] = {"int": (int,), "bool": (bool,), "str": (str,), "float": (int, float)}


@cache
def _class(module: str, name: str) -> ast.ClassDef:
    source = (SDK.parent / module.replace(".", "/")).with_suffix(".py").read_text()
    return next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)


@cache
def _of_kind(kind: str) -> ast.ClassDef | None:
    return None if kind not in OBJECT_CLASSES else _class(*OBJECT_CLASSES[kind])


@cache
def event_types() -> frozenset[str]:
    """Every event type that the SDK knows."""
    kind = _of_kind("event")
    assert kind is not None
    words = next(node for node in _fields(kind).items() if node[0] == "type")[1]
    return frozenset(_words(words))


@cache
def class_of_event(type_: str) -> str | None:
    """The class of the object that an event of a type is about, from the SDK's typed notifications."""
    source = SDK / "events" / f"_v1_{type_.replace('.', '_')}_event.py"
    if not source.exists():
        return None
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "fetch_related_object" and node.returns is not None:
            return str(ast.literal_eval(node.returns))
    return None


def faults(value: Any) -> Iterator[str]:
    """Everything in which JSON differs from the SDK's types, objects within objects included."""
    if isinstance(value, list):
        for entry in value:
            yield from faults(entry)
    elif isinstance(value, dict):
        kind = value.get("object")
        node = _of_kind(kind) if isinstance(kind, str) else None
        if node is not None and kind not in ("list", "search_result"):
            yield from ((f"{kind}.deleted is false",) if value.get("deleted") is False else ())
            yield from () if value.get("deleted") else _object(value, node, str(kind))
        for child in value.values():
            yield from faults(child)


def event_faults(event: dict[str, Any]) -> Iterator[str]:
    """As `faults`; and the event's type must be known, and be about an object of the right class."""
    yield from faults(event)
    type_ = event["type"]
    wanted, kind = class_of_event(type_), event["data"]["object"]["object"]
    if wanted is not None and OBJECT_CLASSES[kind][1] != wanted:
        yield f"{type_} is about a {kind}, not a {wanted}"


def _fields(node: ast.ClassDef) -> dict[str, ast.expr]:
    return {
        child.target.id: child.annotation
        for child in node.body
        if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)
    }


def _object(value: dict[str, Any], node: ast.ClassDef, where: str) -> Iterator[str]:
    inner = {child.name: child for child in node.body if isinstance(child, ast.ClassDef)}
    fields = {name: annotation for name, annotation in _fields(node).items() if _head(annotation) != "ClassVar"}
    for name, annotation in fields.items():
        if value.get(name) is not None:
            yield from _check(value[name], annotation, inner, f"{where}.{name}")
        elif _head(annotation) != "Optional":
            yield f"{where}.{name} is missing: {ast.unparse(annotation)}"
    for name in value.keys() - fields.keys():
        yield f"{where}.{name} is unknown to the SDK"


def _check(value: Any, annotation: ast.expr, inner: dict[str, ast.ClassDef], where: str) -> Iterator[str]:
    head, parts = _head(annotation), _parts(annotation)
    if head == "Optional":
        if value is not None:
            yield from _check(value, parts[0], inner, where)
    elif head == "Literal" or (head == "Union" and _head(parts[0]) == "Literal"):
        if value not in _words(annotation):
            yield f"{where} is {value!r}, not one of {sorted(map(str, _words(annotation)))}"
    elif head == "List":
        if not isinstance(value, list):
            yield f"{where} is {value!r}, not a list"
            return
        for entry in value:
            yield from _check(entry, parts[0], inner, f"{where}[]")
    elif head == "ListObject":
        if (
            not isinstance(value, dict)
            or value.get("object") != "list"
            or not {"data", "has_more", "url"} <= set(value)
        ):
            yield f"{where} is {value!r}, not a list object"
            return
        for entry in value["data"]:
            yield from _check(entry, parts[0], inner, f"{where}.data[]")
    elif head == "ExpandableField":
        if not isinstance(value, str):
            yield from _check(value, parts[0], inner, where)
    elif head == "Union":
        tried = [list(_check(value, part, inner, where)) for part in parts]
        if all(tried):
            yield f"{where} is {value!r}, not {ast.unparse(annotation)}"
    elif head in inner:
        if isinstance(value, dict):
            yield from _object(value, inner[head], where)
        else:
            yield f"{where} is {value!r}, not a {head}"
    elif isinstance(annotation, ast.Constant):
        kind = value.get("object") if isinstance(value, dict) else None
        if kind not in OBJECT_CLASSES or OBJECT_CLASSES[kind][1] != str(annotation.value).removesuffix("Resource"):
            yield f"{where} is {value!r}, not a {annotation.value}"
    elif head == "Decimal":
        try:
            Decimal(value if isinstance(value, str) else "none")
        except InvalidOperation:
            yield f"{where} is {value!r}, not a decimal in text"
    elif head in _PLAIN:
        if not isinstance(value, _PLAIN[head]) or (head != "bool" and isinstance(value, bool)):
            yield f"{where} is {value!r}, not {head}"
    elif head in ("UntypedStripeObject", "Dict", "Mapping"):
        if not isinstance(value, dict):
            yield f"{where} is {value!r}, not an object"
    elif head != "Any":
        yield f"{where}: this test does not know the annotation {ast.unparse(annotation)}"


def _head(annotation: ast.expr) -> str:
    return ast.unparse(annotation.value if isinstance(annotation, ast.Subscript) else annotation)


def _parts(annotation: ast.expr) -> list[ast.expr]:
    if not isinstance(annotation, ast.Subscript):
        return []
    inside = annotation.slice
    return list(inside.elts) if isinstance(inside, ast.Tuple) else [inside]


def _words(annotation: ast.expr) -> list[Any]:
    return [node.value for node in ast.walk(annotation) if isinstance(node, ast.Constant)]
