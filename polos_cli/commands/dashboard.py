"""`polos dashboard`: opens the dashboard on the project's database, or on a bundle. Starts no engine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from polos.client.bundle import BundleClient
from polos.client.client import PolosClient
from polos.errors import UsageError
from polos_cli.output import style
from polos_cli.session import clock, reading, run_async, settings_for


def command(
    bundle: Annotated[
        str | None, typer.Argument(help="A file that polos export has written; default: the database.")
    ] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
) -> int:
    """See and drive everything from the terminal."""
    if not (sys.stdin.isatty() and style.can_move(sys.stdout)):
        raise UsageError(
            "the dashboard needs a terminal that can move its cursor",
            hint="polos ps, show, why and logs say the same, line by line",
        )
    client, _ = reading(bundle, database)
    if bundle is not None and not isinstance(client, BundleClient):
        raise UsageError(f"{bundle} is no bundle", hint="polos export writes them, as NAME.polos")
    return run_async(_show(client, bundle or settings_for(database).name))


async def _show(client: PolosClient | BundleClient, name: str) -> int:
    from polos_cli.dashboard.app import Dashboard
    from polos_cli.dashboard.feed import Feed

    async with client:
        app = Dashboard(Feed(client, clock), clock, name)
        await app.run_async()
        return app.return_code or 0
