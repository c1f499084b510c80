"""`polos dashboard`: opens the dashboard on the project's database, or on a bundle. Starts no engine."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Annotated

import typer

from polos.client.bundle import BundleClient
from polos.client.client import PolosClient
from polos.errors import NoEngine, StoreUnavailable, UsageError
from polos_cli.output import style
from polos_cli.session import clock_of, owner_facts, reading, run_async, settings_for

THEMES = ("terminal", "dark", "light")


def command(
    bundle: Annotated[
        str | None, typer.Argument(help="A file that polos export has written; default: the database.")
    ] = None,
    theme: Annotated[
        str, typer.Option(help="terminal (its own colours), dark or light; T goes on to the next.")
    ] = "terminal",
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
) -> int:
    """See and drive everything from the terminal."""
    if not (sys.stdin.isatty() and style.can_move(sys.stdout)):
        raise UsageError(
            "the dashboard needs a terminal that can move its cursor",
            hint="polos ps, show, why and logs say the same, line by line",
        )
    if theme not in THEMES:
        raise UsageError(f"there is no theme {theme!r}", hint=f"one of {', '.join(THEMES)}")
    client, _ = reading(bundle, database)
    if bundle is not None and not isinstance(client, BundleClient):
        raise UsageError(f"{bundle} is no bundle", hint="polos export writes them, as NAME.polos")
    settings = settings_for(database)
    is_server = settings.database.startswith(("http://", "https://"))
    name = bundle or (settings.database.rpartition("//")[2] if is_server else settings.name)
    return run_async(_show(client, name, theme, bundle, database))


async def _show(
    client: PolosClient | BundleClient, name: str, theme: str, bundle: str | None, database: str | None
) -> int:
    from polos_cli.dashboard.actions import Actions, CommandLine
    from polos_cli.dashboard.app import Dashboard
    from polos_cli.dashboard.reading import Reading

    async with client:
        try:
            await client.access().read(lambda store: store.counts())
        except (NoEngine, StoreUnavailable):
            pass  # it may come: it is asked again and again
        is_bundle = isinstance(client, BundleClient)
        is_own = database is None or settings_for().database == settings_for(database).database
        actions = Actions(client, CommandLine(None if is_own else database, bundle))
        if hasattr(os, "nice"):
            os.nice(10)  # what is looked at comes before the looking
        settings = settings_for(database)
        facts = None if is_bundle else partial(owner_facts, settings)
        app = Dashboard(Reading(client, clock_of(client), facts), actions, name, theme=theme, is_bundle=is_bundle)
        await app.run_async()
        return app.return_code or 0
