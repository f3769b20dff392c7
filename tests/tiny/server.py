"""Notes of teams: sound as it stands. The environment's TRICK lets it misbehave in one way."""

from __future__ import annotations

import base64
import collections
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

TRICK = os.environ.get("TRICK", "")
if TRICK == "import error":
    os.write(2, b"\x1b[2Jgood morning\n")
    import a_package_that_nobody_installed  # noqa: F401
if TRICK == "hanging at start":
    signal.pause()

import answering  # noqa: E402
import psycopg  # noqa: E402

DATABASE = os.environ["DATABASE_URL"]
SECRET = os.environ["SECRET_KEY"]
Answer = tuple[int, Any]


class Handler(answering.Handler):
    """Routes by method and path."""

    def handle_request(self) -> None:
        """Answer one request."""
        body = json.loads(self.sent() or b"{}")
        if self.path == "/health":
            self.answer(200, {})
            return
        trick = TRICKS.get(TRICK)
        if trick is not None and trick(self):
            return
        with psycopg.connect(DATABASE) as db:
            status, content = self.route(db, f"{self.command} {self.path}", body)
        self.answer(status, content)

    def route(self, db: psycopg.Connection, key: str, body: Any) -> Answer:
        """Do what is asked."""
        if key == "GET /openapi.json":
            return 200, json.loads(Path(__file__).with_name("openapi.json").read_text())
        if key == "POST /teams":
            team = one(db, "INSERT INTO teams (name) VALUES (%s) RETURNING id", body["name"])[0]
            return 201, {"team_id": team, "token": enter(db, team, "owner")}
        member = one(db, "SELECT team_id, role FROM members WHERE token = %s", self.headers.get("authorization", ""))
        if member is None:
            return 401, {"error": "sign in"}
        team, role = member
        if key == "GET /notes":
            rows = db.execute("SELECT id, text FROM notes WHERE team_id = %s", [team]).fetchall()
            return 200, {"items": rows}
        if key not in ("POST /members", "POST /notes"):
            return 404, {"error": "no such page"}
        if role != "owner":
            return 403, {"error": "owners only"}
        if key == "POST /members":
            return 201, {"token": enter(db, team, "reader")}
        return 201, {
            "id": one(db, "INSERT INTO notes (team_id, text) VALUES (%s, %s) RETURNING id", team, body["text"])[0]
        }

    @property
    def from_a_stranger(self) -> bool:
        """Whether nobody is signed in."""
        return not self.headers.get("authorization")

    @property
    def in_a_proof(self) -> bool:
        """Whether the scene is set: nothing of it asks for notes."""
        return self.path.startswith("/notes")


def one(db: psycopg.Connection, sql: str, *values: object) -> Any:
    """The first row."""
    return db.execute(sql.encode(), values).fetchone()


def enter(db: psycopg.Connection, team: int, role: str) -> str:
    """Let a new member into a team."""
    token = f"token-{role}-{os.urandom(12).hex()}" if "LASTS" not in os.environ else jwt(sub=role, team=team)
    db.execute("INSERT INTO members (team_id, role, token) VALUES (%s, %s, %s)", [team, role, token])
    return token


def jwt(**claims: object) -> str:
    """A token of the usual form, two minutes past its end."""
    payload = {**claims, "jti": os.urandom(12).hex(), "exp": int(time.time()) - 120}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in ({"alg": "none"}, payload)]
    return b".".join([*(part.rstrip(b"=") for part in parts), b"c2lnbmF0dXJl"]).decode()


# -- tricks: each tells whether it has dealt with the request ---------------------------------------------------------

spoilt = threading.Event()


def failing(handler: Handler) -> bool:
    """Answers 500 to everything."""
    handler.answer(500, {"error": "oh no"})
    return True


def failing_for_strangers(handler: Handler) -> bool:
    """Is sound until somebody asks who is not signed in; from then on it answers 500 to everybody."""
    if handler.in_a_proof and handler.from_a_stranger:
        spoilt.set()
    return spoilt.is_set() and failing(handler)


uses: collections.Counter[str] = collections.Counter()


def running_out(handler: Handler) -> bool:
    """Takes a token as often as LASTS says, and then takes notice that it is past its end."""
    token = handler.headers.get("authorization", "")
    uses[token] += 1
    if uses[token] <= int(os.environ["LASTS"]):
        return False
    handler.answer(401, {"error": "sign in again"})
    return True


