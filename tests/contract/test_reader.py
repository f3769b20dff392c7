"""What the reader accepts, and how it says what is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from holdtrue.contract.errors import UsageError
from holdtrue.contract.problems import DocumentErrors, Problem
from holdtrue.contract.reader import Loaded, read

SHOP = (Path(__file__).parent / "documents" / "shop.toml").read_text()
TODAY = date(2026, 1, 1)


class Desk:
    """Writes documents and reads them."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "holdtrue.toml"

    def read(self, text: str) -> Loaded:
        self.file.write_text(text)
        return read(self.file, today=TODAY)

    def problems(self, text: str) -> list[Problem]:
        with pytest.raises(DocumentErrors) as caught:
            self.read(text)
        return list(caught.value.problems)

    def problem(self, text: str) -> Problem:
        problems = self.problems(text)
        assert len(problems) == 1, "\n".join(map(str, problems))
        return problems[0]

    def changed(self, old: str, new: str) -> Problem:
        """The one problem of the shop's document with one change, which must be located on the changed line."""
        assert SHOP.count(old) == 1, SHOP.count(old)
        return self.problem(SHOP.replace(old, new))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def line_of(text: str) -> int:
    return SHOP[: SHOP.index(text)].count("\n") + 1


def test_a_sound_document_is_read_from_its_directory(desk: Desk) -> None:
    desk.file.write_text(SHOP)
    loaded = read(desk.file.parent, today=TODAY)
    assert loaded.document.app.name == "Plain shop"
    assert loaded.path == desk.file
    assert loaded.document.principals["member"].steps[0].as_ == "owner"  # type: ignore[union-attr]


def test_every_part_of_a_document_can_be_located(desk: Desk) -> None:
    loaded = desk.read(SHOP)
    position = loaded.locate(("principals", "member", "steps", 1, "capture", "invite"))
    assert position.line == line_of("capture = { invite")
    assert position.column == len("capture = { ") + 1
    assert position.key == "principals.member.steps[1].capture.invite"
    assert str(position) == f"{desk.file}:{position.line}:{position.column}"


def test_a_missing_document_says_how_to_write_one_that_is_read(desk: Desk) -> None:
    with pytest.raises(DocumentErrors) as caught:
        read(desk.file.parent, today=TODAY)
    problem = caught.value.problems[0]
    assert str(desk.file) in str(caught.value)
    assert "holdtrue adopt" in problem.hint
    assert desk.read(problem.hint.split("\n", 1)[1]).document.app.name == "my shop"


def test_errors_are_usage_errors(desk: Desk) -> None:
    with pytest.raises(UsageError) as caught:
        desk.read("")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[app]\nname = shop\n", 2, "quotes"),
        ("[routes.POST /orders]\n", 1, '[routes."POST /orders"]'),
        ("[app]\nGET /orders = 1\n", 2, '"GET /orders"'),
        ("[app]\nname = 'a'\n[app]\n", 3, "opened before"),
        ("[app]\nname = 'a'\nname = 'b'\n", 3, "keep one"),
        ('[app]\nname = "\\w"\n', 2, "single quotes"),
        ("[app]\nname = [1,\n", 3, ""),
    ],
)
def test_broken_toml_is_located_and_explained(desk: Desk, text: str, line: int, hint: str) -> None:
    problem = desk.problem(text)
    assert problem.position.line == line
    assert problem.message.startswith("not TOML: ")
    assert "(at" not in problem.message
    assert hint in problem.hint


def test_bytes_that_are_not_utf8_are_refused(desk: Desk) -> None:
    desk.file.write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentErrors, match="1 problem") as caught:
        read(desk.file, today=TODAY)
    assert "UTF-8" in str(caught.value)


def test_windows_line_ends_and_a_byte_order_mark_are_read(desk: Desk) -> None:
    desk.file.write_bytes(b"\xef\xbb\xbf" + SHOP.replace("\n", "\r\n").encode())
    assert read(desk.file, today=TODAY).locate(("tenancy", "tenant")).line == line_of('tenant = "shop_id"')


