"""The survey of a FastAPI app shows every route it answers, what guards it, and where it is written."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest
import pytest_asyncio

from holdtrue.stage.survey import Interpreter, Route, Routing, SurveyError, survey_fastapi

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "APP_SETTING": "given"}

SHOP = """
import functools, os, sys, threading
from fastapi import APIRouter, Body, Depends, FastAPI, Security, WebSocket
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer, SecurityScopes
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route, Router

assert os.environ["APP_SETTING"] == "given"
print("noise on stdout")
threading.Thread(target=threading.Event().wait).start()  # never ends

oauth2 = OAuth2PasswordBearer("token", scopes={"orders:read": "", "orders:refund": ""})

def database(): yield
def user(scopes: SecurityScopes, token: str = Depends(oauth2), db=Depends(database)): ...
def tenant(shop: str): ...
def needs(permission, secret_word="x"):
    def check(): return permission, secret_word
    return check
class Limit:
    def __init__(self, per_minute): self.per_minute = per_minute
    def __call__(self): ...
def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs): return function(*args, **kwargs)
    return wrapper

class Refund(BaseModel):
    amount: int
    reason: str = ""

orders = APIRouter(prefix="/orders", dependencies=[Depends(database)])

@orders.get("/{order_id}")
@logged
def show_order(order_id: int, who=Security(user, scopes=["orders:read"])): ...

@orders.post("/{order_id}/refund", name="refund", dependencies=[Depends(needs("orders:refund")), Depends(Limit(5))])
async def refund_order(order_id: int, refund: Refund, who=Security(user, scopes=["orders:refund"])): ...

@orders.post("/internal/repair", include_in_schema=False)
def repair(refund: Refund, dry: bool, key: str = Depends(APIKeyHeader(name="X-Key"))): ...

@orders.websocket("/{order_id}/live")
async def live(socket: WebSocket, order_id: int, who=Depends(user)): ...

orders.add_route("/export", lambda request: None, methods=["DELETE"], name="export")

class Report(HTTPEndpoint):
    async def get(self, request): ...
    async def post(self, request): ...

class Anything:
    async def __call__(self, scope, receive, send): ...

shops = APIRouter(prefix="/shops/{shop}", dependencies=[Depends(tenant)])
shops.mount("/files", StaticFiles(directory=os.path.dirname(__file__)))
shops.include_router(orders, include_in_schema=True)

partner = FastAPI(title="partner")

@partner.put("/stock/{sku:path}")
def stock(sku: str, amount: int = Body(embed=True)): ...

app = FastAPI(title="shop")
app.add_middleware(CORSMiddleware, allow_origins=["*"])
app.include_router(shops, prefix="/v1")
app.include_router(orders, prefix="/hidden", include_in_schema=False)
app.add_route("/plain", lambda request: PlainTextResponse("x"), name="plain")
app.mount("/partner/{shop}", partner)
app.mount("/static", StaticFiles(directory=os.path.dirname(__file__)))
app.frontend("/ui", directory=os.path.dirname(__file__))
app.mount("/old", Router([Route("/report", Report), Route("/asgi", Anything())]))
app.router.routes.append(Host("admin.example", Router([Route("/", lambda request: None)])))

class Wrapper:
    def __init__(self, app): self.app = app
    async def __call__(self, scope, receive, send): await self.app(scope, receive, send)

class Slotted:
    __slots__ = ("before", "inner")
    def __init__(self, inner):
        self.before, self.inner = Limit(1), inner
    async def __call__(self, scope, receive, send): await self.inner(scope, receive, send)

