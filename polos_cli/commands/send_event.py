"""`polos send-event`: publishes an event and says what it set off. Waits for nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from polos.core.model import Published
from polos.errors import UsageError
from polos_cli.options import FORMS, read_input
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, run_async


def command(
    topic: Annotated[str, typer.Argument(help="The topic, such as approval.response.")],
    data: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    id: Annotated[
        str | None, typer.Option("--id", help="The event's id: sent again with it, it is stored once.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The event's type.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Publish an event on a topic."""
    if topic.endswith("*"):
        raise UsageError(
            f"an event goes to one topic; {topic!r} would be one that ends with a star",
            hint="a star stands for all topics that start so where events are listened for: trigger_on_event, polos events --topic",
        )
    payload = read_input(data or [])

    async def publish() -> tuple[Published, bool]:
        async with client_for(database, may_be_new=True) as client:
            published = await client.publish(topic, payload, event_type, id)
            return published, bool(await client.workers())

    done, is_worked_on = run_async(publish())
    if as_json:
        stdout.document(
            {"kind": "published", "v": 1, "id": done.id, "topic": topic, "sequence": done.sequence, "created": done.created,
             "woken": list(done.woken), "started": list(done.started)}
        )  # fmt: skip
        return
    stdout.data(
        f"event {done.id}: number {done.sequence} on {topic}" + ("" if done.created else " (it was there before)")
    )
    if done.woken:
        numbers = ", ".join(map(str, done.woken))
        later = "" if is_worked_on else f"; go on with one: polos run --attach {done.woken[0]}"
        stderr.say(f"woke {len(done.woken)}: execution {numbers}{later}")
    if done.started:
        numbers = ", ".join(map(str, done.started))
        later = "" if is_worked_on else ", which no worker runs yet: polos worker"
        stderr.say(f"started {len(done.started)}: execution {numbers}{later}")
    if done.created and not done.woken and not done.started:
        stderr.warn(
            f"it woke and started nothing: nothing waits on {topic!r} for an event with such data now",
            "it is kept: who asks later, or gathers a batch, has it; polos why tells of a wait which events it passed over",
        )
