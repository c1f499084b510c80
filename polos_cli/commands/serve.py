"""`polos serve`: the HTTP API alone. Runs no workflow; workers attach to it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from polos.clock import SystemClock
from polos.dev.serverfile import ServerFile, refuse_second, remove, write
from polos.errors import UsageError
from polos.http.ports import HOST, bind
from polos.local.owner import Owner
from polos.settings import Settings, database_path, load_settings, make_project
from polos_cli import errors
from polos_cli.output import stderr
from polos_cli.session import run_async


def command(
    port: Annotated[int | None, typer.Option(help="Where to listen; default: 4747, or the next that is free.")] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; beyond this machine POLOS_TOKEN must be set.")
    ] = HOST,
    no_schedules: Annotated[bool, typer.Option("--no-schedules", help="Fire no schedules.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
) -> int:
    """Serve the HTTP API, timers and schedules, and run nothing.

    Owns the database; `polos worker` and programs attach to it, and run the workflows.
    """
    settings = load_settings(overrides={"database": database, "port": None if port is None else str(port)})
    if settings.project_root is None and not settings.database:
        settings = make_project(Path.cwd())
        stderr.say(f"made {settings.project_root}/.polos for the database (no project was here)", "dim")
    if host not in (HOST, "::1", "localhost") and not settings.token:
        raise UsageError(
            f"{host} can be reached from other machines, and there is no token",
            hint="set POLOS_TOKEN to a long random text, and put a proxy with TLS before it",
        )
    if host in ("0.0.0.0", "::", "") and not settings.public_url:
        raise UsageError(
            f"{host!r} is every address of this machine, and requests are answered by name only",
            hint="set POLOS_PUBLIC_URL to the address that others use, such as https://polos.example.org; or name one address",
        )
    return run_async(_serve(settings, host, port is not None, not no_schedules))


async def _serve(settings: Settings, host: str, is_port_named: bool, schedules: bool) -> int:
    from polos.http.hosting import HostedApi

    refuse_second(settings)
    listening = bind(settings.port, is_port_named, HOST if host == "localhost" else host)
    clock, stop = SystemClock(), asyncio.Event()
    fault: list[BaseException] = []

    def failed(error: BaseException) -> None:
        fault.append(error)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    owner = Owner(
        settings.database, clock, durability=settings.durability, lease_seconds=settings.lease_seconds,
        on_yield=stop.set, on_fault=failed, with_schedules=schedules,
    )  # fmt: skip
    await owner.open(frozenset())
    folder = database_path(settings.database).parent
    try:
        api = HostedApi(owner.store, clock, listening, folder, settings.token, settings.public_url)
        await api.start()
        write(folder, ServerFile(url=api.url, token=api.token, pid=os.getpid()))
        also = f" and {settings.public_url}" if settings.public_url else ""
        stderr.say(f"serving {database_path(settings.database)} at {api.url}{also}", "bold")
        stderr.say(f"the token is in {folder / 'server.json'}; workers attach: polos worker", "dim")
        try:
            await stop.wait()
        finally:
            remove(folder, os.getpid())
            await api.close()
    finally:
        await owner.close(moves_on=True)
    if fault:
        raise fault[0]
    stderr.say("stopped", "dim")
    return errors.DONE
