"""`polos events`: the event log, by topic or execution. Reads only; works with nothing running."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import typer

from polos.core import codec
from polos.core.ids import workflow_topic
from polos.core.model import Event
from polos.ports import EventFilter
from polos_cli.output import stdout, style
from polos_cli.output.sanitize import clip, sanitize
from polos_cli.session import clock_time, moment, reading, rfc3339, run_async

POLL = 0.2


def command(
    execution: Annotated[
        str | None, typer.Argument(help="Only this execution's tree: a number, an id, last, …")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Only this topic; a * at the end takes all that start so.")] = None,
    of: Annotated[str | None, typer.Option("--execution", help="The same as the argument.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[str | None, typer.Option(help="Since: 10m, 2h, or a date.")] = None,
    until: Annotated[str | None, typer.Option(help="Before.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.")] = 100,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> None:
    """Show the event log."""
    wanted = EventFilter(since=moment(since), until=moment(until), newest=True, limit=limit)
    if topic is not None and topic.endswith("*"):
        wanted = replace(wanted, prefix=topic[:-1])
    elif topic is not None:
        wanted = replace(wanted, topic=topic)
    run_async(_show(wanted, execution or of, follow, database, as_json))


async def _show(wanted: EventFilter, reference: str | None, follow: bool, database: str | None, as_json: bool) -> None:
    client, name = reading(reference, database)
    try:
        if name:
            found = await client.get(name)
            wanted = replace(wanted, topic=workflow_topic(found.root_workflow_id, found.root_id))
        access = client.access()
        while True:
            events = await access.read(lambda store, wanted=wanted: store.events(wanted))  # type: ignore[misc]  # a bound default
            for event in events:
                _write(event, as_json)
            if not follow:
                break
            last = events[-1].position if events else wanted.after_position
            wanted = replace(wanted, newest=False, after_position=last)
            await asyncio.sleep(POLL)
        if as_json:
            stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    finally:
        await client.close()


def _fact(name: str, value: Any) -> str:
    """Returns what an event of the engine's own says, as a person reads it: instants by the clock, text without quotes."""
    if name == "until" and isinstance(value, int):
        return clock_time(value)
    return value if isinstance(value, str) else stdout.to_json(value)


def _write(event: Event, as_json: bool) -> None:
    data = codec.plain(event.data)
    if as_json:
        if event.topic.startswith("workflow/") and isinstance(data, dict):
            data |= {name: rfc3339(data[name]) for name in ("at", "until") if isinstance(data.get(name), int)}
        stdout.line(
            {"kind": "event", "v": 1, "position": event.position, "id": event.id, "topic": event.topic,
             "sequence": event.sequence, "type": event.type, "data": data, "created_at": rfc3339(event.created_at)}
        )  # fmt: skip
        return
    text = stdout.to_json(data)
    if event.topic.startswith("workflow/") and isinstance(data, dict):
        text = sanitize(
            "  ".join(f"{key}={_fact(key, value)}" for key, value in data.items() if key not in ("id", "at"))
        )
    name = event.type or "event"
    topic = "" if event.topic.startswith("workflow/") else f"{event.topic}  "
    line = f"{event.position:>6}  {clock_time(event.created_at)}  {sanitize(name):<18}  {sanitize(topic)}{text}"
    import sys

    stdout.data(clip(line, style.columns()) if style.is_terminal(sys.stdout) else sanitize(line))