def test_all_problems_of_shape_are_reported_at_once_in_the_order_of_the_file(desk: Desk) -> None:
    text = (
        '[app]\nnam = "x"\n[process]\nstart = 5\nready_seconds = 0\n[principals.owner]\nper = "tenants"\n'
        '[routes."get /x"]\npublic = "y"\n[[resources.order.steps]]\nfoo = 1\n'
    )
    problems = desk.problems(text)
    assert [(problem.position.line, problem.message.split(",")[0]) for problem in problems] == [
        (2, "unknown key"),
        (4, "is 5"),
        (5, "input should be greater than 0"),
        (7, '"tenants" is not allowed'),
        (8, '"get /x" cannot stand as a key'),
        (10, "is missing"),
        (10, "this step does nothing"),
    ]
    assert problems[1].message == "is 5, but must be a text or an array"
    assert problems[1].hint == ""
    assert "did you mean `tenant`?" in problems[3].hint
    assert "allowed: tenant, app" in problems[3].hint
    assert 'such as "POST /orders"' in problems[4].hint


def test_the_printed_form_is_that_of_a_compiler(desk: Desk) -> None:
    with pytest.raises(DocumentErrors) as caught:
        desk.read('[app]\nname = "x"\n[process]\nstart = "x"\n[principals.owner]\npermission = []\n')
    assert str(caught.value) == (
        f"{desk.file}:6:1: principals.owner.permission: unknown key\n"
        "    did you mean `permissions`?\n"
        "1 problem in the contract document; nothing was started."
    )


def test_a_misspelt_key_is_taken_for_the_one_it_resembles_so_that_nothing_else_is_accused(desk: Desk) -> None:
    problem = desk.changed('permission = "orders:read"\n', 'permision = "orders:read"\n')
    assert problem.message == "unknown key"
    assert problem.position.key == 'routes."GET /orders/{order_id}".permision'


def test_references_inside_a_misspelt_key_are_checked_and_located(desk: Desk) -> None:
    text = SHOP.replace('permission = "orders:read"\n', 'permision = "orders:raed"\n')
    problems = desk.problems(text)
    assert [problem.message for problem in problems] == [
        "unknown key",
        "nobody declares the permission `orders:raed`",
    ]
    assert problems[0].position.line == problems[1].position.line


def test_a_key_of_the_top_that_stands_in_a_table_is_sent_up(desk: Desk) -> None:
    problem = desk.changed('name = "Plain shop"', 'name = "Plain shop"\naudit = { tables = ["log"] }')
    assert "belongs to the top" in problem.hint


def test_python_names_of_fields_are_not_keys(desk: Desk) -> None:
    assert "did you mean `as`?" in desk.changed('as = "owner"\njson = { email', 'as_ = "owner"\njson = { email').hint


def test_the_keys_of_a_step_are_those_of_its_kind(desk: Desk) -> None:
    problem = desk.changed('mail = "member-{tenant}@example.test"\n', 'mail = "m"\nexpect = 200\n')
    assert problem.hint.startswith("known here: capture, mail")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ('asgi = "a:b"\nstart = "x"', "exactly one of `asgi`"),
        ("", "exactly one of `asgi`"),
    ],
)
def test_rules_of_one_table_are_told_in_the_models_words(desk: Desk, new: str, words: str) -> None:
    problem = desk.changed('asgi = "shop.main:app"', new)
    assert words in problem.message
    assert problem.position.line == line_of("[process]")


