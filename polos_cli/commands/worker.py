"""`polos worker`: runs the project's workflows until it is stopped, beside any others. Shows no execution."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from polos.authoring.registry import REGISTRY
from polos.errors import UsageError
from polos.local.polos import Polos
from polos.local.project import load_environment, load_project
from polos.settings import Settings, make_project
from polos.worker.slow import watched_import
from polos_cli import errors
from polos_cli.output import stderr
from polos_cli.session import run_async, settings_for

GRACE = 10.0
"""Seconds that running bodies have to end in, once the worker is to stop."""


def command(
    concurrency: Annotated[int, typer.Option(help="How many executions run at once; waiting ones do not count.")] = 100,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
) -> int:
    """Run the project's workflows until stopped.

    Any number of workers share one database; each claims what it has room for. Ctrl-C or SIGTERM: it takes nothing new,
    lets running bodies end for up to 10 s, and gives the rest to the others; a second time: at once.
    """
    if concurrency < 1:
        raise UsageError(f"--concurrency is a number from 1, not {concurrency}")
    settings = settings_for(database)
    names = load_environment(settings)
    if names:
        stderr.say(f"set from {settings.env_file}: {', '.join(names)}", "dim")
    with watched_import(stderr.warn):
        load_project(settings)
    if not len(REGISTRY):
        raise UsageError(
            f"there is no workflow in {settings.project_root or Path.cwd()}",
            hint="write one with @workflow in workflows/, or start a project: polos init",
        )
    if not settings.database:
        settings = make_project(Path.cwd())
        stderr.say(f"made {settings.project_root}/.polos for the database (no project was here)", "dim")
    return run_async(_work(settings, concurrency))


async def _work(settings: Settings, concurrency: int) -> int:
    stop, at_once = asyncio.Event(), asyncio.Event()

    def asked_to_stop() -> None:
        if at_once.is_set():
            stderr.say("stopped on the spot; what ran goes on elsewhere, or at the next start", "yellow")
            os._exit(errors.INTERRUPTED)
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    polos = Polos(
        settings.database, durability=settings.durability, max_concurrent_workflows=concurrency, run_on="caller",
        complete=True, on_warning=stderr.warn,
    )  # fmt: skip
    entering = asyncio.create_task(polos.__aenter__())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({entering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not entering.done():
        entering.cancel()
        await asyncio.wait({entering})
        return errors.INTERRUPTED
    entering.result()
    _say_ready(polos, settings)
    serving = asyncio.create_task(polos.serve())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    try:
        if serving.done():
            serving.result()  # raises what ended the engine
    finally:
        serving.cancel()
        await _stop(polos, at_once)
    return errors.DONE


def _say_ready(polos: Polos, settings: Settings) -> None:
    workflows = sorted(one.id for one in REGISTRY)
    host = polos.host
    remote = host.store.remote if host.store else None
    if remote is not None:
        where = f"attached to process {remote.facts['pid']} ({remote.facts['command']}), which owns {host.path}"
    else:
        where = f"owns {host.path}"
    noun = "workflow" if len(workflows) == 1 else "workflows"
    stderr.say(f"worker of {settings.name}: {len(workflows)} {noun} ({', '.join(workflows)})")
    stderr.say(where, "dim")
    if host.taken_over:
        noun = "execution" if host.taken_over == 1 else "executions"
        stderr.say(f"took over {host.taken_over} {noun} of workers that died", "yellow")


async def _stop(polos: Polos, at_once: asyncio.Event) -> None:
    worker = polos.host.worker
    if worker is not None and worker.running:
        noun = "execution runs" if worker.running == 1 else "executions run"
        stderr.say(f"stopping: {worker.running} {noun}; bodies have {GRACE:.0f} s to end (again: at once)", "yellow")
    leaving = asyncio.create_task(polos.__aexit__())
    asked = asyncio.create_task(at_once.wait())
    await asyncio.wait({leaving, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not leaving.done():
        leaving.cancel()  # which stops at once
    await asyncio.wait({leaving})
    if not leaving.cancelled():
        leaving.result()
    stderr.say("stopped; nothing is lost", "dim")
