"""Where each key of a TOML text stands, and each value of a derived document.

tomllib gives values without positions, and so does tomlkit. This scanner gives positions without values: it only runs
on a text that tomllib has accepted, so it need not find errors, only keys (TOML 1.0, https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdtrue.contract.problems import Pointer, Position, key_text

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Positions:
    """The places of all keys and array elements of one text."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._offsets = _Scanner(text).scan() if text else {}
        self.elsewhere: dict[Pointer, Position] = {}
        """What stands in another file, with all below it."""

    @classmethod
    def derived(cls, file: Path, values: Mapping[str, Any], root: Pointer) -> Positions:
        """The places in a file that is ``values`` as JSON, one on a line; pointers begin below ``root``."""
        positions = cls(file, "")
        text = json.dumps(values, indent=2, ensure_ascii=False)
        positions._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        for pointer, line in _lines(values):
            if pointer[: len(root)] == root:
                # Two spaces for each bracket around it.
                positions._offsets[pointer[len(root) :]] = positions._line_starts[line] + 2 * len(pointer)
        return positions

    def locate(self, pointer: Pointer) -> Position:
        """Return where the value of ``pointer`` stands, or the nearest table around it when it is absent."""
        around = [pointer[:end] for end in range(len(pointer), 0, -1)]
        if away := next((self.elsewhere[each] for each in around if each in self.elsewhere), None):
            return replace(away, key=key_text(pointer))
        known = next((each for each in around if each in self._offsets), ())
        offset = self._offsets.get(known, 0)
        line = bisect_right(self._line_starts, offset)
        column = offset - self._line_starts[line - 1] + 1
        return Position(file=self.file, line=line, column=column, key=key_text(pointer))

    def rename(self, old: Pointer, new: Pointer) -> None:
        """Let ``new`` and all below it stand where ``old`` stands."""
        for pointer, offset in list(self._offsets.items()):
            if pointer[: len(old)] == old:
                self._offsets[new + pointer[len(old) :]] = offset


def _lines(values: Any) -> Iterator[tuple[Pointer, int]]:
    """Each value's pointer and line, counted from 0, as ``json.dumps(…, indent=2)`` lays them out."""
    count = itertools.count()

    def walk(value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, int]]:
        yield pointer, next(count)
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in inside:
            yield from walk(each, (*pointer, key))
        if inside and value:
            next(count)  # the closing bracket

    return walk(values, ())


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._offsets: dict[Pointer, int] = {}
        self._table: Pointer = ()
        self._lengths: dict[Pointer, int] = {}
        """How many tables each array of tables has so far."""

    def scan(self) -> dict[Pointer, int]:
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._header()
            else:
                self._pair(self._table)
            self._skip(_BLANK)
        return self._offsets

    def _header(self) -> None:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        keys = self._dotted_key()
        self._at += 2 if is_array else 1
        table: Pointer = ()
        for index, (key, _) in enumerate(keys):
            table = (*table, key)
            self._offsets.setdefault(table, start)
            if is_array and index == len(keys) - 1:
                self._lengths[table] = self._lengths.get(table, 0) + 1
            if table in self._lengths:
                table = (*table, self._lengths[table] - 1)
                self._offsets.setdefault(table, start)
        # A table may be opened by a dotted header before its own one, which then is the better place.
        self._offsets[table] = start
        self._table = table

    def _pair(self, table: Pointer) -> None:
        for key, start in self._dotted_key():
            table = (*table, key)
            self._offsets.setdefault(table, start)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(table)

    def _dotted_key(self) -> list[tuple[str, int]]:
        keys: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            start = self._at
            keys.append((self._key(), start))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _key(self) -> str:
        if bare := _BARE.match(self._text, self._at):
            self._at = bare.end()
            return bare[0]
        quoted = self._skip(_STRING)
        return next(iter(tomllib.loads(f"{quoted} = 0")))

    def _value(self, pointer: Pointer) -> None:
        match self._text[self._at]:
            case "[":
                self._array(pointer)
            case "{":
                self._inline_table(pointer)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _array(self, pointer: Pointer) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._offsets[(*pointer, index)] = self._at
            self._value((*pointer, index))
            index += 1

    def _inline_table(self, pointer: Pointer) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(pointer)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            line = self._text.count("\n", 0, self._at) + 1
            raise AssertionError(f"tomllib accepted what the position scanner cannot read, at line {line}")
        self._at = match.end()
        return match[0]
