"""`polos queues`: the queues, with who holds them and who waits. Reads only."""

from __future__ import annotations

from typing import Annotated

import typer

from polos.core.durations import show_duration
from polos.core.manifest import QueueState
from polos_cli.output import stderr, stdout
from polos_cli.output.tables import Column, table
from polos_cli.session import client_for, clock, rfc3339, run_async


def command(
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> None:
    """List the queues: limits, who runs, how many wait."""
    found = run_async(_queues(database))
    if as_json:
        for one in found:
            stdout.line(
                {"kind": "queue", "v": 1, "name": one.name, "concurrency_key": one.concurrency_key or None,
                 "concurrency_limit": one.concurrency_limit, "running": list(one.running), "queued": one.queued,
                 "oldest_at": rfc3339(one.oldest_at)}
            )  # fmt: skip
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
        return
    now = clock.now()
    columns: list[str | Column] = [
        Column(head="queue", fits=False), "key", Column(head="limit", right=True, fits=False), "running",
        Column(head="waiting", right=True, fits=False), Column(head="first since", right=True, fits=False),
    ]  # fmt: skip
    table(columns, [_row(one, now) for one in found])
    if not found:
        stderr.say('no queues: declare one with @workflow(queue=polos.queue("mail", 3))', "dim")


async def _queues(database: str | None) -> list[QueueState]:
    async with client_for(database) as client:
        return await client.access().read(lambda store: store.queues())


def _row(one: QueueState, now: int) -> list[str]:
    holders = ", ".join(map(str, one.running[:6])) + (f", … ({len(one.running)})" if len(one.running) > 6 else "")
    limit = "" if one.concurrency_limit is None else str(one.concurrency_limit)
    since = "" if one.oldest_at is None else show_duration(max(0, now - one.oldest_at))
    return [one.name, one.concurrency_key, limit, holders, str(one.queued), since]
