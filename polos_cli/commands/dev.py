"""`polos dev`: the local dev server in a terminal. Serves nothing itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from polos.dev.happenings import Happening, Live, Refused, Standing
from polos.dev.leaving import GRACE
from polos.dev.serverfile import refuse_second
from polos.dev.supervisor import Supervisor
from polos.errors import UsageError
from polos.http.ports import bind
from polos.settings import Settings, load_settings, make_project
from polos_cli import errors
from polos_cli.output import stderr, stdout
from polos_cli.output.keys import Keys
from polos_cli.output.outlet import Outlet
from polos_cli.output.style import Style
from polos_cli.session import clock, clock_time, run_async
from polos_cli.view.happenings import lines_of
from polos_cli.view.happenings_json import record_of
from polos_cli.view.pace import Pace

WAITS_FOR_CODE = 0.4
"""Seconds that the first lines wait for the code's import, so that they can name the workflows."""
HELD = 500
"""Lines that are kept while the dashboard is open."""
KEYS = "d dashboard   r reload now   p pause or resume schedules   ? keys   ctrl-c stop"


def command(
    port: Annotated[int | None, typer.Option(help="Where to listen; default: 4747, or the next that is free.")] = None,
    no_schedules: Annotated[bool, typer.Option("--no-schedules", help="Fire no schedules.")] = False,
    no_retry_on_save: Annotated[
        bool, typer.Option("--no-retry-on-save", help="Do not retry failed executions when code changes.")
    ] = False,
    workers: Annotated[int, typer.Option(help="How many processes run the code.")] = 1,
    concurrency: Annotated[int, typer.Option(help="How many executions each of them runs at once.")] = 100,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines of all that happens.")] = False,
) -> int:
    """Run the project's workflows with hot reload.

    Owns the database; a save brings up new code, which running executions go on with. Ctrl-C: takes nothing new, lets
    running bodies end for up to 10 s; a second time: at once. Nothing is lost: the next start goes on.
    """
    for name, value in (("--workers", workers), ("--concurrency", concurrency)):
        if value < 1:
            raise UsageError(f"{name} is a number from 1, not {value}")
    settings = load_settings(overrides={"database": database, "port": None if port is None else str(port)})
    if settings.project_root is None:
        if not any(Path(module).exists() for module in settings.modules):
            raise UsageError(
                f"there is no polos project in {Path.cwd()} or in a folder above, and no {settings.modules[0]}",
                hint="start one: polos init shop && cd shop",
            )
        settings = make_project(Path.cwd(), {"database": database})
        stderr.say(f"made {settings.project_root}/.polos for the database (no project was here)", "dim")
    return run_async(
        _serve(settings, port is not None, not no_schedules, not no_retry_on_save, workers, concurrency, as_json)
    )


async def _serve(
    settings: Settings,
    is_port_named: bool,
    schedules: bool,
    retries: bool,
    workers: int,
    concurrency: int,
    as_json: bool,
) -> int:
    assert settings.project_root is not None
    screen = _Screen(settings, as_json)
    refuse_second(settings)
    listening = bind(settings.port, is_port_named)
    supervisor = Supervisor(
        settings, settings.project_root, screen.tell, with_schedules=schedules, retries_on_save=retries, workers=workers,
        concurrency=concurrency, listening=listening,
    )  # fmt: skip
    stop, at_once = asyncio.Event(), asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            supervisor.hurry()
            at_once.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop)
    standing = await supervisor.open()
    try:
        keys = Keys(
            {"r": supervisor.reload, "p": lambda: _pause(supervisor, screen), "?": lambda: screen.say(KEYS, "dim")}
        )
        dashboard = _Dashboard(keys, screen, settings.database)
        keys.actions["d"] = dashboard.open
        with keys, dashboard:
            screen.opened(standing, supervisor)
            supervisor.fault.add_done_callback(lambda _: stop.set())
            await stop.wait()
            screen.closing(supervisor)
            closing = asyncio.create_task(supervisor.close(0.0 if supervisor.fault.done() else GRACE))
            await _counted_down(closing, screen, at_once)
            closing.result()
    finally:
        screen.end()
    if supervisor.fault.done():
        raise supervisor.fault.result()
    stderr.say("stopped; nothing is lost, the next start goes on", "dim")
    return errors.DONE


