"""Plays the steps of a document: requests with captures, links out of the mailbox, one-shot commands."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import quote

from holdtrue.contract.document import Command, Inbox, Request, Run, Step
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.template import render, render_json
from holdtrue.stage.cast import Cast, Who
from holdtrue.stage.client import Answer, Client
from holdtrue.stage.evidence import Evidence, Redactor
from holdtrue.stage.tokens import lifetimes


class StepFailedError(HoldtrueError):
    """A step of the document did not do what it says."""


class RanOutError(StepFailedError):
    """Somebody was refused whose token had run out: nothing can be said of what the app would have done."""

    def __init__(self, ended: str) -> None:
        super().__init__(ended, why=lifetimes.WHY, do=lifetimes.DO)


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A request with every placeholder filled."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    json_body: object | None
    form: Mapping[str, str] | None


class Player:
    """Plays steps against one process of the app."""

    def __init__(
        self,
        *,
        cast: Cast,
        client: Client,
        redactor: Redactor,
        port: Callable[[], int],
        mail_text: Callable[[str], Awaitable[list[str]]],
        command: Callable[[Command, Mapping[str, object]], Awaitable[str]],
        asking: Callable[[], AbstractContextManager[None]],
        silent: Callable[[int, Answer], Awaitable[None]],
        named: Callable[[int], str],
    ) -> None:
        self.cast = cast
        self.evidence = Evidence()
        self._client = client
        self._redactor = redactor
        self._port = port
        self._mail_text = mail_text
        self._command = command
        self._asking = asking
        self._silent = silent
        self._named = named
        self.ran_out: str | None = None
        """Whose token had run out when a request of theirs was refused; whoever looks at it forgets it, too."""
        self._ended: dict[Who, str] = {}

    async def play(
        self,
        steps: Iterable[Step],
        *,
        who: Who | None,
        tenant: str | None,
        extra: MutableMapping[str, object] | None = None,
        default: Who | None = None,
    ) -> Answer | None:
        """Play steps in order and return the last answer.

        Captures go to ``who`` and the tenant, or to ``extra`` where that is given. ``default`` sends the requests that
        name nobody.

        Raises:
            StepFailedError: a request was refused, a mail did not come, or a capture found nothing.
        """
        keep = extra
        extra = {"unique": self.cast.unique()} if extra is None else extra
        extra.setdefault("unique", self.cast.unique())
        answer: Answer | None = None
        for step in steps:
            sender = self._sender(step, tenant, default)
            view = self.cast.view(sender or who, tenant, extra)
            match step:
                case Request():
                    answer = await self.send(step, sender=sender, tenant=tenant, view=view)
                    found = self._captured(step, answer, sender or who)
                case Inbox():
                    found = await self._from_mail(step, view)
                case Run():
                    found = self._from_output(step, await self._command(step.run, view))
            self._redactor.learn_all(found)
            if keep is None:
                self.cast.learn(who, tenant, found)
            else:
                keep.update(found)
        return answer

    async def send(
        self,
        request: Request,
        *,
        sender: Who | None,
        tenant: str | None,
        view: Mapping[str, object],
        port: int | None = None,
    ) -> Answer:
        """Send one request as somebody, and keep both sides as evidence."""
        rendered = self.render(request, sender=sender, tenant=tenant, view=view)
        return await self.send_rendered(rendered, sender=sender, port=port)

    async def send_rendered(
        self, rendered: Rendered, *, sender: Who | None, port: int | None = None, content: bytes | None = None
    ) -> Answer:
        """Send a request whose placeholders are filled."""
        port = port or self._port()
        process, began = self._named(port), self.evidence.clock()
        with self._asking():
            answer = await self._client.send(
                port,
                rendered.method,
                rendered.path,
                headers=rendered.headers,
                query=rendered.query,
                json_body=rendered.json_body,
                form=rendered.form,
                content=content,
            )
        if answer.status is None:
            await self._silent(port, answer)
        self.evidence.add(
            "request",
            moment=began,
            took=round(self.evidence.clock() - began, 4),
            process=process,
            sender=str(sender or "nobody"),
            request=f"{rendered.method} {rendered.path}",
            headers=dict(rendered.headers),
            query=dict(rendered.query),
            body=rendered.json_body if rendered.form is None else dict(rendered.form),
            content=content.decode(errors="replace") if content is not None else None,
            answer=answer.describe(),
            answer_headers=dict(answer.headers),
            answer_body=answer.text[:4000],
        )
        if sender is not None and not answer.admitted and not answer.failed:
            self.ran_out = self.ended(sender, inside="\n".join(rendered.headers.values())) or self.ran_out
        return answer

    def ended(self, who: Who, *, inside: str | None = None) -> str | None:
        """Say whose token has run out, each time in the words of the first; see ``lifetimes.ended``."""
        told = lifetimes.ended(self.cast, who, time.time(), inside=inside)
        return told and self._ended.setdefault(who, told)

    def refused(self, answer: Answer, who: Who | None) -> str | None:
        """Say whose token has run out, where an answer may be due to that."""
        return self.ended(who) if who is not None and answer.status in (401, 403) else None

    def render(
        self, request: Request, *, sender: Who | None, tenant: str | None, view: Mapping[str, object]
    ) -> Rendered:
        """Fill the placeholders of a request: the step's, and those of the tenant's and the sender's headers."""
        method, path = request.request.split(" ", 1)
        return Rendered(
            method=method,
            path=render(path, view, quote=lambda text: quote(text, safe="")),
            headers=self.headers(sender, tenant)
            | {name: render(value, view) for name, value in request.headers.items()},
            query={name: render(value, view) for name, value in request.query.items()},
            json_body=render_json(request.json_, view) if request.json_ is not None else None,
            form={name: render(value, view) for name, value in request.form.items()} if request.form else None,
        )

    @staticmethod
    def render_all(templates: Mapping[str, str], view: Mapping[str, object]) -> dict[str, object]:
        """Fill each template; one that is a single placeholder keeps its variable's type."""
        return {name: render_json(text, view) for name, text in templates.items()}

    def headers(self, sender: Who | None, tenant: str | None) -> dict[str, str]:
        """What every request of that sender, inside that tenant, carries."""
        headers: dict[str, str] = {}
        tenancy = self.cast.document.tenancy
        if tenant is not None and tenancy is not None:
            inside = self.cast.view(sender, tenant)
            headers |= {name: render(value, inside) for name, value in tenancy.headers.items()}
        if sender is not None:
            principal = self.cast.principal(sender)
            own = self.cast.view(sender, sender.tenant)
            headers |= {name: render(value, own) for name, value in principal.headers.items()}
            if principal.cookies:
                headers["Cookie"] = "; ".join(f"{name}={render(v, own)}" for name, v in principal.cookies.items())
        return headers

    def _sender(self, step: Step, tenant: str | None, default: Who | None) -> Who | None:
        if isinstance(step, Request) and step.as_ is not None:
            return self.cast.who(step.as_, tenant)
        return default

    def _captured(self, step: Request, answer: Answer, who: Who | None) -> dict[str, object]:
        if not meets(step.expect, answer):
            ended = self.refused(answer, who)
            told = self._redactor.text(answer.text[:300])
            raise StepFailedError(
                f"{step.request} was answered {answer.describe()}: {told}{f'; {ended}' if ended else ''}",
                where=f"step `{step.request}`",
                why="The rehearsal needs this step to succeed.",
                do=lifetimes.DO
                if ended
                else "Compare the step's body, sender and `expect` with what the app wants; its log is kept.",
            )
        found = {}
        for name, where in step.capture.items():
            value = answer.capture(where)
            if value is None:
                raise StepFailedError(
                    f"{step.request} was answered {answer.describe()}, but `{where}` is not in it: "
                    f"{self._redactor.text(answer.text[:300])}",
                    where=f"step `{step.request}`, capture `{name}`",
                    do="Write the JMESPath of the value in the JSON body, or header:NAME, or cookie:NAME.",
                )
            found[name] = value
        return found

    async def _from_mail(self, step: Inbox, view: Mapping[str, object]) -> dict[str, object]:
        address = render(step.mail, view)
        texts = await self._mail_text(address)
        return {
            name: self._group(pattern, texts, f"the newest mail to {address}") for name, pattern in step.capture.items()
        }

    def _from_output(self, step: Run, output: str) -> dict[str, object]:
        return {name: self._group(pattern, [output], "the output") for name, pattern in step.capture.items()}

    def _group(self, pattern: str, texts: list[str], what: str) -> str:
        for text in texts:
            if found := re.search(pattern, text):
                return found[1]
        shown = self._redactor.text(texts[0][:300]) if texts else "nothing came"
        raise StepFailedError(f"`{pattern}` does not match {what}: {shown}", do="Mend the pattern; it needs one group.")


def meets(expect: int | list[int] | None, answer: Answer) -> bool:
    """Whether an answer is what a step calls success."""
    if expect is None:
        return answer.succeeded
    return answer.status in (expect if isinstance(expect, list) else [expect])
