"""What commands share: the project's settings, a client, times as people write them. Prints nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from polos.authoring.payload import instant, microseconds
from polos.authoring.registry import Registry
from polos.authoring.workflow import Workflow
from polos.client.bundle import SUFFIX, BundleClient
from polos.client.client import Client, PolosClient
from polos.clock import Clock, StoppedClock, SystemClock
from polos.core.durations import parse_duration
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution
from polos.errors import LoadError, NoProject, PolosError, UsageError
from polos.settings import ENVIRONMENT, STATE_FOLDER, Settings, load_settings
from polos_cli.output import stderr

T = TypeVar("T")
clock = SystemClock()


def settings_for(database: str | None = None) -> Settings:
    """Returns the settings here, with the database that a flag names."""
    return load_settings(overrides={"database": database})


def workflow_here(settings: Settings, name: str) -> Workflow:
    """Returns a workflow of the project, or of a file; says which other modules could not be imported. See `workflow_named`."""
    from polos.local.project import workflow_named
    from polos.worker.slow import watched_import

    with watched_import(stderr.warn):
        return workflow_named(settings, name, _warn_of_broken)


def modules_here(settings: Settings, passes_over: bool = True) -> Registry:
    """Imports the project's modules, as far as there are any; `passes_over`: those that cannot be are said, and left out."""
    from polos.local.project import load_if_there
    from polos.worker.slow import watched_import

    with watched_import(stderr.warn):
        return load_if_there(settings, _warn_of_broken if passes_over else None)


def _warn_of_broken(error: LoadError) -> None:
    stderr.warn(f"{error.message}; its workflows are left out")


def client_for(database: str | None = None, *, may_be_new: bool = False) -> PolosClient:
    """Returns a client of the project's database, or of a named one, which is to be there unless it `may_be_new`.

    Raises:
        NoProject: there is no project here.
        UsageError: the file that was named is not there.
    """
    settings = settings_for(database)
    is_named = bool(database or os.environ.get(ENVIRONMENT["database"]))
    if is_named and not may_be_new and settings.database.startswith("sqlite:"):
        path = settings.database_path()
        if not path.exists():
            raise UsageError(f"there is no database {path}", hint="polos run or polos invoke makes one")
    if not settings.database:
        raise NoProject(
            "there is no polos project here or in a folder above",
            hint="start one: polos init; or name a database: --database sqlite:///path/to.db",
        )
    return PolosClient(settings.database, token=lambda: _token_for(settings))


def _token_for(settings: Settings) -> str | None:
    """Returns POLOS_TOKEN (or the project's setting), else the token of the project's own server where that is asked."""
    if not settings.database.startswith("http") or settings.token or settings.project_root is None:
        return settings.token or None
    from polos.dev import serverfile

    found = serverfile.read(settings.project_root / STATE_FOLDER)
    return found.token if found is not None and found.url.rstrip("/") == settings.database.rstrip("/") else None


def reading(reference: str | None, database: str | None) -> tuple[PolosClient | BundleClient, str]:
    """Returns who reads an execution, and how it is named there.

    Args:
        reference: as of `Client.get`; or a bundle, ``bug.polos``, or another execution in it, ``bug.polos:7``.
    """
    path, _, inner = (reference or "").rpartition(":")
    for file, name in ((reference or "", ""), (path, inner)):
        if file.endswith(SUFFIX):
            if not Path(file).exists():
                raise UsageError(f"there is no file {file}", hint="polos export EXECUTION -o FILE.polos writes one")
            bundle = BundleClient(Path(file))
            return bundle, name or str(bundle.manifest["number"])
    return client_for(database), reference or ""


async def owner_facts(settings: Settings) -> Mapping[str, Any]:
    """Returns what the process that owns the database says of itself: ``pid``, ``keeps`` (it is a dev server), ``schedules``
    (they fire); empty where there is none, it does not answer, or the database is a server's."""
    from polos.store import owner_of
    from polos.wire.calls import Role
    from polos.wire.remote import Remote

    holder = owner_of(settings.database_path()) if settings.database.startswith("sqlite:") else None
    if holder is None or "socket" not in holder:
        return {}
    try:
        remote = await Remote.connect(Path(str(holder["socket"])), Role.CLIENT)
    except PolosError:
        return {}
    remote.close()
    return remote.facts


def clock_of(client: PolosClient | BundleClient) -> Clock:
    """Returns the clock of what is looked at: that of a bundle stands at the moment of its export."""
    if not isinstance(client, BundleClient):
        return clock
    exported = datetime.fromisoformat(str(client.manifest["exported_at"]))
    return StoppedClock(microseconds(exported))


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine to its end."""
    return asyncio.run(coroutine)


def moment(text: str | None) -> int | None:
    """Returns the instant of ``--since`` or ``--until``: a span back from now, or an ISO date and time."""
    if text is None:
        return None
    try:
        return clock.now() - parse_duration(text)
    except ValueError:
        pass
    try:
        return microseconds(datetime.fromisoformat(text))
    except ValueError:
        raise UsageError(
            f"{text!r} is neither a span of time nor a date", hint="write 10m, 2h, 3d, or 2026-11-24T10:00"
        ) from None


def rfc3339(at: int | None) -> str | None:
    """Returns an instant as RFC 3339 in UTC, to the millisecond."""
    if at is None:
        return None
    return instant(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(at: int) -> str:
    """Returns an instant as the local time of day, with the date when it is not today's."""
    local = instant(at).astimezone()
    today = instant(clock.now()).astimezone().date()
    return local.strftime("%H:%M:%S") if local.date() == today else local.strftime("%Y-%m-%d %H:%M:%S")


def execution_json(execution: Execution) -> dict[str, object]:
    """Returns an execution as ``--json`` shows it."""
    ended = execution.ended_at
    return {
        "kind": "execution",
        "v": 1,
        "number": execution.number,
        "id": execution.id,
        "workflow": execution.workflow_id,
        "status": execution.status.value,
        "created_at": rfc3339(execution.created_at),
        "started_at": rfc3339(execution.started_at),
        "ended_at": rfc3339(ended),
        "duration_ms": None if ended is None else (ended - execution.created_at) // 1000,
        "parent": execution.parent_id,
        "root": execution.root_id,
        "error_type": execution.error_type,
    }


async def runner_of(client: Client, execution: Execution, may_be_shown: bool = False) -> WorkerInfo | None:
    """Returns the worker that runs an execution, or will: the one that has it, else one that takes all that it can run.

    Args:
        may_be_shown: else, a `polos run` that could have taken it over from a worker that died.
    """
    workers = await client.workers()
    for one in workers:
        if one.id == execution.worker_id:
            return one
    able = [one for one in workers if execution.workflow_id in one.workflow_ids]
    for one in able:
        if one.claims not in ("own", "none"):
            return one
    return able[0] if may_be_shown and able else None


UTC = UTC
