"""`dev`: how long `polos dev` takes to be ready, a save to be live, and an invoke over HTTP to give its result."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STARTS = 5
SAVES = 10
PAUSE = 1.0
CALLS = 300
_FLOW = """
from polos import WorkflowContext, workflow


@workflow
async def hello(ctx: WorkflowContext, number: int) -> int:
    return await ctx.step.run("add", lambda: number + 0)


@workflow
async def waits(ctx: WorkflowContext) -> None:
    await ctx.step.wait_for_event("event", topic="never")
"""


class _Server:
    """One `polos dev --json`, and what it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("polos")), "dev", "--json"], cwd=folder, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "POLOS_PORT": "0"},
        )  # fmt: skip

    def until(self, kind: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["kind"] == kind:
                return told
        raise RuntimeError(f"polos dev ended before {kind}")

    def since(self, at: float) -> float:
        return (time.perf_counter() - at) * 1000

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)


def dev_server(folder: Path) -> dict[str, float]:
    """Returns medians in milliseconds, over fresh processes, saves and calls."""
    (folder / "workflows").mkdir()
    (folder / "pyproject.toml").write_text('[tool.polos]\nname = "bench"\n')
    file = folder / "workflows" / "hello.py"
    file.write_text(_FLOW)
    ready, live = [], []
    for start in range(STARTS):
        server = _Server(folder)
        server.until("ready")
        ready.append(server.since(server.began))
        server.until("live")
        live.append(server.since(server.began))
        if start < STARTS - 1:
            server.stop()
    requests = _requests(folder)
    calls = asyncio.run(_calls(folder))
    saves = [_save(server, file, number, PAUSE) for number in range(1, SAVES + 1)]
    at_once = [_save(server, file, number, 0) for number in range(SAVES + 1, 2 * SAVES + 1)]
    server.stop()
    return {
        "ready_ms": statistics.median(ready), "code_ms": statistics.median(live), "save_ms": statistics.median(saves),
        "save_at_once_ms": statistics.median(at_once),
        "http_p50_ms": statistics.median(requests), "http_p99_ms": statistics.quantiles(requests, n=100)[98],
        "client_p50_ms": statistics.median(calls),
    }  # fmt: skip


def _save(server: _Server, file: Path, number: int, pause: float) -> float:
    """Saves and waits until the code is live; `pause`: seconds before, as a person's between two saves."""
    time.sleep(pause)
    saved = time.perf_counter()
    file.write_text(_FLOW.replace("+ 0", f"+ {number}"))
    server.until("live")
    return server.since(saved)


async def _told(folder: Path) -> Any:
    from polos.dev import serverfile

    while (told := serverfile.read(folder / ".polos")) is None:
        await asyncio.sleep(0.02)
    return told


def _requests(folder: Path) -> list[float]:
    """Invokes over HTTP, each with one request that waits for the result, on a connection that stays open."""
    told = asyncio.run(_told(folder))
    connection = http.client.HTTPConnection(told.url.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {told.token}", "Content-Type": "application/json"}
    took = []
    for number in range(CALLS + 20):
        began = time.perf_counter()
        body = json.dumps({"payload": number})
        connection.request("POST", "/api/v1/workflows/hello/run?wait_seconds=10", body, headers)
        answer = json.loads(connection.getresponse().read())
        assert answer["result"] == number, answer
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return took[20:]


async def _calls(folder: Path) -> list[float]:
    """The same by `PolosClient`, beside ten executions that wait: one request to start, one for the result."""
    from polos import PolosClient

    told = await _told(folder)
    took = []
    async with PolosClient(told.url, token=told.token) as client:
        for _ in range(10):
            await client.invoke("waits")
        for number in range(CALLS + 20):
            began = time.perf_counter()
            handle = await client.invoke("hello", number)
            assert await handle.result() == number
            took.append((time.perf_counter() - began) * 1000)
    return took[20:]
