"""Turns the entries of a case's evidence into steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdtrue.check.writers.html.steps import CALLER, DATABASE, MAIL, PROVIDER, Mark, Step
from holdtrue.check.writers.html.wording import LONGEST_WORDS, event_type, facts, number, short_sql, shown, span, text

MOST_CHANGES = 5
MOST_PROCESSES = 5
"""Lanes of the app's own; more would leave no room for words."""


@dataclass
class Reader:
    """Turns entries into steps, one after the other."""

    steps: list[tuple[float, Step]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The lane of a process: after a promotion another one answers to its name."""
    notes: dict[str, str] = field(default_factory=dict)
    seen: dict[str, None] = field(default_factory=dict)
    under_way: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Requests: lane, and until when."""
    now: float = 0.0
    at: float | None = None

    def read(self, entries: list[Mapping[str, Any]]) -> list[Step]:
        telling = _telling_transactions(entries)
        for index, entry in enumerate(entries):
            self.at = number(entry.get("at"))
            self.now = self.now if self.at is None else self.at
            kind = text(entry.get("kind"))
            if kind == "statement":
                self._statement(entry, telling)
            elif kind == "request":
                self._request(entry, f"request {index}")
            elif (reader := getattr(self, f"_read_{kind}", None)) is not None:
                reader(entry)
            else:
                self._other(kind, entry)
        return [step for _, step in sorted(self.steps, key=lambda pair: pair[0])]

    def add(self, mark: Mark, words: str, *, after: float = 0.0, **more: Any) -> None:
        at = None if self.at is None else self.at + after
        self.steps.append((self.now + after, Step(mark=mark, words=words[:LONGEST_WORDS], at=at, **more)))

    def lane(self, process: object) -> str:
        name = text(process)[:12] or "app"
        lane = self.names.get(name, name)
        if lane not in self.seen and len(self.seen) >= MOST_PROCESSES:
            lane = "others"
        self.seen[lane] = None
        return lane

    def busy(self) -> str:
        """Who is at work now: what a provider or a mailbox sees comes from nobody by name."""
        answering = [lane for lane, until in self.under_way.values() if self.now <= until]
        return answering[-1] if answering else next(reversed(self.seen), "app")

    # -- entries --------------------------------------------------------------------------------------------------

    def _request(self, entry: Mapping[str, Any], key: str) -> None:
        process = text(entry.get("process"))
        lane, took = self.lane(process or "web1"), number(entry.get("took")) or 0.0
        asked, sender = text(entry.get("request")), text(entry.get("sender")) or "nobody"
        source, told = CALLER, f"sent by {sender}"
        words = asked if sender == "nobody" else f"{asked} as {sender}"
        if isinstance(entry.get("content"), str):
            note = self.notes.pop(process, "")
            event = event_type(entry["content"]) or asked
            source = CALLER if "forged" in note else PROVIDER
            words = f"{event} ({note})" if note else event
            told = f"webhook, {asked}"
        self.under_way[key] = (lane, self.now + took)
        spans = ((lane, key),)
        self.add("arrow", words, source=source, target=lane, told=told, spans=spans)
        answer = text(entry.get("answer"))
        body = " ".join(text(entry.get("answer_body")).split())[:LONGEST_WORDS]
        lost = not answer[:1].isdigit()
        self.add(
            "reply", f"no answer: {answer.removeprefix('with nothing ')}" if lost else answer, after=took, source=lane,
            target=source, told=body, bad=lost or answer.startswith("5"), spans=spans,
        )  # fmt: skip

    def _read_webhook(self, entry: Mapping[str, Any]) -> None:
        self.notes[text(entry.get("process"))] = text(entry.get("note"))

    def _statement(self, entry: Mapping[str, Any], telling: Mapping[object, bool]) -> None:
        key, sort, lane = _transaction(entry), text(entry.get("sort")), self.lane(entry.get("process"))
        ends = sort in ("commit", "rollback")
        if sort in _SILENT or (ends and not telling.get(key)):
            return
        sql, failed = text(entry.get("sql")), text(entry.get("sqlstate"))
        words, tag = short_sql(sql), text(entry.get("tag"))
        if failed:
            words = f"{words}: refused, {failed} {text(entry.get('message'))}"
        elif entry.get("answered") is False:
            words = f"{words}: never answered"
        elif tag.endswith(" 0") and entry.get("writes") is True:
            words = f"{words} (no row)"
        writes = entry.get("writes") is True
        mark: Mark = "commit" if sort == "commit" else "write" if writes or failed or sort != "select" else "read"
        self.add(
            mark, words, source=lane, target=DATABASE, told=" ".join(sql.split())[:LONGEST_WORDS],
            bad=bool(failed) or entry.get("answered") is False, rank=0 if mark == "read" else 1,
            spans=((DATABASE, f"transaction {key}"),) if telling.get(key) else (),
        )  # fmt: skip

    def _read_cut(self, entry: Mapping[str, Any]) -> None:
        sql, lane = short_sql(text(entry.get("sql"))), self.lane(entry.get("process"))
        happened = f"{sql} never arrives" if entry.get("when") == "before" else f"{sql} is done, its answer is lost"
        self.add("cut", f"connection cut: {happened}", source=lane, target=DATABASE, bad=True, rank=3)

    def _read_held(self, entry: Mapping[str, Any]) -> None:
        lane = self.lane(entry.get("process"))
        self.add("held", f"held before {short_sql(text(entry.get('sql')))}", source=lane, rank=3)

    def _read_released(self, entry: Mapping[str, Any]) -> None:
        self.add("dot", "goes on", source=self.lane(entry.get("process")), rank=3)

    def _read_kill(self, entry: Mapping[str, Any]) -> None:
        named = entry.get("processes")
        lanes = tuple(map(self.lane, named)) if isinstance(named, list) else tuple(self.seen)
        words = f"SIGKILL: {', '.join(lanes)}" if isinstance(named, list) else "SIGKILL: every process"
        self.add("kill", words, source=lanes[0] if lanes else "", lanes=lanes[1:], bad=True, rank=3)

    def _read_start(self, entry: Mapping[str, Any]) -> None:
        named = entry.get("processes")
        for lane in map(self.lane, named if isinstance(named, list) else ()):
            self.add("dot", f"{lane} starts again", source=lane)

    def _read_promote(self, entry: Mapping[str, Any]) -> None:
        new, old = text(entry.get("process")), text(entry.get("becomes"))
        self.names |= {old: self.lane(new), new: self.lane(old)}
        self.add("dot", f"{self.names[old]} takes over from {self.names[new]}", source=self.names[old], rank=3)

    def _read_age(self, entry: Mapping[str, Any]) -> None:
        self.add(
            "band", f"{span(number(entry.get('seconds')) or 0)} later", told="for the rows of the database", rank=3
        )

    def _read_refusing(self, entry: Mapping[str, Any]) -> None:
        operations, tables = (
            ", ".join(map(text, told)) if isinstance(told, list) else ""
            for told in (entry.get("operations"), entry.get("tables"))
        )
        self.add("dot", f"refuses every {operations} on {tables} (disk full)", source=DATABASE, bad=True, rank=3)

    def _read_refusing_ended(self, _: Mapping[str, Any]) -> None:
        self.add("dot", "is well again", source=DATABASE, rank=3)

    def _read_scene(self, _: Mapping[str, Any]) -> None:
        if self.steps:
            self.add("band", "everything is set back to the start", rank=3)

    def _read_left_out(self, entry: Mapping[str, Any]) -> None:
        self.add("band", f"{entry.get('entries')} entries were not kept", rank=3)

    def _read_provider(self, entry: Mapping[str, Any]) -> None:
        events = entry.get("events")
        caused = ", ".join(map(text, events)) if isinstance(events, list) else ""
        self.add("dot", f"the customer: {text(entry.get('customer'))}", source=PROVIDER, told=f"causes {caused}")

    def _read_provider_call(self, entry: Mapping[str, Any]) -> None:
        status = entry.get("status")
        words = f"{text(entry.get('request'))} → {'no answer' if status is None else text(status)}"
        words += " (its answer is lost)" if status is not None and entry.get("delivered") is False else ""
        self.add(
            "arrow", words, source=self.busy(), target=PROVIDER, told=facts(entry, "parameters", "idempotency_key")
        )

    def _read_mail(self, entry: Mapping[str, Any]) -> None:
        recipients = entry.get("recipients")
        to = ", ".join(map(text, recipients)) if isinstance(recipients, list) else ""
        self.add("arrow", f"mail: {text(entry.get('subject'))}", source=self.busy(), target=MAIL, told=f"to {to}")

    def _read_mail_refused(self, entry: Mapping[str, Any]) -> None:
        words = f"mail {text(entry.get('outcome'))} at {text(entry.get('phase'))} {text(entry.get('reply'))}".strip()
        self.add("arrow", words, source=self.busy(), target=MAIL, bad=True)

    def _read_effects(self, entry: Mapping[str, Any]) -> None:
        rows = entry.get("rows")
        rows = [text(row) for row in rows] if isinstance(rows, list) else []
        for row in rows[:MOST_CHANGES]:
            self.add("change", row, source=DATABASE)
        if len(rows) > MOST_CHANGES:
            self.add("change", f"and {len(rows) - MOST_CHANGES} more changes", source=DATABASE)

    def _read_interleaving(self, entry: Mapping[str, Any]) -> None:
        turns = entry.get("turns")
        turns = [turn for turn in turns if isinstance(turn, Mapping)] if isinstance(turns, list) else []
        if not any(number(turn.get("at")) is not None for turn in turns):
            self.add("band", f"turn by turn: {text(entry.get('schedule'))}".removesuffix(": "), rank=3)
        for turn in turns:
            at, now = self.at, self.now
            if (moment := number(turn.get("at"))) is not None:
                self.at = self.now = moment
            self._turn(turn)
            self.at, self.now = at, now

    def _turn(self, turn: Mapping[str, Any]) -> None:
        lane, sql = self.lane(turn.get("process")), short_sql(text(turn.get("statement")))
        match turn.get("outcome"):
            case "held":
                self.add("held", f"{lane} is held before {sql}", source=lane, rank=3)
            case "waits" | "waited":
                self.add("waits", f"{lane} waits for the other: {sql}", source=lane, target=DATABASE, rank=3)
            case "ran":
                self.add("write", f"{lane} runs {sql}", source=lane, target=DATABASE, rank=3)
            case _:
                self.add("dot", f"{lane} runs to its end", source=lane, rank=3)

    def _other(self, kind: str, entry: Mapping[str, Any]) -> None:
        """What a guarantee kept in words of its own."""
        told = [f"{name} {shown(fact)}" for name, fact in entry.items() if name not in ("kind", "at")]
        self.add("dot", f"{kind}: {'; '.join(told)}", source=DATABASE)


_SILENT = ("begin", "savepoint", "release")


def _transaction(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('connection')}.{entry.get('transaction')}"


def _telling_transactions(entries: Iterable[Mapping[str, Any]]) -> dict[object, bool]:
    """Transactions that write: the beginnings and ends of others are no news."""
    writing: dict[object, bool] = defaultdict(bool)
    for entry in entries:
        if entry.get("kind") == "statement":
            writing[_transaction(entry)] |= entry.get("writes") is True
    return writing
