"""All that only reads, over a second, read-only connection: works beside any owner and with none (R5)."""

from __future__ import annotations

import asyncio
import sqlite3
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from polos.core.forks import Provenance
from polos.core.manifest import Declared, QueueState, Schedule, WorkerInfo
from polos.core.model import Entry, Event, Execution, FailedAttempt, Life, LogLine, Outcome, PendingWait
from polos.core.status import Status
from polos.errors import StoreUnavailable
from polos.ports import EventFilter, ExecutionFilter, LogFilter
from polos.store.sql import listing
from polos.store.sql.events import event_from
from polos.store.sql.executions import attempt_from, entry_from, wait_from
from polos.store.sql.forking import provenance_from
from polos.store.sql.schedules import schedules_from
from polos.store.sql.statements import statements

if TYPE_CHECKING:
    import aiosqlite

_BUSY_FOR = 5.0


class SqliteReader:
    """Implements `ReadStore`. One short transaction a query; never migrates, never checkpoints."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._opening: asyncio.Future[aiosqlite.Connection | None] | None = None
        self._closed = False
        self._reading = 0
        self._forgotten: Any = None

    @property
    def is_reading(self) -> bool:
        """True while a query runs on the connection's thread."""
        return self._reading > 0

    async def _rows(self, sql: str, params: Any = ()) -> list[Any]:
        self._reading += 1
        try:
            return await self._query(sql, params)
        finally:
            self._reading -= 1

    async def _query(self, sql: str, params: Any) -> list[Any]:
        if self._closed:
            raise closed()
        if self._connection is None and not self._path.exists():
            return []  # nothing was ever started here
        connection = self._connection or await self._open()
        if connection is None:
            return []  # or is just being made
        for pause in (0.01, 0.05, 0.2, 0.5, 1.0, _BUSY_FOR):
            try:
                # One job on its thread: a half-read statement would hold every other query at its old snapshot.
                return list(await connection.execute_fetchall(sql, params))
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise StoreUnavailable(f"{self._path} cannot be read: {error}") from error
            await asyncio.sleep(pause)
        raise StoreUnavailable(f"{self._path} stayed locked", hint="is another program working on the file?")

    async def _open(self) -> aiosqlite.Connection | None:
        # In a task of its own: a call that is given up while it opens must not leave half a connection behind.
        if self._opening is None or (self._opening.done() and self._connection is None):
            self._opening = asyncio.ensure_future(self._open_now())
            self._opening.add_done_callback(_retrieved)
        connection = await asyncio.shield(self._opening)
        if self._closed:
            raise closed()
        return connection

    async def _open_now(self) -> aiosqlite.Connection | None:
        import aiosqlite

        if self._connection is None:
            connection = aiosqlite.connect(f"file:{_quoted(self._path)}?{self._mode()}", uri=True, isolation_level=None,
                                           check_same_thread=False)  # fmt: skip
            connection._thread.daemon = True  # an open connection must not hang the exit
            try:
                await connection
                await connection.execute("PRAGMA query_only = ON")
                (tables,) = await connection.execute_fetchall("SELECT COUNT(*) FROM sqlite_master")
                if not tables[0]:
                    await connection.close()
                    return None
                await connection.execute_fetchall("SELECT COUNT(*) FROM migration")
            except sqlite3.Error as error:
                await connection.close()
                raise StoreUnavailable(
                    f"{self._path} cannot be read: {error}", hint="is it a polos database?"
                ) from error
            if self._closed:
                await connection.close()
                return None
            self._connection = connection
            # A reader that nobody closes, because its loop is closed or its client gone, leaves no thread behind.
            self._forgotten = weakref.finalize(self, _abandon, connection)
            self._forgotten.atexit = False
        return self._connection

    def _mode(self) -> str:
        wal = self._path.with_name(self._path.name + "-wal")
        folder_writable = _writable(self._path.parent)
        if not folder_writable and not (wal.exists() and wal.stat().st_size):
            return "mode=ro&immutable=1"
        return "mode=ro"

    async def _named(self, name: str, params: Any = None) -> list[Any]:
        return await self._rows(statements()[name], params or {})

    async def get(self, execution_id: str) -> Execution | None:
        sql, params = listing.by_id(execution_id)
        rows = await self._rows(sql, params)
        return listing.execution_from(rows[0]) if rows else None

    async def find(self, reference: str) -> list[Execution]:
        sql, params = listing.by_reference(reference)
        return [listing.execution_from(row) for row in await self._rows(sql, params)]

    async def search(self, wanted: ExecutionFilter) -> list[Execution]:
        sql, params = listing.search(wanted)
        return [listing.execution_from(row, check=False) for row in await self._rows(sql, params)]

    async def _number(self, execution_id: str) -> int:
        rows = await self._named("execution_by_id", {"id": execution_id})
        return int(rows[0][0]) if rows else 0

    async def journal(self, execution_id: str) -> list[Entry]:
        number = await self._number(execution_id)
        return [entry_from(row) for row in await self._named("entries_after", {"execution": number, "since": 0})]

    async def waits(self, execution_id: str) -> list[PendingWait]:
        number = await self._number(execution_id)
        return [wait_from(row) for row in await self._named("waits_of", {"execution": number})]

    async def attempts(self, execution_id: str) -> list[FailedAttempt]:
        number = await self._number(execution_id)
        return [attempt_from(row) for row in await self._named("attempts_of", {"execution": number})]

    async def events(self, wanted: EventFilter) -> list[Event]:
        sql, params = listing.events(wanted)
        found = [event_from(row) for row in await self._rows(sql, params)]
        return found[::-1] if wanted.newest else found

    async def logs(self, wanted: LogFilter) -> list[tuple[int, str, LogLine]]:
        sql, params = listing.logs(wanted)
        return [listing.log_from(row) for row in await self._rows(sql, params)]

    async def counts(self) -> dict[Status, int]:
        return {Status(status): count for status, count in await self._named("counts")}

    async def workers(self) -> list[WorkerInfo]:
        rows: Sequence[Any] = await self._named("workers")
        return [
            WorkerInfo(
                id=r[0],
                pid=r[1],
                project=r[2],
                complete=bool(r[3]),
                workflow_ids=tuple(orjson.loads(r[4])),
                started_at=r[5],
                claims=r[6],
                ended_at=r[7],
                code=r[8],
            )
            for r in rows
        ]

    async def superseded(self, execution_id: str) -> list[tuple[int, Entry]]:
        number = await self._number(execution_id)
        rows = await self._named("superseded_entries", {"execution": number})
        return [(row[-1], entry_from(row[:-1])) for row in rows]

    async def lives(self, execution_id: str) -> list[Life]:
        number = await self._number(execution_id)
        return [
            Life(number=n, outcome=Outcome(outcome), error_type=error_type, cause_key=cause_key, ended_at=ended_at,
                 retried_at=retried_at)
            for n, outcome, error_type, cause_key, ended_at, retried_at in await self._named("lives_of", {"execution": number})
        ]  # fmt: skip

    async def provenance(self, execution_id: str) -> Provenance | None:
        rows = await self._named("provenance", {"execution": await self._number(execution_id)})
        return provenance_from(rows[0]) if rows else None

    async def schedules(self) -> list[Schedule]:
        return schedules_from(await self._named("schedules"))

    async def queues(self) -> list[QueueState]:
        states = await self._named("queue_states")
        holders: dict[tuple[str, str], list[int]] = {}
        for queue, key, number in await self._named("queue_holders"):
            holders.setdefault((queue, key), []).append(number)
        return [
            QueueState(name=name, concurrency_key=key, concurrency_limit=limit, queued=queued, oldest_at=oldest_at,
                       running=tuple(holders.get((name, key), ())))
            for name, key, limit, queued, oldest_at in states
        ]  # fmt: skip

    async def declared(self) -> list[Declared]:
        rows = await self._named("declared")
        return [Declared(workflow_id=workflow_id, queue=queue, about=about) for workflow_id, queue, about in rows]

    async def place_in_line(self, execution_id: str) -> int:
        number = await self._number(execution_id)
        return int((await self._named("place_in_line", {"execution": number}))[0][0])

    async def close(self) -> None:
        self._closed = True
        if self._opening is not None and not self._opening.done():
            await asyncio.wait({self._opening})
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._forgotten.detach()
            await connection.close()


def closed() -> StoreUnavailable:
    """Returns the error of whoever still waits on a store that was closed."""
    return StoreUnavailable("the engine was stopped", hint="the execution goes on when an engine runs again")


def _retrieved(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled():
        opening.exception()  # whoever looked may have gone


def _abandon(connection: aiosqlite.Connection) -> None:
    """Closes a connection on its own thread, and ends that, with no loop to tell."""
    from aiosqlite.core import _STOP_RUNNING_SENTINEL

    own, connection._connection = connection._connection, None
    connection._running = False

    def close_and_stop() -> object:
        if own is not None:
            own.close()
        return _STOP_RUNNING_SENTINEL

    if connection._thread.is_alive():
        connection._tx.put_nowait((None, close_and_stop))
    else:
        close_and_stop()


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK)