wrapped = Slotted(Wrapper(app))
def create_app(): return wrapped
"""


def interpreter(directory: Path, python: str = sys.executable) -> Interpreter:
    return Interpreter(python=python, directory=directory, env=ENVIRONMENT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Routing]:
    directory = tmp_path_factory.mktemp("shop")
    (directory / "web").mkdir()
    (directory / "web" / "__init__.py").write_text("")
    (directory / "web" / "main.py").write_text(SHOP)
    yield await survey_fastapi("web.main:create_app", interpreter(directory))


def route(shop: Routing, method: str, path: str) -> Route:
    (found,) = (each for each in shop.routes if each.path == path and method in each.methods)
    return found


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SHOP.splitlines(), 1) if line.startswith(text))


async def test_routes_of_nested_routers_carry_all_prefixes_and_where_they_are_written(shop: Routing) -> None:
    show = route(shop, "GET", "/v1/shops/{shop}/orders/{order_id}")
    assert (show.name, show.path_params, show.in_openapi) == ("show_order", ("shop", "order_id"), True)
    assert show.endpoint is not None
    assert (str(show.endpoint), show.endpoint.file) == ("web.main:show_order", "web/main.py")
    assert show.endpoint.line == line_of('@orders.get("/{order_id}")')


async def test_dependencies_of_router_and_route_are_one_tree(shop: Routing) -> None:
    show = route(shop, "GET", "/v1/shops/{shop}/orders/{order_id}")
    assert [str(each.call) for each in show.dependencies] == [
        "web.main:tenant",
        "web.main:database",
        "web.main:user",
    ]
    assert [str(each.call) for each in show.dependencies[2].dependencies] == [
        "fastapi.security.oauth2:OAuth2PasswordBearer",
        "web.main:database",
    ]
    assert show.dependencies[0].parameters == ("shop",)
    assert len(show.dependency_calls()) == 4


async def test_security_scopes_and_what_a_dependency_was_made_with_are_told(shop: Routing) -> None:
    refund = route(shop, "POST", "/v1/shops/{shop}/orders/{order_id}/refund")
    ((need,),) = refund.security
    assert (need.scheme, need.kind, need.scopes) == ("OAuth2PasswordBearer", "OAuth2PasswordBearer", ("orders:refund",))
    made = {each.call.qualname: each.arguments for each in refund.dependencies}
    assert made["needs.<locals>.check"] == {"permission": "orders:refund"}
    assert made["Limit"] == {"per_minute": 5}


async def test_hidden_routes_are_found_with_their_parameters_and_body(shop: Routing) -> None:
    repair = route(shop, "POST", "/v1/shops/{shop}/orders/internal/repair")
    assert not repair.in_openapi
    assert {p.name: (p.location, p.required) for p in repair.parameters} == {
        "shop": ("path", True),
        "dry": ("query", True),
    }
    assert repair.body is not None
    assert set(repair.body.schema["properties"]) == {"amount", "reason"}
    assert repair.security[0][0].kind == "APIKeyHeader"
    assert not route(shop, "GET", "/hidden/orders/{order_id}").in_openapi


async def test_mounted_apps_hosts_and_plain_starlette_routes_are_part_of_the_table(shop: Routing) -> None:
    stock = route(shop, "PUT", "/partner/{shop}/stock/{sku}")
    assert (stock.path_params, stock.in_openapi) == (("shop", "sku"), True)
    assert stock.body is not None
    plain = route(shop, "GET", "/plain")
    assert (plain.name, plain.methods, plain.in_openapi) == ("plain", ("GET", "HEAD"), False)
    # FastAPI gives what is no API route the prefixes of the includes, but not that of its own router.
    assert route(shop, "DELETE", "/v1/shops/{shop}/export").name == "export"
    assert route(shop, "POST", "/old/report").methods == ("GET", "POST")
    assert str(route(shop, "*", "/old/asgi").endpoint) == "web.main:Anything"
    assert [each.path for each in shop.routes if each.host == "admin.example"] == ["/"]
    assert [(each.path, each.app.qualname) for each in shop.mounts] == [
        ("/v1/files", "StaticFiles"),
        ("/static", "StaticFiles"),
        ("/ui", "_FrontendStaticFiles"),
    ]


async def test_websockets_are_listed_apart_with_what_guards_them(shop: Routing) -> None:
    live = {each.path: each for each in shop.websockets}["/v1/shops/{shop}/orders/{order_id}/live"]
    assert str(live.endpoint) == "web.main:live"
    assert "web.main:user" in [str(each.call) for each in live.dependencies]
    assert live.security[0][0].kind == "OAuth2PasswordBearer"
    assert live.path_params == ("shop", "order_id")


async def test_middleware_is_listed_from_the_outside_in(shop: Routing) -> None:
    assert [each.qualname for each in shop.middleware] == ["Slotted", "Wrapper", "CORSMiddleware"]
    assert (shop.framework, shop.openapi_url, shop.problems) == ("fastapi", "/openapi.json", ())
    assert shop.versions["fastapi"] is not None


async def test_an_app_whose_own_document_fails_is_surveyed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        dedent(
            """
            from fastapi import FastAPI
            app = FastAPI()
            @app.get("/a")
            def a(): ...
            @app.get("/b", include_in_schema=False)
            def b(): ...
            def broken(): raise LookupError("no document")
            app.openapi = broken
            """
        )
    )
    routing = await survey_fastapi("main:app", interpreter(tmp_path))
    assert {each.path: each.in_openapi for each in routing.routes if len(each.path) == 2} == {"/a": True, "/b": False}
    assert [str(each) for each in routing.problems] == ["LookupError: no document"]


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("import stripes", "main:app", r"(?s)ModuleNotFoundError: No module named 'stripes'.*main.py\", line 1"),
        ("raise SystemExit('SETTING missing')", "main:app", "SystemExit: SETTING missing"),
        ("", "main:app", "module 'main' has no attribute 'app'"),
        ("app = 3", "main:app", "neither it nor what it wraps has a route table"),
        (
            "import os, sys; sys.stderr.write('bye'); sys.stderr.flush(); os._exit(7)",
            "main:app",
            "(?s)exit code 7.*bye",
        ),
    ],
    ids=["missing module", "exit", "no such attribute", "no app", "dead"],
)
async def test_an_app_that_cannot_be_read_says_why(tmp_path: Path, source: str, target: str, told: str) -> None:
    (tmp_path / "main.py").write_text(source)
    with pytest.raises(SurveyError, match=told):
        await survey_fastapi(target, interpreter(tmp_path))


async def test_an_app_that_hangs_on_import_shows_where(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import threading\n\ndef connect():\n    threading.Event().wait()\n\nconnect()\n")
    with pytest.raises(SurveyError, match=r'(?s)no answer within 8 s.*main.py", line 4 in connect'):
        await survey_fastapi("main:app", interpreter(tmp_path), patience=8)


async def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"(?s)no/such/python.*\[process\] python"):
        await survey_fastapi("main:app", interpreter(tmp_path, python="/no/such/python"))