def test_a_number_where_a_text_belongs_is_to_be_quoted(desk: Desk) -> None:
    problem = desk.changed('env = { DATABASE_URL = "{postgres_url}",', "env = { WORKERS = 2,")
    assert problem.message == "is 2, but must be a text"
    assert problem.hint == 'write it in quotes: "2"'


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        # Permissions, principals, routes, journeys, webhooks.
        ('permissions = ["orders:read"]', 'permissions = ["orders:raed"]', "nobody declares", "`orders:read`"),
        ('permission = "orders:write"', 'permission = "sign_in"', "nobody declares", "`signed_in`"),
        ('[resources.order]\nas = "owner"', '[resources.order]\nas = "ower"', "no principal `ower`", "`owner`"),
        ('after = "stripe.buy"', 'after = "stripe.by"', "no journey `stripe.by`", "`stripe.buy`"),
        ('signature = "stripe"', 'signature = "strip"', "no webhook `strip`", "`stripe`"),
        ('principal = "member"', 'principal = "boss"', "no principal `boss`", "owner, member, admin"),
        ('signature = "stripe"', 'public = "for Stripe"', "not guarded by it", 'signature = "stripe"'),
        ('permission = "orders:write"', 'permission = "orders:write"\nas = "member"', "does not hold", "holds it"),
        # Placeholders.
        ("/shops/{shop_id}/invites\"\nas", "/shops/{shopid}/invites\"\nas", "nothing fills `{shopid}`", "`shop_id`"),
        ('json = { token = "{invite}"', 'json = { token = "{order_id}"', "`{order_id}`", "resources.order.steps[0]"),
        ('json = { token = "{invite}"', 'json = { "{admin_token}" = "x"', "`{admin_token}`", "comes later"),
        ('note = "{canary}"', 'note = "{canry}"', "nothing fills `{canry}`", "`canary`"),
        ('sku = "x-{unique}"', 'sku = "{ x }"', "a stray `{`", "literal brace"),
        ('to = "new-{unique}@example.test"', 'to = "{who}"', "nothing fills `{who}`", "capture it"),
        ('"new-{unique}@example.test" } }', '"{who}" } }', "nothing fills `{who}`", "capture it"),
        ('"{python} -m shop.admin', '"{pyton} -m shop.admin', "`{pyton}`", "`python`"),
        ('--password {password}"', '--shop {tenant}"', "nothing fills `{tenant}`", "belongs to no tenant"),
        # Path parameters.
        ('params = { id = "{order_id}" }\n', "", "nothing fills the path parameter `{id}`", "params = { id ="),
        ('params = { id =', "params = { id = \"1\", ids =", "no parameter `ids`", "`id`"),
        # The environment of the app.
        ('KEY = "{secret:SESSION_KEY}"', 'KEY = "{secret}"', "does not name its secret", "{secret:SESSION_KEY}"),
        ('"{postgres_url}"', '"{postgres_ulr}"', "unknown placeholder `{postgres_ulr}`", "`postgres_url`"),
        ('"{postgres_url}"', '"${POSTGRES_URL}"', "as a shell would", "`postgres_url`"),
        ('"{postgres_url}"', '"${HOME:-/root}/x"', "as a shell would", "write the value itself"),
        ('seed = ["{python} -m shop.seed"', 'seed = ["{shop_id} -m shop.seed"', "unknown placeholder", "{python}"),
        # Captures.
        ("capture = { order_id =", "capture = { order_id = 'id', tenant =", "`tenant` is filled by", "another name"),
        ("'token=(\\w+)'", "'token=\\w+'", "0 groups", "write (…)"),
        ("'token=(\\w+)'", "'token=(\\w+'", "no regular expression", "single quotes"),
        ('capture = { order_id = "id" }', 'capture = { order_id = "id", x = "header:" }', "names no header", "NAME"),
        # Tenancy and the rest.
        ('tenant = "shop_id"', 'tenant = "shop"', "captures `shop`", "`shop_id`"),
        ('tenant = "shop_id"', 'tenant = "shop_id"\nglobal = { orders = "x" }', "under `tables` as well", "remove"),
        ('tenant = "shop_id"', 'tenant = "shop_id"\nheaders = { Host = "{shop_id}" }', "`{shop_id}`", "scope"),
        ("openapi =", 'tables_out_of_scope = { orders = "x" }\nopenapi =', "tenant table as well", "remove"),
        ("openapi =", 'audit = { tables = ["l"], covers = ["o"], except = { o = "x" } }\nopenapi =', "`covers`", "rem"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_together_are_named(desk: Desk, old: str, new: str, message: str, hint: str) -> None:
    problem = desk.changed(old, new)
    assert message in problem.message
    assert hint in problem.hint
    assert abs(problem.position.line - line_of(old)) <= 3


def test_somebody_who_signs_in_later_cannot_act_in_an_earlier_sign_in(desk: Desk) -> None:
    problem = desk.changed('shop = "{canary}" }', 'shop = "{canary}" }\nas = "member"')
    assert "`member` signs in after `owner`" in problem.message
    assert problem.position.key == "principals.owner.steps[0].as"


def test_a_principal_of_the_whole_app_says_whose_owner_it_means(desk: Desk) -> None:
    step = '[[principals.admin.steps]]\nrequest = "GET /me"\nas = "{who}"\n'
    at = "[resources.order]\n"
    assert "write `owner@a`" in desk.changed(at, step.replace("{who}", "owner") + at).hint
    assert "no tenant `c`" in desk.changed(at, step.replace("{who}", "owner@c") + at).message
    assert "write `admin`" in desk.changed(at, step.replace("{who}", "admin@a") + at).hint
    assert desk.read(SHOP.replace(at, step.replace("{who}", "owner@a") + at))


def test_a_principal_cannot_act_with_a_token_it_has_yet_to_get(desk: Desk) -> None:
    problem = desk.changed('shop = "{canary}" }', 'shop = "{canary}" }\nas = "owner"')
    assert "`owner` is not signed in yet: `access_token`" in problem.message


def test_the_header_of_a_principal_needs_a_value_that_stays(desk: Desk) -> None:
    problem = desk.changed(
        '[principals.owner]\npermissions = ["*"]',
        '[principals.owner]\npermissions = ["*"]\ncookies = { a = "{unique}" }',
    )
    assert "changes at every use" in problem.hint


def test_a_webhook_needs_its_route(desk: Desk) -> None:
    problem = desk.changed('route = "POST /webhooks/stripe"', 'route = "POST /webhook/stripe"')
    assert 'the route "POST /webhook/stripe" is not declared' in problem.message
    assert "did you mean `POST /webhooks/stripe`?" in problem.hint


REFRESH = """\
[refresh]
principal = "owner"
probe = "GET /orders/{order_id}"
login = [{ request = "POST /login", capture = { access_token = "a", refresh_token = "r" } }]
[refresh.step]
request = "POST /refresh"
json = { token = "{refresh_token}" }
capture = { access_token = "a", refresh_token = "r" }
"""


def test_a_refresh_is_read(desk: Desk) -> None:
    assert desk.read(SHOP + REFRESH).document.refresh is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('principal = "owner"', 'principal = "owners"', "no principal `owners`"),
        ("GET /orders", "GET /order", "is not declared"),
        (', refresh_token = "r" } }]', " } }]", "does not capture `refresh_token`"),
        ('capture = { access_token = "a", refresh_token = "r" }\n', "", "`access_token` and `refresh_token`"),
    ],
)
def test_a_refresh_that_cannot_work_is_named(desk: Desk, old: str, new: str, message: str) -> None:
    assert message in desk.problem(SHOP + REFRESH.replace(old, new)).message


