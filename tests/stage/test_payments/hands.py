"""The hands that run the table: the official Python SDK in this process, the official Node SDK in another."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import stripe

from holdtrue.stage.payments import StripeDouble

from .calls import Step

Outcome = dict[str, Any]
"""`{"value": …}` or `{"error": {type, status, code, param, decline_code, message}}`."""


class Hand(Protocol):
    async def call(self, step: Step, args: list[Any], options: dict[str, Any]) -> Outcome: ...


class PythonHand:
    """The SDK's client style."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def call(self, step: Step, args: list[Any], options: dict[str, Any]) -> Outcome:
        method: Any = self._client.v1
        for part in step.call.split("."):
            method = getattr(method, part)
        arguments = args if args and isinstance(args[-1], dict) else [*args, {}]
        try:
            answer = await asyncio.to_thread(method, *arguments, options)
        except stripe.StripeError as error:
            told = error.error
            return {
                "error": {
                    "type": type(error).__name__,
                    "status": error.http_status,
                    "code": error.code if told is None else getattr(told, "code", None),
                    "param": None if told is None else getattr(told, "param", None),
                    "decline_code": None if told is None else getattr(told, "decline_code", None),
                    "message": error.user_message,
                }
            }
        return {"value": plain(answer.to_dict())}


class NodeHand:
    """`driver.mjs`, which reads a call a line and writes an outcome a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def call(self, step: Step, args: list[Any], options: dict[str, Any]) -> Outcome:
        path = step.node or camel(step.call)
        wanted = {"call": path, "args": args, "options": {camel(name): value for name, value in options.items()}}
        self._in.write(json.dumps(wanted).encode() + b"\n")
        await self._in.drain()
        line = await self._out.readline()
        assert line, f"the Node SDK ended at {path}"
        return dict(json.loads(line))


def camel(path: str) -> str:
    """`payment_intents.create` as Node writes it; `delete` is `del` there."""
    parts = [part.split("_") for part in path.split(".")]
    words = [first + "".join(word.capitalize() for word in rest) for first, *rest in parts]
    return ".".join("del" if word == "delete" else word for word in words)


def plain(value: Any) -> Any:
    """What both languages can say: decimals as text."""
    if isinstance(value, Mapping):
        return {name: plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return str(value) if isinstance(value, Decimal) else value


def resolve(value: Any, known: Mapping[str, Any]) -> Any:
    """Fill in `$name.path`."""
    if isinstance(value, dict):
        return {name: resolve(child, known) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(child, known) for child in value]
    if isinstance(value, str) and value.startswith("$"):
        name, _, path = value[1:].partition(".")
        return at(known[name], path) if path else known[name]
    return value


def at(value: Any, path: str) -> Any:
    """The value at `a.0.b`."""
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value.get(part)
    return value


async def run(table: tuple[Step, ...], double: StripeDouble, hand: Hand) -> list[tuple[str, Any]]:
    """The table, step by step, every expectation held; answers what was seen."""
    known: dict[str, Any] = {}
    seen: list[tuple[str, Any]] = []
    for number, step in enumerate(table):
        where = f"{number}: {step.call or step.act}{step.args}"
        args = resolve(step.args, known)
        if step.act:
            target: Any = double
            for part in step.act.split("."):
                target = getattr(target, part)
            happened = target(*args, **resolve(step.more, known)) or []
            seen.append((where, [(event.type, event.id) for event in happened]))
            continue
        outcome = await hand.call(step, args, resolve(step.options, known))
        told = outcome.get("value") if "value" in outcome else outcome["error"]
        for path, wanted in step.expect.items():
            assert at(told, path.rstrip(".")) == resolve(wanted, known), (where, path, told)
        if not step.expect:
            assert "value" in outcome, (where, told)
        if step.name:
            known[step.name] = told
        seen.append((where, outcome))
    return seen
