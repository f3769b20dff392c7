"""The pages of ``holdtrue dev`` in a real browser: a hostile mail is shown, and neither runs nor loads anything."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from holdtrue.cli.dev.pages import Pages
from holdtrue.stage.http import HttpServer
from holdtrue.stage.mail import MailServer

from .conftest import program

HOSTILE = (
    b"From: a@b.test\r\nSubject: <script>document.title='subject'</script>\r\nContent-Type: text/html\r\n\r\n"
    b"<script>document.title = 'body'</script><img src='//127.0.0.1:%d/mail/1?seen' onerror=\"document.title='img'\">"
    b"<a href='javascript:document.title=1'>x</a>\r\n"
)


async def test_a_hostile_mail_is_text_in_the_browser(tmp_path: Path) -> None:
    async with MailServer() as mail:
        pages = Pages(mail, None, "http://127.0.0.1:8000", lambda: None)
        server = HttpServer(pages)
        await server.start()
        pages.port = server.port
        mail.store(HOSTILE % server.port, mail.begin_attempt(), "a@b.test", ["ann@b.test"])
        number = mail.mails[0].number
        browser = await asyncio.create_subprocess_exec(
            program("chromium"), "--headless", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom",
            *(["--no-sandbox"] if os.geteuid() == 0 else []), f"{server.url}/mail/{number}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={"HOME": str(tmp_path)},
        )  # fmt: skip
        page = (await browser.communicate())[0].decode()
        await server.close()
    assert "<title>&lt;script&gt;document.title='subject'&lt;/script&gt;</title>" in page
    assert "<h1>&lt;script&gt;" in page
    assert "&lt;img src=" in page
    assert "<img" not in page
    assert "javascript:" not in page.replace("&lt;a href='javascript:document.title=1'&gt;", "")