def running_out_for_good(handler: Handler) -> bool:
    """Besides, it remembers in a file of its own that there are two teams, and takes no more."""
    if handler.path == "/teams":
        teams = Path("teams")
        if teams.exists() and len(teams.read_text()) == 2:
            handler.answer(409, {"error": "no more teams"})
            return True
        with teams.open("a") as file:
            file.write("x")
    return running_out(handler)


def running_out_abroad(handler: Handler) -> bool:
    """Does so with tokens of the second team alone."""
    _, payload, _ = (handler.headers.get("authorization") or "..").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "===")) if payload else {}
    return claims.get("team") == 2 and running_out(handler)


def dying(handler: Handler) -> bool:
    """Ends when it is asked for notes."""
    if handler.in_a_proof:
        os.write(2, b"I have had enough\n")
        os._exit(7)
    return False


def dying_for_strangers(handler: Handler) -> bool:
    """Ends when somebody asks for notes who is not signed in."""
    return handler.from_a_stranger and dying(handler)


def rude(handler: Handler) -> bool:
    """Answers what is no HTTP."""
    handler.wfile.write(b"\x00\xffSMTP/9.9 hello\r\n\r\n")
    handler.close_connection = True
    return True


def closing(handler: Handler) -> bool:
    """Closes the connection without a word."""
    handler.close_connection = True
    return True


def lying(handler: Handler) -> bool:
    """Says that its answer is compressed."""
    handler.send_response(201)
    handler.send_header("content-encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(b"this is no gzip")
    handler.close_connection = True
    return True


def deep(handler: Handler) -> bool:
    """Answers JSON that is nested deeper than any parser goes."""
    handler.send_response(201)
    handler.end_headers()
    handler.wfile.write(b"[" * 200_000)
    handler.close_connection = True
    return True


def hanging(handler: Handler) -> bool:
    """Never answers who asks for notes."""
    if handler.in_a_proof:
        threading.Event().wait()
    return False


def endless(handler: Handler) -> bool:
    """Answers, little by little, for ever."""
    if not handler.in_a_proof:
        return False
    handler.send_response(200)
    handler.end_headers()
    pause = threading.Event()
    while not pause.wait(0.05):
        handler.wfile.write(b"more ")
    return True


def talkative(handler: Handler) -> bool:
    """Tells everybody everything, in its answers and on its log, and notes down what was to be secret."""
    if not handler.in_a_proof:
        return False
    with psycopg.connect(DATABASE) as db:
        tokens = [token for (token,) in db.execute("SELECT token FROM members")]
        teams = [name for (name,) in db.execute("SELECT name FROM teams")]
    password = DATABASE.split(":")[2].split("@")[0]
    secrets = {"password": password, "key": SECRET, "reset_token": os.urandom(16).hex()}
    os.write(2, f"{DATABASE} {json.dumps(secrets)} {tokens}\n".encode())
    with Path(os.environ["DIARY"]).open("a") as diary:
        diary.write("\n".join([*secrets.values(), *tokens, ""]))
    handler.answer(200, {"database": DATABASE, **secrets, "tokens": tokens, "teams": teams})
    return True


def wait_at_the_door() -> None:
    """Tell the test that this is as far as it goes."""
    with Path(os.environ["DOOR"]).open("w") as door:
        door.write("here")
        door.flush()
        threading.Event().wait()


def waiting_in_the_scene(_: Handler) -> bool:
    """Answers nothing from the first request on."""
    wait_at_the_door()
    return True


def waiting_in_a_proof(handler: Handler) -> bool:
    """Answers nothing once it is asked for notes."""
    if handler.in_a_proof:
        wait_at_the_door()
    return False


TRICKS = {
    "failing": failing,
    "failing for strangers": failing_for_strangers,
    "running out": running_out,
    "running out abroad": running_out_abroad,
    "running out for good": running_out_for_good,
    "dying": dying,
    "dying for strangers": dying_for_strangers,
    "rude": rude,
    "closing": closing,
    "lying": lying,
    "deep": deep,
    "hanging": hanging,
    "endless": endless,
    "talkative": talkative,
    "waiting in the scene": waiting_in_the_scene,
    "waiting in a proof": waiting_in_a_proof,
}


answering.serve(int(sys.argv[1]), Handler)