class _Dashboard:
    """The dashboard in the place of the server's lines: a process of its own, so that it can take nothing down."""

    def __init__(self, keys: Keys, screen: _Screen, database: str) -> None:
        self._keys, self._screen, self._database = keys, screen, database
        self._open: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Opens it; the lines are said when it is left."""
        if self._open is None and not self._screen.is_json:
            self._open = asyncio.create_task(self._show())

    async def _show(self) -> None:
        self._keys.rest()
        self._screen.hold()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "polos_cli", "dashboard", "--database", self._database
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.terminate()  # which leaves the terminal as it was
                    await process.wait()
        finally:
            self._open = None
            self._keys.go_on()
            self._screen.go_on()

    def __enter__(self) -> _Dashboard:
        return self

    def __exit__(self, *error: object) -> None:
        if self._open is not None:
            self._open.cancel()


async def _counted_down(closing: asyncio.Task[None], screen: _Screen, at_once: asyncio.Event) -> None:
    """Waits for the end, and says each second how long bodies still have."""
    for left in range(round(GRACE), 0, -1):
        await asyncio.wait({closing}, timeout=1.0)
        if closing.done():
            return
        if not at_once.is_set():
            screen.say(f"bodies still run; they have {left - 1} s (ctrl-c: at once)", "yellow")
    await asyncio.wait({closing})


def _pause(supervisor: Supervisor, screen: _Screen) -> None:
    supervisor.pause_schedules(supervisor.fires_schedules)
    screen.say("schedules fire again" if supervisor.fires_schedules else "schedules are paused (p: go on)", "yellow")


class _Screen:
    """What is said, in order: the head first, then a line for each thing that happens."""

    def __init__(self, settings: Settings, as_json: bool) -> None:
        self._settings = settings
        self._as_json = as_json
        self._began = clock.monotonic()
        self._held: list[Happening] | None = []
        self._standing: Standing | None = None
        self._supervisor: Supervisor | None = None
        self._pace = Pace()
        self._outlet = Outlet(self._dropped)
        self._timer: asyncio.TimerHandle | None = None
        self._away: deque[tuple[str, Style]] | None = None

    def opened(self, standing: Standing, supervisor: Supervisor) -> None:
        """The database is there; the head follows once the code is, or soon."""
        self._standing, self._supervisor = standing, supervisor
        if self._as_json:
            self._record({"kind": "ready", "v": 1, **asdict(standing), "pid": os.getpid()})
        self._timer = asyncio.get_running_loop().call_later(WAITS_FOR_CODE, self._head)
        self._head_if_ready()

    def tell(self, happening: Happening) -> None:
        """Shows a happening, or keeps it until the head has been shown."""
        if self._held is not None:
            self._held.append(happening)
            self._head_if_ready()
            return
        self._show(happening)

    def _head_if_ready(self) -> None:
        if self._standing is not None and any(isinstance(one, Live | Refused) for one in self._held or ()):
            self._head()

    def _head(self) -> None:
        held, self._held = self._held, None
        if self._timer is not None:
            self._timer.cancel()
        if held is None or self._standing is None:
            return
        live = next((one for one in held if isinstance(one, Live)), None)
        if not self._as_json:
            self._say_head(self._standing, live)
        for one in held:
            if one is not live or self._as_json or live.checked.diverges or live.checked.unknown:
                self._show(one)

    def _say_head(self, standing: Standing, live: Live | None) -> None:
        from polos_cli.commands.version import polos_version

        took = clock.monotonic() - self._began
        self.say(f"polos {polos_version()} dev · {standing.project}   ready in {took:.2f} s", "bold")
        root = self._settings.project_root or Path.cwd()
        path = Path(standing.database)
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        url = f"{standing.url}   " if standing.url else ""
        self.say(f"  engine   {url}{shown}   durability {standing.durability}")
        if live is not None:
            names = ", ".join(live.manifest.workflows[:6]) + (", …" if len(live.manifest.workflows) > 6 else "")
            count = len(live.manifest.workflows)
            more = [_count(live.manifest.schedules, "schedule"), _count(live.manifest.triggers, "event trigger")]
            rest = "".join(f"   {one}" for one in more if one)
            self.say(f"  code     {live.manifest.code}   {_count(count, 'workflow') or 'no workflow'} ({names}){rest}")
            if live.manifest.env:
                self.say(f"  env      set from .env: {', '.join(live.manifest.env)}")
        if self._supervisor is not None and not self._supervisor.fires_schedules:
            self.say("  clock    schedules do not fire (p: let them)", "yellow")
        if standing.counts:
            parts = ", ".join(f"{count} {name}" for name, count in sorted(standing.counts.items()))
            took_over = f"; {standing.taken_over} taken over from a worker that died" if standing.taken_over else ""
            self.say(f"  resumed  {_count(sum(standing.counts.values()), 'execution')} ({parts}){took_over}", "cyan")
        self.say(f"  keys     {KEYS}" if sys.stdin.isatty() else "  stop     ctrl-c", "dim")

    def _show(self, happening: Happening) -> None:
        if self._as_json:
            for record in record_of(happening):
                self._record(record)
            return
        shown = lines_of(happening, clock_time(clock.now()), sys.stderr)
        for line in self._pace.take(shown, clock.monotonic()):
            self.say(line)

    @property
    def is_json(self) -> bool:
        """True if programs read it."""
        return self._as_json

    def hold(self) -> None:
        """Keeps what is to be said: something else has the terminal."""
        self._away = deque(maxlen=HELD)

    def go_on(self) -> None:
        """Says what was kept, and goes on."""
        kept, self._away = self._away or (), None
        for text, look in kept:
            self.say(text, look)

    def say(self, text: str, look: Style = "plain") -> None:
        """Says a line, in its turn."""
        if self._away is not None:
            self._away.append((text, look))
            return
        self._outlet.put(lambda: stderr.say(text, look))

    def _record(self, record: dict[str, Any]) -> None:
        self._outlet.put(lambda: stdout.line(record))

    def _dropped(self, count: int) -> None:
        if self._as_json:
            stdout.line({"kind": "dropped", "v": 1, "count": count})
        else:
            stderr.say(f"         {count} lines were dropped: nobody read them", "yellow")

    def closing(self, supervisor: Supervisor) -> None:
        """The end begins."""
        self._head()
        for line in self._pace.rest():
            self.say(line)
        if not self._as_json:
            self.say("stopping: nothing new is begun", "yellow")

    def end(self) -> None:
        """Says that a stream has ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._as_json:
            self._record({"kind": "end", "v": 1, "reason": "stopped"})
        self._outlet.end()


def _count(number: int, noun: str) -> str:
    return "" if not number else f"{number} {noun}" if number == 1 else f"{number} {noun}s"
