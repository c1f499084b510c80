"""The page on which a person answers: only by a valid link, GET shows, POST answers, once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from polos.core.answers import answer_of
from polos.core.forms import fields_of
from tests.http.conftest import Served

FORM = {
    "question": "Ship <b>it</b>?",
    "form": {
        "properties": {
            "count": {"type": "integer", "description": "How many", "maximum": 10},
            "size": {"type": "string", "enum": ["small", "large"]},
            "gift": {"type": "boolean", "default": False},
            "note": {"type": "string"},
        },
        "required": ["count", "size"],
    },
}


def browser(served: Served) -> httpx.AsyncClient:
    """Somebody without the token."""
    return httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=20)


async def post(page: httpx.AsyncClient, served: Served, url: str, **fields: Any) -> httpx.Response:
    return await page.post(url, data=fields, headers={"origin": served.url})


async def test_a_question_is_shown_and_answered_once(served: Served) -> None:
    approval = await served.asking({"question": "Go on?", "total": 3})
    async with browser(served) as page:
        for _ in range(2):  # to look changes nothing
            shown = await page.get(approval["url"])
            assert shown.status_code == 200 and "Go on?" in shown.text and "Approve" in shown.text
        thanks = await post(page, served, approval["url"], approved="true")
        assert thanks.status_code == 200 and "Thank you" in thanks.text
        ended = await served.get(f"/executions/{approval['execution']}", wait_seconds=10)
        assert ended["result"] == {"approved": True}
        assert (await page.get(approval["url"])).status_code == 410
        assert (await post(page, served, approval["url"], approved="false")).status_code == 410


async def test_a_form_is_made_of_the_data_and_checked(served: Served) -> None:
    approval = await served.asking(FORM)
    async with browser(served) as page:
        shown = await page.get(approval["url"])
        assert 'type="number" step="1" max="10"' in shown.text
        assert "How many" in shown.text and "<option" in shown.text and 'type="checkbox"' in shown.text
        assert "&lt;b&gt;it&lt;/b&gt;" in shown.text and "<b>it" not in shown.text, "what is stored is text"
        wrong = await post(page, served, approval["url"], count="x", size="huge")
        assert wrong.status_code == 422
        assert "How many: a whole number" in wrong.text and "size: one of small, large" in wrong.text
        assert 'value="x"' in wrong.text, "what was typed is there still"
        nul = await post(page, served, approval["url"], count="3", size="large", note="a\0b")
        assert nul.status_code == 422 and "without NUL" in nul.text
        many = await post(page, served, approval["url"], **{f"f{number}": "" for number in range(1001)})
        assert many.status_code == 422
        assert (await post(page, served, approval["url"], count="3", size="large", gift="true")).status_code == 200
    ended = await served.get(f"/executions/{approval['execution']}", wait_seconds=10)
    assert ended["result"] == {"count": 3, "size": "large", "gift": True}


async def test_what_only_looks_at_a_link_answers_nothing(served: Served) -> None:
    approval = await served.asking({"form": {"properties": {"ok": {"type": "boolean"}, "note": {"type": "string"}}}})
    async with browser(served) as page:
        for method in ("HEAD", "OPTIONS", "PUT", "DELETE"):  # HEAD: previews of links in chats and mails
            answer = await page.request(method, approval["url"])
            assert answer.status_code == (200 if method == "HEAD" else 405), method
        assert (await served.get(f"/executions/{approval['execution']}"))["status"] == "waiting"
        assert (await post(page, served, approval["url"], note="x")).status_code == 200, "and it can be answered still"


async def test_a_link_holds_for_its_suspend_alone_and_not_for_ever(served: Served) -> None:
    one, other = await served.asking({"n": 1}), await served.asking({"n": 2})
    async with browser(served) as page:
        query = one["url"].partition("?")[2]
        bad = [
            one["url"].partition("?")[0], f"{one['url']}x", one["url"].replace("until=", "until=1"),
            f"{other['url'].partition('?')[0]}?{query}", one["url"].replace("ask%2Fit", "ask"),
            one["url"].replace("by=", "by=%00"), f"{served.url}/approve/exec_none/ask?{query}",
            f"{served.url}/approve/{one['execution']}/ask%2Fit?until=99999999999&by=",
        ]  # fmt: skip
        for url in bad:
            assert (await page.get(url)).status_code == 403, url
            assert (await post(page, served, url, approved="true")).status_code == 403, url
        found = await served.host.store.get(one["execution"])  # type: ignore[union-attr]
        assert found is not None
        expired = served.api._links.to(found, "ask/it", served.api._clock.now() - 1)
        assert (await page.get(expired)).status_code == 403
    assert (await served.get(f"/executions/{one['execution']}"))["status"] == "waiting"


async def test_another_origin_cannot_answer(served: Served) -> None:
    approval = await served.asking({})
    async with browser(served) as page:
        for origin in ("http://evil.example", "null"):
            answer = await page.post(approval["url"], data={"approved": "true"}, headers={"origin": origin})
            assert answer.status_code == 403
    assert (await served.get(f"/executions/{approval['execution']}"))["status"] == "waiting"


@pytest.mark.parametrize(
    "request_", [None, "null", "3", '"text"', "[]", "{}", '{"form": 3}', '{"schema": []}', '{"form": {}}']
)
def test_odd_requests_are_questions_of_yes_or_no(request_: str | None) -> None:
    assert fields_of(request_) == []
    assert answer_of([], {"approved": "true"}) == ({"approved": True}, [])
    assert answer_of([], {})[1] == ["choose one"]


def test_numbers_and_json_are_read_by_their_kind() -> None:
    fields = fields_of('{"form": {"n": "number", "i": {"type": "integer"}, "j": {"type": "array"}, "t": "text"}}')
    assert answer_of(fields, {"n": "1.5", "i": "7", "j": "[1]", "t": " x "}) == (
        {"n": 1.5, "i": 7, "j": [1], "t": "x"},
        [],
    )
    assert len(answer_of(fields, {"n": "nan", "i": "1.5", "j": "[", "t": "x"})[1]) == 3
    assert len(answer_of(fields, {})[1]) == 4
