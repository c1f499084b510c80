"""Routes of the engine itself: its health, its metrics, the document of its API, its front page."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from polos import __version__
from polos.api.declared import HealthOut
from polos.core.status import Status
from polos.http.routes import Call, NoBody, NoQuery, Route
from polos.ports import EventFilter

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>polos</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:4rem auto;max-width:40rem;padding:0 1rem}
code{background:#8882;padding:.1em .3em}</style>
</head><body><h1>polos</h1><p>The engine is up. Its API is at <code>/api/v1</code>
(<a href="/api/v1/openapi.json">its description</a>); it asks for the token in <code>.polos/server.json</code>.</p></body></html>
"""


async def health(call: Call[NoBody, NoQuery]) -> HealthOut:
    """Answers while the engine can read its database."""
    await call.engine.store.events(EventFilter(newest=True, limit=1))
    return HealthOut()


async def front(call: Call[NoBody, NoQuery]) -> Response:
    """Tells a person who came by what this is."""
    return HTMLResponse(_PAGE)


async def document(call: Call[NoBody, NoQuery]) -> Response:
    """Describes the API."""
    from polos.http.openapi import document_of
    from polos.http.table import TABLE

    return JSONResponse(document_of(TABLE))


async def metrics(call: Call[NoBody, NoQuery]) -> Response:
    """Counts, in the text format of Prometheus."""
    store = call.engine.store
    counts = await store.counts()
    newest = await store.events(EventFilter(newest=True, limit=1))
    workers = [one for one in await store.workers() if one.ended_at is None]
    queues, schedules = await store.queues(), await store.schedules()
    lines: list[str] = []

    def metric(name: str, kind: str, help_: str, samples: Iterable[tuple[dict[str, str], float]]) -> None:
        lines.extend((f"# HELP {name} {help_}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{_labels(labels)} {value:g}" for labels, value in samples)

    metric("polos_info", "gauge", "The version that runs.", [({"version": __version__}, 1)])
    metric("polos_executions", "gauge", "Executions by status.",
           [({"status": status.value}, counts.get(status, 0)) for status in Status])  # fmt: skip
    metric("polos_events_total", "counter", "Events of the log.", [({}, newest[-1].position if newest else 0)])
    metric("polos_workers", "gauge", "Workers that are there.", [({}, len(workers))])
    of = [({"queue": one.name, "concurrency_key": one.concurrency_key}, one) for one in queues]
    metric(
        "polos_queue_running", "gauge", "Executions that hold a place.", [(labels, len(q.running)) for labels, q in of]
    )
    metric("polos_queue_waiting", "gauge", "Executions that wait for one.", [(labels, q.queued) for labels, q in of])
    told = [({"workflow": one.rule.workflow_id, "key": one.rule.key}, one) for one in schedules]
    for name, help_ in (("started", "Executions started by the clock."), ("skipped", "Slots skipped: they would have overlapped."),
                        ("missed", "Slots missed: no engine was up.")):  # fmt: skip
        metric(f"polos_schedule_{name}_total", "counter", help_, [(labels, getattr(s, name)) for labels, s in told])
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    told = (
        name + '="' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        for name, value in labels.items()
    )
    return "{" + ",".join(told) + "}"


ROUTES = (
    Route(method="GET", path="/health", name="getHealth", summary="Whether the engine is up", gives=HealthOut,
          handler=health, is_open=True),
    Route(method="GET", path="/metrics", name="getMetrics", summary="Metrics, in the text format of Prometheus",
          handler=metrics, media="text/plain"),
    Route(method="GET", path="/openapi.json", name="getDocument", summary="This document", handler=document, is_open=True),
)  # fmt: skip
