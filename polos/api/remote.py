"""A store over HTTP: what `PolosClient("http://...")` speaks. Owns nothing, and repeats nothing that was not answered.

Needs httpx (``pip install 'polos-engine[http]'``). Starts, publishes and answers carry ids chosen here, so that a repeated
request does nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import orjson
from pydantic import BaseModel, TypeAdapter

from polos import errors
from polos.api.declared import QueueOut, ScheduleOut, WorkerOut, WorkflowOut
from polos.api.events import EventOut, PublishedOut
from polos.api.executions import ExecutionOut, RetriedOut, StartedOut, StoppedOut
from polos.api.history import JournalOut, LogOut
from polos.api.values import shape_of, value_of
from polos.authoring.payload import instant
from polos.core import jsontext
from polos.core.forks import ForkRequest, Provenance
from polos.core.manifest import Declared, QueueState, Schedule, ScheduleRule, WorkerInfo
from polos.core.model import (
    Entry,
    Event,
    Execution,
    FailedAttempt,
    Life,
    LogLine,
    NewEvent,
    NewExecution,
    PendingWait,
    Published,
    Retried,
    Started,
    Stopped,
    Stored,
)
from polos.core.status import Status
from polos.errors import EngineError, NoEngine, PolosError, UsageError
from polos.ports import EventFilter, ExecutionFilter, LogFilter, ScheduleChange

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
ANSWERED_WITHIN = 30.0
PAGE = 1000
"""How many of a listing are asked for at once."""
_ERRORS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PolosError) and kind is not PolosError
}


class HttpStore:
    """Implements what clients use of `ClientStore`, on one loop."""

    def __init__(self, url: str, token: str | Callable[[], str | None] | None) -> None:
        """`token`: a function is asked for it again when the server, started anew, wants another one."""
        try:
            import httpx
        except ImportError as error:
            raise UsageError(f"a client of {url} needs httpx", hint="pip install 'polos-engine[http]'") from error
        self._find = token if callable(token) else lambda: token
        self._url, self._token = url.rstrip("/"), self._find()
        self._http: httpx.AsyncClient = httpx.AsyncClient(
            base_url=f"{self._url}/api/v1", timeout=httpx.Timeout(ANSWERED_WITHIN, connect=5.0),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20), trust_env=False,
        )  # fmt: skip

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def _ask(
        self, method: str, path: str, gives: Any, *, body: Any = None, query: Any = None, wait: float = 0.0
    ) -> Any:
        import httpx

        content = None if body is None else jsontext.dumps(body, default=str)
        headers = {"content-type": "application/json"} if body is not None else {}
        asked = {name: _said(value) for name, value in (query or {}).items() if value is not None}
        try:
            for _ in range(2):
                shown = {"authorization": f"Bearer {self._token}"} if self._token else {}
                answer = await self._http.request(
                    method, path, content=content, params=asked, headers={**headers, **shown},
                    timeout=httpx.Timeout(ANSWERED_WITHIN + wait, connect=5.0),
                )  # fmt: skip
                if answer.status_code != 401:
                    break
                before, self._token = self._token, self._find()
                if self._token == before:
                    break  # else it was refused, did nothing, and may be made again
        except httpx.HTTPError as error:
            raise NoEngine(
                f"{self._url} does not answer: {type(error).__name__}{f': {error}' if str(error) else ''}",
                hint="is `polos dev` or `polos serve` up there?",
            ) from error
        if answer.is_success:
            return (
                TypeAdapter(gives).validate_json(answer.content)
                if not _is_model(gives)
                else gives.model_validate_json(answer.content)
            )
        if answer.status_code == 401:
            raise UsageError(
                f"{self._url} wants its token, and was shown {'another one' if self._token else 'none'}",
                hint="set POLOS_TOKEN to it: the server's own POLOS_TOKEN, or what its .polos/server.json says",
            )
        raise _error_of(answer.status_code, answer.content, self._url)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    async def get(self, execution_id: str) -> Execution | None:
        found = await self.find(execution_id)
        return found[0] if found else None

    async def find(self, reference: str) -> list[Execution]:
        try:
            found: ExecutionOut = await self._ask("GET", f"/executions/{quote(reference, safe='')}", ExecutionOut)
        except errors.UnknownExecution:
            return []
        return [found.record()]

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        """Returns it once it has ended or is blocked, or as it is after so many seconds."""
        path, query = f"/executions/{quote(execution_id, safe='')}", {"wait_seconds": seconds}
        try:
            found: ExecutionOut = await self._ask("GET", path, ExecutionOut, query=query, wait=seconds)
        except errors.UnknownExecution:
            return None
        return found.record()

    async def counts(self) -> dict[Status, int]:
        return {Status(name): count for name, count in (await self._ask("GET", "/counts", dict[str, int])).items()}

    async def search(self, wanted: ExecutionFilter) -> list[Execution]:
        if len(wanted.statuses) > 1:  # the server takes one
            parts = [await self.search(replace(wanted, statuses=frozenset({one}))) for one in wanted.statuses]
            return sorted((one for part in parts for one in part), key=lambda one: -one.number)[: wanted.limit]
        query = {
            "status": next(iter(wanted.statuses), None), "workflow": wanted.workflow_id, "parent": wanted.parent_id,
            "root": wanted.root_id, "since": _instant(wanted.since), "until": _instant(wanted.until),
            "before": wanted.before,
        }  # fmt: skip
        found: list[Execution] = []
        while len(found) < wanted.limit:
            query["limit"] = limit = min(wanted.limit - len(found), PAGE)
            page = await self._ask("GET", "/executions", list[ExecutionOut], query=query)
            found += [one.record() for one in page]
            if len(page) < limit:
                break
            query["before"] = found[-1].number
        return found

    async def _journal(self, execution_id: str) -> JournalOut:
        path = f"/executions/{quote(execution_id, safe='')}/journal"
        return cast(JournalOut, await self._ask("GET", path, JournalOut))

    async def journal(self, execution_id: str) -> list[Entry]:
        return [one.record() for one in (await self._journal(execution_id)).entries]

    async def waits(self, execution_id: str) -> list[PendingWait]:
        return [one.record() for one in (await self._journal(execution_id)).waits]

    async def attempts(self, execution_id: str) -> list[FailedAttempt]:
        return [one.record() for one in (await self._journal(execution_id)).attempts]

    async def lives(self, execution_id: str) -> list[Life]:
        return [one.record() for one in (await self._journal(execution_id)).lives]

    async def superseded(self, execution_id: str) -> list[tuple[int, Entry]]:
        return [(one.life, one.entry.record()) for one in (await self._journal(execution_id)).superseded]

    async def place_in_line(self, execution_id: str) -> int:
        return (await self._journal(execution_id)).before

    async def events(self, wanted: EventFilter) -> list[Event]:
        query = {
            "topic": f"{wanted.prefix}*" if wanted.prefix is not None else wanted.topic,
            "after": None if wanted.newest else wanted.after_position,
            "after_sequence": wanted.after_sequence or None, "lifecycle": wanted.lifecycle,
            "since": _instant(wanted.since), "until": _instant(wanted.until), "before": wanted.before_position,
        }  # fmt: skip
        found: list[Event] = []
        while len(found) < wanted.limit:
            query["limit"] = min(wanted.limit - len(found), PAGE)
            page = [one.record() for one in await self._ask("GET", "/events", list[EventOut], query=query)]
            if not page:
                break  # a page may be short because what it holds is long
            if wanted.newest:
                found, query["before"] = page + found, page[0].position
            else:
                found, query["after"] = found + page, page[-1].position
        return found

    async def logs(self, wanted: LogFilter) -> list[tuple[int, str, LogLine]]:
        if wanted.execution_id is None:
            raise UsageError("over HTTP, captured lines are had for one execution", hint="name it")
        query = {"step": wanted.step_key, "level": wanted.level, "after": wanted.after_position, "limit": wanted.limit}
        path = f"/executions/{quote(wanted.execution_id, safe='')}/logs"
        return [one.record() for one in await self._ask("GET", path, list[LogOut], query=query)]

    async def workers(self) -> list[WorkerInfo]:
        return [one.record() for one in await self._ask("GET", "/workers", list[WorkerOut])]

    async def declared(self) -> list[Declared]:
        found: list[WorkflowOut] = await self._ask("GET", "/workflows", list[WorkflowOut])
        return [
            Declared(workflow_id=one.id, queue=one.queue, about=orjson.dumps(one.model_dump()).decode())
            for one in found
        ]

    async def schedules(self) -> list[Schedule]:
        return [one.record() for one in await self._ask("GET", "/schedules", list[ScheduleOut])]

    async def queues(self) -> list[QueueState]:
        return [one.record() for one in await self._ask("GET", "/queues", list[QueueOut])]

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        items = [
            {
                "workflow": one.workflow_id, "id": one.id, "payload": value_of(one.input),
                "payload_shape": shape_of(one.input), "initial_state": value_of(one.initial_state),
                "initial_state_shape": shape_of(one.initial_state),
                "session_id": one.session_id, "user_id": one.user_id, "queue": one.queue,
                "concurrency_key": one.concurrency_key, "idempotency_key": one.idempotency_key,
                "run_timeout_seconds": None if one.run_timeout is None else one.run_timeout / 1e6,
                "delay_seconds": one.delay / 1e6,
            }
            for one in executions
        ]  # fmt: skip
        found = await self._ask("POST", "/executions", list[StartedOut], body={"executions": items})
        return [one.record() for one in found]

    async def check_input(self, workflow_id: str, payload: Stored) -> Stored | None:
        return None  # the server has it checked at the start

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]:
        items = [
            {
                "topic": one.topic,
                "type": one.type,
                "data": value_of(one.data),
                "shape": shape_of(one.data),
                "id": one.id,
            }
            for one in events
        ]
        found = await self._ask("POST", "/events", list[PublishedOut], body={"events": items})
        return [one.record() for one in found]

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        body = {"step": step_key, "data": value_of(data), "shape": shape_of(data), "id": answer_id}
        await self._ask("POST", f"/executions/{quote(execution_id, safe='')}/resume", dict[str, bool], body=body)

    async def cancel(self, execution_id: str) -> Stopped:
        found: StoppedOut = await self._ask("POST", f"/executions/{quote(execution_id, safe='')}/cancel", StoppedOut)
        return Stopped(ended=tuple(found.ended), ending=tuple(found.ending))

    async def retry(self, execution_id: str) -> Retried:
        found: RetriedOut = await self._ask("POST", f"/executions/{quote(execution_id, safe='')}/retry", RetriedOut)
        return Retried(
            number=found.number, life=found.life, superseded=tuple(found.superseded), reopened=tuple(found.reopened)
        )

    async def fork(self, request: ForkRequest) -> Started:
        if request.given is not None:
            raise UsageError("over HTTP, only executions of that server are forked", hint="use the database's url")
        body: dict[str, Any] = {
            "id": request.id, "at": request.at, "set": {key: value_of(one) for key, one in request.edits.items()},
            "shapes": {key: shape for key, one in request.edits.items() if (shape := shape_of(one))},
        }  # fmt: skip
        if request.input is not None:
            body |= {"input": value_of(request.input), "input_shape": shape_of(request.input)}
        path = f"/executions/{quote(request.source_id, safe='')}/fork"
        found: StartedOut = await self._ask("POST", path, StartedOut, body=body)
        return found.record()

    async def provenance(self, execution_id: str) -> Provenance | None:
        found = (await self._journal(execution_id)).fork
        return None if found is None else found.record()

    async def put_schedule(self, rule: ScheduleRule, schedule_id: str) -> str:
        body = {"workflow": rule.workflow_id, "cron": rule.cron, "timezone": rule.timezone, "key": rule.key,
                "catchup": rule.catchup, "overlap": rule.overlap}  # fmt: skip
        return str((await self._ask("POST", "/schedules", dict[str, str], body=body))["id"])

    async def change_schedule(self, schedule_id: str, change: ScheduleChange) -> None:
        path = f"/schedules/{quote(schedule_id, safe='')}"
        if change == "delete":
            await self._ask("DELETE", path, dict[str, bool])
        else:
            await self._ask("POST", f"{path}/{change}", dict[str, bool])

    async def trigger_schedule(self, schedule_id: str, execution_id: str) -> Started:
        found: StartedOut = await self._ask("POST", f"/schedules/{quote(schedule_id, safe='')}/trigger", StartedOut)
        return found.record()

    async def backfill_schedule(self, schedule_id: str, since: int, until: int) -> list[int]:
        body = {"since": _instant(since), "until": _instant(until)}
        path = f"/schedules/{quote(schedule_id, safe='')}/backfill"
        return list((await self._ask("POST", path, dict[str, list[int]], body=body))["executions"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UsageError(f"{name!r} is not had over HTTP", hint="use the database's url where you have the file")


def _is_model(gives: Any) -> bool:
    return isinstance(gives, type) and issubclass(gives, BaseModel)


def _instant(micros: int | None) -> str | None:
    return None if micros is None else instant(micros).isoformat()


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error_of(status: int, content: bytes, url: str) -> PolosError:
    """Returns the error that the server told, as its own class."""
    try:
        told = orjson.loads(content)["error"]
        kind = _ERRORS.get(told["code"], EngineError)
        error = kind.__new__(kind)
        found = tuple((path, message) for path, message in told.get("errors", ()))
        facts = {"errors": found} if found else {}
        PolosError.__init__(error, told["message"], hint=told.get("hint", ""), **facts)
        return error
    except (ValueError, KeyError, TypeError):
        return EngineError(
            f"{url} answered {status}, and not as polos does", hint="is another program listening there?"
        )
