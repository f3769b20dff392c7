"""Equal values have equal digests, as RFC 8785 says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.contract.errors import UsageError
from holdtrue.gate.canonical import canonical, digest, loads, same


@pytest.mark.parametrize(
    ("number", "written"),
    [
        # RFC 8785, appendix B
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.33333329, "333333333.3333333"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (0.000012, "0.000012"),
        (60.0, "60"),
        (-7, "-7"),
    ],
)
def test_a_number_is_written_as_ecmascript_does(number: float, written: str) -> None:
    assert canonical(number) == written.encode()


def test_members_are_sorted_by_their_utf16_code_units() -> None:
    # RFC 8785, section 3.2.3
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    assert [*json.loads(canonical(value))] == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


def test_texts_have_no_escapes_but_those_that_json_demands() -> None:
    assert canonical('€$\x0f\nA\'B"\\\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800"])
def test_what_a_reader_could_take_for_something_else_has_no_digest(value: Any) -> None:
    with pytest.raises(UsageError):
        digest({"value": [value]})


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "NaN", "{", '{"a": {"b": 1, "b": 1}}'])
def test_ambiguous_json_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_json)
def test_what_was_written_reads_back_as_the_same(value: Any) -> None:
    assert loads(canonical(value)) == value
    assert same(digest(value), digest(loads(canonical(value))))
