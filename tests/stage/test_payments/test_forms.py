"""The decoding of parameters, as the SDKs encode them."""

from typing import Any

import pytest
from stripe._encode import _api_encode

from holdtrue.stage.payments.errors import StripeError
from holdtrue.stage.payments.forms import decode


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("metadata[order id]=7%205", {"metadata": {"order id": "7 5"}}),
        ("a[b][0][c]=1&a[b][0][d]=2&a[b][1][c]=3", {"a": {"b": [{"c": "1", "d": "2"}, {"c": "3"}]}}),
        ("expand[]=x&expand[]=y", {"expand": ["x", "y"]}),
        ("expand[1]=y&expand[0]=x&expand[10]=z", {"expand": ["x", "y", "z"]}),
        (
            "items[][price]=p&items[][quantity]=2&items[][price]=q",
            {"items": [{"price": "p", "quantity": "2"}, {"price": "q"}]},
        ),
        ("created[gte]=5", {"created": {"gte": "5"}}),
    ],
)
def test_nested_names_become_nested_values(encoded: str, decoded: dict[str, Any]) -> None:
    assert decode(encoded) == decoded


def test_what_the_sdk_encodes_comes_back() -> None:
    params = {"line_items": [{"price_data": {"unit_amount": 5, "product_data": {"name": "Ä&="}}}], "flag": True}
    encoded = "&".join(
        f"{name}={str(value).replace('&', '%26').replace('=', '%3D')}" for name, value in _api_encode(params)
    )
    assert decode(encoded) == {
        "line_items": [{"price_data": {"unit_amount": "5", "product_data": {"name": "Ä&="}}}],
        "flag": "true",
    }


@pytest.mark.parametrize("encoded", ["a=1&a[b]=2", "a[b]=2&a=1", "a[b=1", "[a]=1"])
def test_a_name_that_is_both_value_and_container_or_malformed_is_refused(encoded: str) -> None:
    with pytest.raises(StripeError) as caught:
        decode(encoded)
    assert caught.value.status == 400
