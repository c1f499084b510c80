"""In a real browser: a person answers, and pages of other origins, rebinding names included, read and change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.http.browser import FOUND, Browser
from tests.http.conftest import TOKEN, Served
from tests.http.test_approvals import FORM

pytestmark = pytest.mark.skipif(
    FOUND is None, reason="chromium is not installed (Debian: apt-get install chromium): not run"
)


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """A page of another origin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<!doctype html><title>elsewhere</title><p>a page"
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_person_answers_a_form(served: Served) -> None:
    approval = await served.asking(FORM)
    async with Browser() as browser:
        await browser.goto(approval["url"])
        assert "asks" in await browser.run("document.querySelector('h1').textContent")
        assert "<b>it</b>" in await browser.run("document.querySelector('dd').textContent"), "stored text is text"
        assert len(await browser.picture()) > 1_000
        await browser.run(
            "document.querySelector('[name=count]').value='3';document.querySelector('[name=size]').value='large';"
            "document.querySelector('[name=gift]').click();document.querySelector('form button').click()"
        )
        await browser.until("document.title === 'Thank you'")
        ended = await served.get(f"/executions/{approval['execution']}", wait_seconds=10)
        assert ended["result"] == {"count": 3, "size": "large", "gift": True}
        await browser.goto(approval["url"])
        assert await browser.run("document.title") == "Nothing to answer here"


async def test_a_question_of_yes_or_no(served: Served) -> None:
    approval = await served.asking({"question": "Go on?"})
    async with Browser() as browser:
        await browser.goto(approval["url"])
        await browser.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'Reject').click()")
        await browser.until("document.title === 'Thank you'")
    assert (await served.get(f"/executions/{approval['execution']}", wait_seconds=10))["result"] == {"approved": False}


ATTACK = """
(async () => {
  const base = %(base)s, approval = %(approval)s, token = %(token)s, found = {};
  const tries = {
    read: () => fetch(base + '/api/v1/executions', {headers: {authorization: 'Bearer ' + token}}),
    health: () => fetch(base + '/api/v1/health'),
    blind: () => fetch(base + '/api/v1/executions/1/cancel', {method: 'POST', mode: 'no-cors'}),
    json: () => fetch(base + '/api/v1/events', {method: 'POST', body: '{"events":[{"topic":"x"}]}',
      headers: {'content-type': 'application/json', authorization: 'Bearer ' + token}}),
    page: () => fetch(approval),
    answer: () => fetch(approval, {method: 'POST', mode: 'no-cors', body: new URLSearchParams({approved: 'true'})}),
  };
  for (const name in tries) {
    try { const answer = await tries[name](); found[name] = [answer.type, answer.status, (await answer.text()).length]; }
    catch (error) { found[name] = 'refused'; }
  }
  return found;
})()
"""


async def _nothing_changed(served: Served, approval: dict[str, Any]) -> None:
    assert (await served.get(f"/executions/{approval['execution']}"))["status"] == "waiting"
    assert await served.get("/events", topic="x") == []


def _attack(base: str, approval: str) -> str:
    return ATTACK % {"base": json.dumps(base), "approval": json.dumps(approval), "token": json.dumps(TOKEN)}


async def test_a_page_of_another_origin_reads_and_changes_nothing(served: Served) -> None:
    """Even one that has the token and the link."""
    approval = await served.asking({"question": "Go on?"})
    async with elsewhere() as page, Browser() as browser:
        await browser.goto(page)
        found = await browser.run(_attack(served.url, approval["url"]))
        for name, told in found.items():
            assert told == "refused" or told == ["opaque", 0, 0], (name, told)
        form = (
            f"const f=document.createElement('form');f.method='post';f.action={json.dumps(approval['url'])};"
            "f.innerHTML='<input name=approved value=true>';document.body.append(f);f.submit()"
        )
        await browser.run(form)
        await browser.until("location.href.includes('/approve/')")
        await browser.until("document.readyState === 'complete'")
        assert "requests of other origins are refused" in await browser.run("document.body.textContent")
    await _nothing_changed(served, approval)


async def test_a_rebinding_name_reads_and_changes_nothing(served: Served) -> None:
    """A name that resolves to this machine makes the browser think that the API is the page's own origin."""
    approval = await served.asking({"question": "Go on?"})
    port = served.url.rpartition(":")[2]
    async with Browser("--host-resolver-rules=MAP evil.example 127.0.0.1") as browser:
        own = f"http://evil.example:{port}"
        await browser.goto(f"{own}/")
        assert "this host is not served here" in await browser.run("document.body.textContent")
        found = await browser.run(_attack(own, approval["url"].replace(served.url, own)))
        for name, told in found.items():
            assert told == "refused" or told[1] in (0, 421), (name, told)
    await _nothing_changed(served, approval)


async def test_a_page_cannot_frame_the_approval(served: Served) -> None:
    approval = await served.asking({"question": "Go on?"})
    async with elsewhere() as page, Browser() as browser:
        await browser.goto(page)
        await browser.run(
            f"const f=document.createElement('iframe');f.src={json.dumps(approval['url'])};"
            "document.body.append(f);new Promise(done => f.onload = () => done(true))"
        )
        assert (
            await browser.run(
                "(() => { try { return !!frames[0].document.querySelector('form') } catch { return false } })()"
            )
            is False
        )
