"""The dashboard of a server, over HTTP: all pages, what is done, and a server that goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from polos.clock import SystemClock
from polos.errors import EngineError
from polos.http.hosting import HostedApi
from polos.http.ports import bind
from polos_cli.dashboard.dialogs.confirm import Confirm
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.reading import Reading
from polos_cli.dashboard.widgets.standing import StandingLine
from polos_cli.dashboard.widgets.steps import StepTree
from tests.dashboard.screen import seen
from tests.dev.place import Stranger
from tests.http.conftest import TOKEN, serving


async def test_a_server_is_shown_and_driven(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Stranger(served.url, token=TOKEN) as client, seen(client) as shown:
        await served.asking({"question": "Over the wire?"})
        await shown.until(lambda: shown.listed == [(1, "waiting")])
        await shown.sees("ask/it", 'question  "Over the wire?"')
        await served.run("fails")
        await shown.until(lambda: shown.listed == [(2, "failed"), (1, "waiting")])
        await shown.until(lambda: "1 waiting" in shown.standing and "1 failed" in shown.standing, shown.standing)
        await shown.until(lambda: "the shelf is empty" in shown.title, "the newest one")
        await shown.press("a")
        await shown.until(lambda: any("asks nothing" in one for one in shown.said))
        await shown.press("r")
        await shown.asked(Confirm)
        await shown.press("y")
        await shown.press("j")
        await shown.sees("Over the wire?")
        await shown.press("a")
        await shown.asked(Form)
        await shown.press("y", "ctrl+s")
        await shown.until(lambda: (1, "completed") in shown.listed)
        await shown.press("enter", "j", "left")
        await shown.sees("esc goes back to now")
        await shown.press("escape", "f")
        await shown.asked(Confirm)
        await shown.press("y")
        await shown.until(lambda: shown.listed[:1] == [(3, "waiting")], "a fork")
        for page, text in (
            ("2", "Buys something."),
            ("3", "no event"),
            ("4", "no schedules"),
            ("5", "no queues"),
            ("6", "shop"),
        ):
            await shown.press(page)
            await shown.sees(text)
        await served.post("/events", {"events": [{"topic": "wire", "data": 7}]})
        await shown.press("3")
        await shown.sees("wire")


async def test_what_a_retry_took_back_is_had_from_a_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Stranger(served.url, token=TOKEN) as client:
        handle = await client.invoke("fails")
        with pytest.raises(Exception, match="the shelf is empty"):
            await handle.result(timeout=20)
        await client.retry(handle)
        with pytest.raises(Exception, match="the shelf is empty"):
            await handle.result(timeout=20)
        read = client.access().read
        lives = await read(lambda store: store.lives(handle.id))
        assert [(life.number, life.error_type, life.cause_key) for life in lives] == [
            (1, "StepExecutionError", "break")
        ]
        assert [(life, entry.key) for life, entry in await read(lambda store: store.superseded(handle.id))] == [
            (1, "break")
        ]
        assert await read(lambda store: store.place_in_line(handle.id)) == 0
        counts = await read(lambda store: store.counts())
        assert {status.value: count for status, count in counts.items()} == {"failed": 1}


@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("when", ["its widgets have gone", "its pages have gone"])
async def test_it_is_closed_whatever_it_was_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_away: bool, when: str
) -> None:
    begins, has_read = asyncio.Event(), False
    async with serving(tmp_path) as served, Stranger(served.url, token=TOKEN) as client, seen(client) as shown:
        await served.run("order", {"id": 1})
        await shown.until(lambda: shown.listed == [(1, "completed")])

        async def news(reading: Reading) -> tuple[frozenset[int], bool]:
            nonlocal has_read
            begins.set()
            while len(shown.app.screen_stack) and (when == "its pages have gone" or shown.page.query(StandingLine)):
                await asyncio.sleep(0)
            has_read = True
            if is_away:
                raise EngineError("it does not answer", hint="")
            return frozenset({1}), True

        monkeypatch.setattr(Reading, "news", news)
        await begins.wait()
    assert has_read


async def test_a_server_that_comes_back_is_shown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polos_cli.dashboard.app.AGAIN", 0.05)
    async with serving(tmp_path) as served, Stranger(served.url, token=TOKEN) as client, seen(client) as shown:
        await served.run("order", {"id": 1})
        await shown.until(lambda: shown.listed == [(1, "completed")])
        port = int(served.url.rpartition(":")[2])
        await served.api.close()
        await shown.until(lambda: "does not answer" in shown.standing)
        store = served.host.store
        assert store is not None and store.owner is not None
        await Stranger(f"sqlite:///{tmp_path}/polos.db").invoke("order", {"id": 2})
        again = HostedApi(store.owner.store, SystemClock(), bind(port, False), tmp_path, TOKEN)
        await again.start()
        await shown.until(lambda: shown.listed == [(2, "completed"), (1, "completed")], "what came meanwhile")
        await shown.until(lambda: "does not answer" not in shown.standing)
        assert shown.one(StepTree).count()
        await again.close()
