"""Placeholders in texts."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from holdtrue.contract.template import TemplateError, json_names, names, render, render_json


def test_placeholders_are_filled() -> None:
    assert render("/shops/{shop_id}/orders/{order_id}", {"shop_id": "s1", "order_id": 7}) == "/shops/s1/orders/7"


def test_doubled_braces_are_literal() -> None:
    assert render('{{"key": "{value}"}}', {"value": "x"}) == '{"key": "x"}'
    assert render("{{{a}}}", {"a": "x"}) == "{x}"
    assert names("{{a}} and {b}") == ("b",)


def test_only_the_filled_value_is_quoted() -> None:
    assert render("/files/{name}", {"name": "a b/c"}, quote=lambda text: quote(text, safe="")) == "/files/a%20b%2Fc"


def test_a_secret_is_looked_up_as_a_whole() -> None:
    assert names("{secret:SESSION_KEY}{secret:SESSION_KEY}{port}") == ("secret:SESSION_KEY", "port")
    assert render("{secret:A}", {"secret:A": "x", "secret": "wrong"}) == "x"
    with pytest.raises(TemplateError):
        render("{secret:A}", {"secret": "wrong"})


def test_the_convertor_of_a_path_parameter_is_left_out() -> None:
    assert names("/files/{path:path}/{id:int}") == ("path", "id")
    assert render("/orders/{id:int}", {"id": 7}) == "/orders/7"
    assert render_json("{id:int}", {"id": 7}) == 7


def test_an_unknown_name_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(TemplateError) as caught:
        render("Bearer {acess_token}", {"access_token": "t", "shop_id": "s"})
    assert "`{acess_token}`" in str(caught.value)
    assert "did you mean `access_token`?" in str(caught.value)
    assert "{shop_id}" in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_values_of_variables_are_never_in_an_error() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{tokn}", {"token": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "}", '{"a": 1}', "{a b}", "{1}", "x } y"])
def test_a_stray_brace_is_an_error_that_says_how_to_write_it(text: str) -> None:
    with pytest.raises(TemplateError, match="stray") as caught:
        render(text, {"a": "x"})
    assert "for a literal brace" in str(caught.value)


def test_a_string_that_is_one_placeholder_keeps_the_type_of_its_variable() -> None:
    body = {"id": "{id}", "ids": ["{id}", "no. {id}"], "{key}": None, "paid": True, "n": 1.5}
    assert render_json(body, {"id": 7, "key": "k"}) == {
        "id": 7,
        "ids": [7, "no. 7"],
        "k": None,
        "paid": True,
        "n": 1.5,
    }


def test_a_variable_that_is_no_text_is_written_as_json_writes_it() -> None:
    assert render("{a} {b} {c}", {"a": True, "b": None, "c": ["é"]}) == 'true null ["é"]'


def test_the_names_of_a_json_value_are_found_in_keys_and_values() -> None:
    assert json_names({"{a}": [{"x": "{b}-{a}"}, 1, None], "y": "{c}"}) == ("a", "b", "c")
