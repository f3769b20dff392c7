"""Where each key of a TOML text stands."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.contract.positions import Positions
from holdtrue.contract.problems import Pointer, key_text

FILE = Path("x.toml")


def place(text: str, *pointer: str | int) -> tuple[int, int]:
    tomllib.loads(text)
    position = Positions(FILE, text).locate(pointer)
    return position.line, position.column


def test_a_plain_key_is_found() -> None:
    assert place("a = 1\n\n  b = 2\n", "b") == (3, 3)


def test_keys_of_tables_and_dotted_keys_are_found() -> None:
    text = '[a."b c".d]\ne.f = 1\n"g.h" = 2\n\'i\'.j = 3\n'
    assert place(text, "a", "b c", "d", "e", "f") == (2, 3)
    assert place(text, "a", "b c", "d", "g.h") == (3, 1)
    assert place(text, "a", "b c", "d", "i", "j") == (4, 5)
    assert place(text, "a", "b c") == (1, 1)


def test_spaces_around_dots_and_escapes_in_keys_are_read() -> None:
    text = '[ a . "b\\u0020c" ]\n d . e = 1\n'
    assert place(text, "a", "b c", "d", "e") == (2, 6)


def test_elements_of_arrays_of_tables_are_told_apart() -> None:
    text = "[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[a.b.d]\ne = 3\n[[a.b.f]]\n[[a.b.f]]\ng = 4\n[[a.b]]\n[[a.b.f]]\nh = 5\n"
    assert place(text, "a", "b", 0, "c") == (2, 1)
    assert place(text, "a", "b", 1, "c") == (4, 1)
    assert place(text, "a", "b", 1, "d", "e") == (6, 1)
    assert place(text, "a", "b", 1, "f", 1, "g") == (9, 1)
    assert place(text, "a", "b", 2, "f", 0, "h") == (12, 1)


def test_arrays_over_several_lines_with_comments_are_read() -> None:
    text = 'a = [ # one ] two\n  1,\n  [2, 3],\n  # 4,\n  {b = "]", c = [{d = 1}]},\n]\ne = 5\n'
    assert place(text, "a", 0) == (2, 3)
    assert place(text, "a", 1, 1) == (3, 7)
    assert place(text, "a", 2, "c", 0, "d") == (5, 19)
    assert place(text, "e") == (7, 1)


@pytest.mark.parametrize(
    "value",
    [
        '"""\n[x]\ny = "1"\n\\"""z"""""',
        "'''\n[x]\ny = 1 ''''",
        '""""""',
        "''''''",
        '"a \\" # = b"',
        "'\\'",
        "2030-01-31 10:00:00Z # now",
        "-1.5e3",
        "[]",
        "{}",
        "[[], [''']''']]",
        "0x1F",
        "+inf",
    ],
)
def test_any_value_is_stepped_over(value: str) -> None:
    text = f"a = {value}\nb = 2\n"
    assert place(text, "b") == (text.count("\n"), 1)


def test_a_table_is_found_at_its_own_header_even_when_a_subtable_came_first() -> None:
    assert place("[a.b]\nx = 1\n[a]\ny = 2\n", "a") == (3, 1)


def test_what_is_absent_is_located_at_the_nearest_table_around_it() -> None:
    text = "[a.b]\nc = 1\n"
    position = Positions(FILE, text).locate(("a", "b", "missing", 3))
    assert (position.line, position.key) == (1, "a.b.missing[3]")
    assert place("", "a") == (1, 1)


def test_keys_are_written_as_toml_writes_them() -> None:
    assert key_text(("routes", "POST /x", "json", "a", 0, "b")) == 'routes."POST /x".json.a[0].b'


def test_a_renamed_key_stands_where_the_old_one_stands() -> None:
    positions = Positions(FILE, "a = 1\n[ba]\nc = 2\n")
    positions.rename(("ba",), ("b",))
    assert positions.locate(("b", "c")).line == 3


values = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(alphabet="ab\"'#[]{}=,.\n\\é", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet="a.\"' #]", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(alphabet="ab.\"' =", min_size=1, max_size=3), values, max_size=4))
def test_every_key_that_tomllib_reads_has_a_place(document: dict[str, Any]) -> None:
    text = tomlkit.dumps(document)
    scanned = Positions(FILE, text)
    for pointer in pointers(tomllib.loads(text)):
        assert pointer in scanned._offsets, (pointer, text)


def pointers(value: Any, above: Pointer = ()) -> list[Pointer]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in [(*above, key), *pointers(item, (*above, key))]]
