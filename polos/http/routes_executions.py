"""Routes of executions: start, list, look, wait, stop, try again, answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from pydantic import Field

from polos.api.executions import (
    ApprovalOut,
    BatchIn,
    BatchItem,
    ExecutionOut,
    ForkIn,
    ResumeIn,
    RetriedOut,
    RunIn,
    StartedOut,
    StoppedOut,
)
from polos.api.history import AttemptOut, EntryOut, JournalOut, LifeOut, LogOut, ProvenanceOut, SupersededOut, WaitOut
from polos.api.values import Done, Instant, Taken, Text, stored_of
from polos.authoring.checks import check_text
from polos.authoring.payload import BatchWorkflowInput, instant, microseconds
from polos.authoring.workflow import id_of
from polos.client.answering import check_answer
from polos.client.starting import new_execution
from polos.clock import TimeOrderedIds
from polos.core.forks import ForkRequest
from polos.core.model import Execution, Kind, NewExecution, Started
from polos.core.status import TERMINAL, Status
from polos.errors import PolosError, UnknownExecution
from polos.http.links import VALID_FOR
from polos.http.routes import Call, Engine, NoBody, NoQuery, Route
from polos.ports import ExecutionFilter, LogFilter

LONGEST_WAIT = 60.0
_ids = TimeOrderedIds()


class WaitQuery(Taken):
    """How long to wait for the end. It goes on all the same when the time is over."""

    wait_seconds: float = Field(default=0.0, ge=0, le=LONGEST_WAIT)


class ListQuery(Taken):
    """Which executions, newest first."""

    status: Status | None = None
    workflow: Text | None = None
    parent: Text | None = None
    root: Text | None = None
    since: Instant | None = None
    until: Instant | None = None
    before: int | None = Field(default=None, ge=1, le=1 << 62, description="only numbers below this one: the next page")
    limit: int = Field(default=100, ge=1, le=1000)


class LogQuery(Taken):
    """Which captured lines, oldest first."""

    step: Text | None = None
    level: Text | None = None
    after: int = Field(default=0, ge=0, le=1 << 62)
    limit: int = Field(default=1000, ge=1, le=10_000)


async def _new(engine: Engine, workflow_id: str, asked: RunIn) -> NewExecution:
    request = BatchWorkflowInput(
        id_of(workflow_id), asked.payload, asked.initial_state, asked.run_timeout_seconds, asked.session_id,
        asked.user_id, asked.queue, asked.concurrency_key, asked.idempotency_key,
    )  # fmt: skip
    new = new_execution(request, None, asked.id or _ids.new("exec"), asked.delay_seconds, None)
    if asked.initial_state_shape:
        new = replace(new, initial_state=stored_of(asked.initial_state, asked.initial_state_shape))
    if (
        asked.payload_shape
    ):  # its types are said: it comes from code that has the workflow, and checks it before it runs
        return replace(new, input=stored_of(asked.payload, asked.payload_shape))
    return await engine.client.checked(new)


async def run(call: Call[RunIn, WaitQuery]) -> StartedOut | ExecutionOut:
    """Starts one; with `wait_seconds` answers with the execution as it is then."""
    engine = call.engine
    new = await _new(engine, call.path["workflow"], call.body)
    (started,) = await engine.store.start([new])
    if not call.query.wait_seconds:
        return StartedOut.of(started)
    return ExecutionOut.of(await _ended(engine, started.id, call.query.wait_seconds))


async def batch(call: Call[BatchIn, NoQuery]) -> list[StartedOut]:
    """Starts all, or none."""
    items: list[BatchItem] = call.body.executions
    new = []
    for at, item in enumerate(items):
        try:
            new.append(await _new(call.engine, item.workflow, item))
        except PolosError as error:
            if len(items) > 1:
                error.message = f"executions[{at}]: {error.message}"
            raise
    started: list[Started] = await call.engine.store.start(new)
    return [StartedOut.of(one) for one in started]


async def _ended(engine: Engine, execution_id: str, seconds: float) -> Execution:
    """Returns an execution once it has ended or is blocked, or as it is after so many seconds."""
    until = engine.clock.monotonic() + seconds
    while True:
        changed = asyncio.ensure_future(engine.store.changed(execution_id))
        try:
            found = await engine.store.get(execution_id)
            if found is None:  # it was pruned meanwhile
                raise UnknownExecution(f"there is no execution {execution_id} any more", hint="polos ps lists them")
            left = until - engine.clock.monotonic()
            if found.status in TERMINAL or found.status is Status.BLOCKED or left <= 0:
                return found
            await asyncio.wait({changed}, timeout=min(left, 1.0))
        finally:
            changed.cancel()


async def _find(call: Call[Any, Any]) -> Execution:
    reference = call.path["execution"]
    check_text(reference, "a reference")
    return await call.engine.client.get(reference)


async def listing(call: Call[NoBody, ListQuery]) -> list[ExecutionOut]:
    """Lists them."""
    asked = call.query
    wanted = ExecutionFilter(
        statuses=frozenset({asked.status}) if asked.status else frozenset(), workflow_id=asked.workflow,
        parent_id=asked.parent, root_id=asked.root, since=microseconds(asked.since) if asked.since else None,
        until=microseconds(asked.until) if asked.until else None, before=asked.before, limit=asked.limit, with_values=False,
    )  # fmt: skip
    return [ExecutionOut.of(one, with_values=False) for one in await call.engine.store.search(wanted)]


async def show(call: Call[NoBody, WaitQuery]) -> ExecutionOut:
    """Looks at one, or waits for its end."""
    found = await _find(call)
    if call.query.wait_seconds:
        found = await _ended(call.engine, found.id, call.query.wait_seconds)
    return ExecutionOut.of(found)


async def journal(call: Call[NoBody, NoQuery]) -> JournalOut:
    """Returns all that is recorded."""
    found, store = await _find(call), call.engine.store
    return JournalOut(
        entries=[EntryOut.of(one) for one in await store.journal(found.id)],
        waits=[WaitOut.of(one) for one in await store.waits(found.id)],
        attempts=[AttemptOut.of(one) for one in await store.attempts(found.id)],
        fork=None if (origin := await store.provenance(found.id)) is None else ProvenanceOut.of(origin),
        lives=[LifeOut.of(one) for one in await store.lives(found.id)] if found.life else [],
        superseded=[SupersededOut(life=life, entry=EntryOut.of(one)) for life, one in await store.superseded(found.id)]
        if found.life else [],
        before=await store.place_in_line(found.id) if found.status is Status.QUEUED and found.queue is not None else 0,
    )  # fmt: skip


async def counts(call: Call[NoBody, NoQuery]) -> dict[str, int]:
    """Counts them by status."""
    return {status.value: count for status, count in (await call.engine.store.counts()).items()}


async def logs(call: Call[NoBody, LogQuery]) -> list[LogOut]:
    """Returns captured lines."""
    found, asked = await _find(call), call.query
    wanted = LogFilter(
        execution_id=found.id, step_key=asked.step, level=asked.level, after_position=asked.after, limit=asked.limit
    )
    return [LogOut.of(*one) for one in await call.engine.store.logs(wanted)]


async def cancel(call: Call[NoBody, NoQuery]) -> StoppedOut:
    """Cancels it and its children."""
    return StoppedOut.of(await call.engine.store.cancel((await _find(call)).id))


async def retry(call: Call[NoBody, NoQuery]) -> RetriedOut:
    """Reopens it."""
    return RetriedOut.of(await call.engine.client.retry((await _find(call)).id))


async def fork(call: Call[ForkIn, NoQuery]) -> StartedOut:
    """Starts a new execution with its history before a step."""
    found, asked, engine = await _find(call), call.body, call.engine
    if asked.at is not None:
        check_text(asked.at, "a step")
    input_ = None
    if "input" in asked.model_fields_set:
        input_ = stored_of(asked.input, asked.input_shape)
        if not asked.input_shape:  # as of a start
            new = NewExecution(id="", workflow_id=found.workflow_id, input=input_)
            input_ = (await engine.client.checked(new)).input
    shapes = asked.shapes or {}
    request = ForkRequest(
        id=asked.id or _ids.new("exec"), source_id=found.id, at=asked.at, input=input_,
        edits={key: stored_of(value, shapes.get(key)) for key, value in asked.set.items()},
    )  # fmt: skip
    return StartedOut.of(await engine.store.fork(request))


async def resume(call: Call[ResumeIn, NoQuery]) -> Done:
    """Answers a suspend, before or after it is reached."""
    found, asked = await _find(call), call.body
    check_text(asked.step, "a step")
    data = stored_of(asked.data, asked.shape)
    check_answer(found, await call.engine.store.waits(found.id), asked.step, data)
    await call.engine.store.resume(found.id, asked.step, data, asked.id or _ids.new("ans"))
    return Done()


async def approvals(call: Call[NoBody, NoQuery]) -> list[ApprovalOut]:
    """Returns the open suspends with a link for each."""
    found, engine = await _find(call), call.engine
    expires_at = engine.clock.now() + VALID_FOR
    return [
        ApprovalOut(
            step=wait.key, data=WaitOut.of(wait).request, deadline=WaitOut.of(wait).deadline,
            url=engine.links.to(found, wait.key, expires_at), expires_at=instant(expires_at),
        )
        for wait in await engine.store.waits(found.id) if wait.kind is Kind.SUSPEND
    ]  # fmt: skip


_E = "/executions/{execution}"
ROUTES = (
    Route(method="POST", path="/workflows/{workflow}/run", name="runWorkflow", summary="Start a workflow", body=RunIn,
          query=WaitQuery, gives=StartedOut | ExecutionOut, status=201, handler=run, refuses=(404, 409, 413, 422)),
    Route(method="POST", path="/executions", name="runBatch", summary="Start several executions, all or none",
          body=BatchIn, gives=list[StartedOut], status=201, handler=batch, refuses=(404, 409, 413, 422)),
    Route(method="GET", path="/executions", name="listExecutions", summary="List executions, newest first",
          query=ListQuery, gives=list[ExecutionOut], handler=listing),
    Route(method="GET", path="/counts", name="countExecutions", summary="How many executions there are of each status",
          gives=dict[str, int], handler=counts),
    Route(method="GET", path=_E, name="getExecution", summary="Look at an execution, or wait for its end",
          query=WaitQuery, gives=ExecutionOut, handler=show, refuses=(404,)),
    Route(method="GET", path=f"{_E}/journal", name="getJournal", summary="What is recorded of it: steps, waits, attempts",
          gives=JournalOut, handler=journal, refuses=(404,)),
    Route(method="GET", path=f"{_E}/logs", name="getLogs", summary="What it printed and logged", query=LogQuery,
          gives=list[LogOut], handler=logs, refuses=(404,)),
    Route(method="POST", path=f"{_E}/cancel", name="cancelExecution", summary="Cancel it and its children",
          gives=StoppedOut, handler=cancel, refuses=(404, 409)),
    Route(method="POST", path=f"{_E}/retry", name="retryExecution", summary="Reopen one that did not complete",
          gives=RetriedOut, handler=retry, refuses=(404, 409)),
    Route(method="POST", path=f"{_E}/fork", name="forkExecution",
          summary="Start a new one with its history before a step", body=ForkIn, gives=StartedOut, status=201,
          handler=fork, refuses=(400, 404, 413, 422)),
    Route(method="POST", path=f"{_E}/resume", name="resumeExecution", summary="Answer a suspend", body=ResumeIn,
          gives=Done, handler=resume, refuses=(404, 409, 413)),
    Route(method="GET", path=f"{_E}/approvals", name="listApprovals",
          summary="Its open suspends, each with a link to a page for a person", gives=list[ApprovalOut],
          handler=approvals, refuses=(404,)),
)  # fmt: skip
