"""Which methods are tried on which paths and with what body, and how a request may name a tenant."""

from typing import Any

import pytest

from holdtrue.contract.document import Document
from holdtrue.guarantees.auth.auth004_method_left_open import Attempt, attempts, paths
from holdtrue.guarantees.tenancy.ten043_tenant_taken_from_the_request import Said
from holdtrue.stage.steps import Rendered


def document(routes: dict[str, Any]) -> Document:
    return Document.model_validate({"app": {"name": "x"}, "process": {"asgi": "x:app"}, "routes": routes})


SHOP = document(
    {
        "GET /health": {"public": "probe"},
        "GET /orders": {"permission": "read"},
        "POST /orders": {"permission": "write", "json": {"item": 1}},
        "GET /orders/{order_id}": {"permission": "read", "before": [{"request": "POST /orders"}]},
        "DELETE /orders/{id}": {"permission": "write", "params": {"id": "{order_id}"}},
        "PUT /notes/{id}": {"permission": "write", "json": {"text": "new"}},
        "GET /notes/{id}": {"public": "anybody reads them"},
    }
)


def test_a_path_is_known_by_its_form_and_lists_the_methods_nobody_declared() -> None:
    by_text = {path.text: path for path in paths(SHOP)}
    assert by_text["/orders"].missing == ("HEAD", "PUT", "PATCH", "DELETE")
    assert by_text["/orders/{id}"].keys == ("DELETE /orders/{id}", "GET /orders/{order_id}")
    assert by_text["/orders/{id}"].missing == ("HEAD", "POST", "PUT", "PATCH")
    assert "/health" not in by_text


@pytest.mark.parametrize(
    ("text", "method", "sent"),
    [
        ("/orders", "PATCH", Attempt(key="POST /orders", json={"item": 1})),
        ("/orders", "DELETE", Attempt(key="GET /orders")),
        ("/orders/{id}", "PUT", Attempt(key="DELETE /orders/{id}", json={"item": 1})),
        ("/notes/{id}", "PATCH", Attempt(key="PUT /notes/{id}", json={"text": "new"})),
    ],
)
def test_a_method_that_changes_is_sent_with_the_body_of_its_neighbours(text: str, method: str, sent: Attempt) -> None:
    path = next(path for path in paths(SHOP) if path.text == text)
    assert attempts(SHOP, path, method) == [sent]


REQUEST = Rendered(
    method="POST",
    path="/orders",
    headers={"Authorization": "Bearer b", "host": "b.test"},
    query={"page": "2"},
    json_body={"shop_id": "b", "account_id": "mine"},
    form=None,
)


def test_a_hint_replaces_the_apps_own_name_of_a_tenant_and_leaves_other_fields() -> None:
    said = Said(fields={"shop_id": "a", "account_id": "a", "tenant_id": "a"}).on(REQUEST, frozenset({"shop_id"}))
    assert said.json_body == {"shop_id": "a", "account_id": "mine", "tenant_id": "a"}


def test_a_header_replaces_one_of_another_case() -> None:
    said = Said(headers={"Host": "a.test"}, query={"tenant": "a", "page": "1"}).on(REQUEST, frozenset())
    assert dict(said.headers) == {"Authorization": "Bearer b", "Host": "a.test"}
    assert dict(said.query) == {"page": "2", "tenant": "a"}
    assert said.json_body == REQUEST.json_body


def test_a_hint_by_itself_names_its_kind() -> None:
    singles = Said(headers={"X-Shop-ID": "a"}, fields={"shop_id": "a"}).singles()
    assert [single.names for single in singles] == ["header X-Shop-ID", "field shop_id"]
