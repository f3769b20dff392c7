"""What a statement leaves behind in its session, so that a swap can replay it on another server connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from holdtrue.stage.wire.lexer import T, Token

Action = Literal[
    "set", "reset", "reset_all", "listen", "unlisten", "unlisten_all", "prepare", "deallocate", "deallocate_all",
    "discard_all", "savepoint", "rollback_to", "declare", "close", "close_all",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effect:
    """`name`: of the setting, channel, prepared statement, savepoint or cursor WITH HOLD.

    set_config takes its arguments as expressions: `name_parameter` and `local_parameter` are the numbers of the
    parameters that hold the setting's name and the is_local flag, 0 where they are literals.
    """

    action: Action
    name: str = ""
    name_parameter: int = 0
    local_parameter: int = 0


_ALIASES = {"time": "timezone", "names": "client_encoding", "schema": "search_path"}


def effect_of(found: Sequence[Token]) -> Effect | None:
    """The effect of one statement; None when it leaves nothing behind."""
    words = [_name(token) for token in found[:5]] + [""] * 5
    head = found[0].text
    match head:
        case "set":
            return _set(found)
        case "reset":
            if words[1] == "all":
                return Effect("reset_all")
            return Effect("reset", _setting(found[1:]))
        case "listen":
            return Effect("listen", words[1])
        case "unlisten":
            return Effect("unlisten_all") if words[1] == "*" else Effect("unlisten", words[1])
        case "discard":
            return _discard(words[1])
        case "prepare" if words[1] != "transaction":
            return Effect("prepare", words[1])
        case "deallocate":
            name = words[2] if words[1] == "prepare" else words[1]
            return Effect("deallocate_all") if name == "all" else Effect("deallocate", name)
        case "declare":
            return Effect("declare", words[1]) if _is_held(found) else None
        case "close":
            return Effect("close_all") if words[1] == "all" else Effect("close", words[1])
        case "savepoint":
            return Effect("savepoint", words[1])
        case "rollback":
            return _rollback_to(words)
        case _:
            return _set_config(found)


def _name(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.kind is T.QUOTED else token.text


def _discard(what: str) -> Effect | None:
    # DISCARD PLANS, SEQUENCES and TEMP drop what a swap drops anyway.
    return Effect("discard_all") if what == "all" else None


def _is_held(found: Sequence[Token]) -> bool:
    """Whether a DECLARE says WITH HOLD, before the FOR of its query."""
    texts = [token.text for token in found]
    return ("with", "hold") in pairwise(texts[: texts.index("for")] if "for" in texts else texts)


def _rollback_to(words: Sequence[str]) -> Effect | None:
    rest = [word for word in words[1:] if word not in ("work", "transaction", "savepoint")]
    return Effect("rollback_to", rest[1]) if rest[:1] == ["to"] else None


def _setting(found: Sequence[Token]) -> str:
    if len(found) > 1 and found[0].text == "session" and found[1].text in ("authorization", "characteristics"):
        return f"session {found[1].text}"
    if found and found[0].text in _ALIASES:
        return _ALIASES[found[0].text]
    name = ""
    for token in found:
        if token.text in ("to", "="):
            break
        name += _name(token).lower()
        if token.text in ("role",):
            break
    return name


def _set(found: Sequence[Token]) -> Effect | None:
    rest = found[1:]
    if (
        rest
        and rest[0].text == "session"
        and len(rest) > 1
        and rest[1].text not in ("authorization", "characteristics")
    ):
        rest = rest[1:]
    # SET LOCAL, SET TRANSACTION and SET CONSTRAINTS end with the transaction.
    if not rest or rest[0].text in ("local", "transaction", "constraints"):
        return None
    return Effect("set", _setting(rest))


def _set_config(found: Sequence[Token]) -> Effect | None:
    start = next((i + 2 for i, token in enumerate(found) if token.text == "set_config"), 0)
    if not start or start > len(found) or found[start - 1].text != "(":
        return None
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in found[start:]:
        if token.text == ")" and depth == 0:
            break
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if token.text == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    if len(arguments) != 3 or not arguments[0] or not arguments[2]:
        return None
    name, local = arguments[0][0], arguments[2][0]
    if local.text == "true":
        return None
    return Effect(
        "set",
        name.text.strip("'").lower() if name.kind is T.STRING else " ".join(token.text for token in found),
        name_parameter=int(name.text[1:]) if name.kind is T.PARAMETER else 0,
        local_parameter=int(local.text[1:]) if local.kind is T.PARAMETER else 0,
    )