def test_a_route_out_of_scope_needs_no_values_for_its_path(desk: Desk) -> None:
    assert desk.read(SHOP + '[routes."GET /legacy/{thing}"]\nout_of_scope = "goes away in May"\n')


def test_an_expired_waiver_is_not_applied_and_noted(desk: Desk) -> None:
    loaded = desk.read(SHOP)
    assert [waiver.code for waiver in loaded.document.waivers] == ["PAY010"]
    assert [note.position.line for note in loaded.notes] == [line_of("until = 2020-01-01")]
    assert "PAY009 expired on 2020-01-01" in loaded.notes[0].message


def test_a_waiver_holds_on_its_last_day(desk: Desk) -> None:
    loaded = desk.read(SHOP.replace("2020-01-01", "2026-01-01"))
    assert loaded.notes == ()


def test_what_is_empty_or_too_short_is_told_how_long_it_must_be(desk: Desk) -> None:
    empty = desk.changed('events = ["checkout.session.completed"]', "events = []")
    assert (empty.message, empty.hint) == ("is empty", "give at least one entry")
    name = desk.changed('name = "Plain shop"', 'name = " "')
    assert (name.message, name.hint) == ('is " ", which is too short', "write at least 1 character")


def test_a_waiver_of_unknown_shape_is_an_error(desk: Desk) -> None:
    text = SHOP.replace('code = "PAY009"', 'code = "9"').replace("until = 2020-01-01", 'until = "soon"')
    problems = desk.problems(text)
    assert "such as PAY009" in problems[0].hint
    assert problems[1].message == 'is "soon", but must be a date such as 2030-01-31'
