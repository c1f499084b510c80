"""The client: starts, follows and answers executions. Runs no workflow."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from polos.authoring.checks import check_text
from polos.authoring.children import execution_id_of
from polos.authoring.handle import ExecutionHandle
from polos.authoring.payload import BatchWorkflowInput, EventPayload
from polos.authoring.registry import REGISTRY, unknown
from polos.authoring.workflow import Workflow, id_of
from polos.client.connect import Access, FileAccess
from polos.client.drive import Driver, ExecutionRef, inside_workflow
from polos.client.inside import local_access
from polos.client.outcome import result_of
from polos.client.starting import new_execution
from polos.client.stream import follow, is_end_of
from polos.clock import SystemClock, TimeOrderedIds
from polos.core import codec
from polos.core.manifest import WorkerInfo
from polos.core.model import Entry, Execution, NewEvent, NewExecution, Published
from polos.core.status import TERMINAL, Status
from polos.errors import (
    NoProject,
    ResultTimeout,
    UnknownExecution,
    UsageError,
)
from polos.ports import EventFilter, ExecutionFilter

_clock = SystemClock()
_ids = TimeOrderedIds()

LONGEST_DELAY = 1e9
"""Seconds: some thirty years."""


class Client(Driver):
    """What `PolosClient` and `Polos` share; both are accepted wherever a client is."""

    def _known(self, workflow_id: str) -> Workflow | None:
        return REGISTRY.get(workflow_id)

    def _check_engine(self) -> None:
        """Raises what ended this client's own engine, if it has one and it has ended."""

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────

    async def invoke(
        self, workflow: Workflow | str, payload: Any = None, *, initial_state: Any = None, session_id: str | None = None,
        user_id: str | None = None, queue: Any = None, concurrency_key: str | None = None, idempotency_key: str | None = None,
        run_timeout_seconds: float | None = None, delay: float | None = None,
    ) -> ExecutionHandle:  # fmt: skip
        """Starts an execution; see `Workflow.invoke`. A bare id must be known to the database or to this process."""
        request = BatchWorkflowInput(
            id_of(workflow), payload, initial_state, run_timeout_seconds, session_id, user_id, queue, concurrency_key,
            idempotency_key,
        )  # fmt: skip
        known = workflow if isinstance(workflow, Workflow) else None
        return (await self._start([(request, known)], delay))[0]

    async def batch_invoke(self, inputs: Sequence[BatchWorkflowInput]) -> list[ExecutionHandle]:
        """Starts all or none, in one transaction, and returns their handles in order (S9.1)."""
        return await self._start([(request, None) for request in inputs], None)

    async def _start(
        self, requests: list[tuple[BatchWorkflowInput, Workflow | None]], delay: float | None
    ) -> list[ExecutionHandle]:
        inside_workflow("a client", "ctx.step.invoke or ctx.step.batch_invoke")
        if delay is not None and not 0 <= delay < LONGEST_DELAY:
            raise UsageError(f"a delay is seconds from 0, below {LONGEST_DELAY:,}, not {delay!r}")
        new = [await self._new(request, known, delay) for request, known in requests]
        started = await self._access().write(lambda store: store.start(new))
        return [ExecutionHandle(s.id, s.number, s.workflow_id, s.root_id, s.root_workflow_id, self) for s in started]

    async def _new(self, request: BatchWorkflowInput, given: Workflow | None, delay: float | None) -> NewExecution:
        workflow = given or self._known(id_of(request.id))
        new = new_execution(request, workflow, _ids.new("exec"), delay or 0.0, self._origin())
        return new if workflow is not None else await self.checked(new)

    async def checked(self, new: NewExecution) -> NewExecution:
        """Returns what a bare id starts, its payload checked by a worker that has the code, if one has (S9).

        Raises `UnknownWorkflow` and `InvalidInput`, where the database has manifests.
        """
        access = self._access()
        if access.checks_starts:
            return new
        checked = await access.write(lambda store: store.check_input(new.workflow_id, new.input))
        if checked is not None:
            return replace(new, input=checked)
        await self._refuse_unknown(new.workflow_id)
        return new

    async def _refuse_unknown(self, workflow_id: str) -> None:
        """Refuses an id that no manifest knows, if the database has manifests."""
        workers = await self._access().read(lambda store: store.workers())
        known = {name for worker in workers for name in worker.workflow_ids}
        if known and workflow_id not in known:
            raise unknown(workflow_id, known)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    async def get(self, execution: ExecutionRef) -> Execution:
        """Returns the execution as it is now.

        Args:
            execution: a handle, an id, a number, the end of an id, ``last`` or ``last:WORKFLOW``.

        Raises:
            UnknownExecution: none answers to that, or more than one.
        """
        inside_workflow("a client", "a step whose body asks it: ctx.step.run")
        self._check_engine()
        reference = str(execution) if isinstance(execution, int) else execution_id_of(execution)
        found = await self._access().read(lambda store: store.find(reference))
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownExecution(
                f"no execution answers to {reference!r}",
                hint="a number, an id or the end of one, last, or last:WORKFLOW; polos ps lists them",
            )
        some = ", ".join(f"{e.number} ({e.id[-8:]})" for e in found[:4])
        raise UnknownExecution(
            f"{reference!r} is the end of several ids: {some}", hint="give more of it, or the number"
        )

    async def list(
        self, *, status: Status | str | None = None, workflow: Workflow | str | None = None, limit: int = 100,
        parent: str | None = None, root: str | None = None, before: int | None = None, since: int | None = None,
        until: int | None = None,
    ) -> list[Execution]:  # fmt: skip
        """Returns executions, newest first."""
        inside_workflow("a client", "a step whose body asks it: ctx.step.run")
        if status is not None and status not in set(Status):
            raise UsageError(f"{status!r} is no status", hint="one of " + ", ".join(Status))
        wanted = ExecutionFilter(
            statuses=frozenset({Status(status)}) if status else frozenset(),
            workflow_id=id_of(workflow) if workflow else None, parent_id=parent, root_id=root, since=since, until=until,
            before=before, limit=limit,
        )  # fmt: skip
        return await self._access().read(lambda store: store.search(wanted))

    async def workers(self) -> Sequence[WorkerInfo]:
        """Returns who works on the database now: none when no engine is up, whatever its rows say of the past."""
        access = self._access()
        if not await access.is_owned():
            return []
        return [one for one in await access.read(lambda store: store.workers()) if one.ended_at is None]

    async def journal(self, execution: ExecutionRef) -> list[Entry]:  # type: ignore[valid-type]  # `list` is a method here
        """Returns the recorded outcomes, in the order in which they were recorded."""
        found = await self.get(execution)
        return await self._access().read(lambda store: store.journal(found.id))

    async def result(self, execution: ExecutionRef, timeout: float | None = None) -> Any:
        """Waits for the end and returns the result; `timeout` in seconds ends the waiting, not the execution.

        Raises:
            ExecutionFailed, ExecutionCancelled: it ended so.
            Diverged, StoredValueMismatch: it is blocked until new code comes (S8.3).
            ResultTimeout: it had not ended in time.
        """
        inside_workflow("a client", "ctx.step.result")
        access = self._access()
        execution_id = execution.id if isinstance(execution, ExecutionHandle) else (await self.get(execution)).id
        deadline = None if timeout is None else _clock.monotonic() + timeout
        while True:
            self._check_engine()
            left = 1.0 if deadline is None else max(0.001, min(1.0, deadline - _clock.monotonic()))
            found = await access.once_ended(execution_id, left)
            if found is None:
                raise UnknownExecution(f"there is no execution {execution_id}")
            if found.status in TERMINAL or found.status is Status.BLOCKED:
                return result_of(found, self._known(found.workflow_id))
            if deadline is not None and _clock.monotonic() >= deadline:
                raise ResultTimeout(
                    f"execution {found.number} of {found.workflow_id!r} is still {found.status.value} "
                    f"after {timeout:g} s",
                    hint=f"it goes on; see where it is: polos show {found.number}",
                )

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    async def publish(
        self, topic: str, data: Any = None, event_type: str | None = None, event_id: str | None = None
    ) -> Published:
        """Publishes an event; with an `event_id` of yours it is stored once, however often you send it (S5.2)."""
        return (
            await self._publish(
                [NewEvent(topic=topic, type=event_type, data=codec.encode(data), id=event_id or _ids.new("evt"))]
            )
        )[0]

    async def _publish(self, new: Sequence[NewEvent]) -> Sequence[Published]:
        inside_workflow("a client", "ctx.step.publish_event")
        for event in new:
            if not event.topic or not isinstance(event.topic, str) or len(event.topic) > 512:
                raise UsageError(f"a topic is text of 1 to 512 characters, not {event.topic!r}")
            for what, text in (("a topic", event.topic), ("an event's type", event.type), ("an event's id", event.id)):
                if text is not None:
                    check_text(text, what)
        return await self._access().write(lambda store: store.publish(new))

    # ── following ────────────────────────────────────────────────────────────────────────────────────

    def stream(self, topic: str, after: int | None = None) -> AsyncIterator[EventPayload]:
        """Follows a topic without end, from its start or after a sequence."""
        inside_workflow("a stream", "ctx.step.wait_for_event")
        return follow(self._access(), EventFilter(topic=topic, after_sequence=after or 0), lambda event: False)

    def execution_events(self, handle: ExecutionHandle) -> AsyncIterator[EventPayload]:
        """Follows the events of an execution's tree until that execution ends."""
        from polos.core.ids import workflow_topic

        inside_workflow("a stream", "ctx.step.result or ctx.step.wait_for_event")
        topic = workflow_topic(handle.root_workflow_id, handle.root_execution_id)
        return follow(self._access(), EventFilter(topic=topic), lambda event: is_end_of(event, handle.number))

    def access(self) -> Access:
        """Returns the way to the database, for the tools that read more than programs do."""
        return self._access()


class PolosClient(Client):
    """A client of a database. Does no IO until it is used; needs no closing (``async with`` closes early).

    Args:
        url: ``sqlite:///path``, or ``http://host:port`` of `polos dev` or `polos serve`; by default `POLOS_URL`, else the
            nearest project's database.
        token: for servers that ask for one; a function is asked again when the server wants another.
    """

    def __init__(self, url: str | None = None, *, token: str | Callable[[], str | None] | None = None) -> None:
        self._url = url
        self._token = token
        self._file: tuple[str, FileAccess] | None = None
        self._http: tuple[str, Access] | None = None

    @classmethod
    def from_env(cls) -> PolosClient:
        """Returns a client for `POLOS_URL` and `POLOS_TOKEN`, or the nearest project."""
        return cls(os.environ.get("POLOS_URL"), token=os.environ.get("POLOS_TOKEN"))

    def _access(self) -> Access:
        url = self._url or _default_url()
        if url.startswith(("http://", "https://")):
            return self._over_http(url)
        local = local_access(url)  # each time: an engine of this process may have come, gone, or been started anew
        if local is not None:
            return local
        if self._file is None or self._file[0] != url:
            self._file = (url, FileAccess(url))
        return self._file[1]

    def _over_http(self, url: str) -> Access:
        if self._http is None or self._http[0] != url:
            from polos.api.access import HttpAccess

            self._http = (url, HttpAccess(url, self._token or os.environ.get("POLOS_TOKEN")))
        return self._http[1]

    async def close(self) -> None:
        """Closes this loop's connection; the client can be used again."""
        if self._http is not None:
            await self._http[1].close()
        if self._file is not None:
            await self._file[1].close()

    async def __aenter__(self) -> PolosClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def _default_url() -> str:
    from polos.settings import load_settings

    settings = load_settings()
    if not settings.database:
        raise NoProject(
            "there is no polos project here, and none further up",
            hint="make one (polos init), set POLOS_URL, or name the database: PolosClient('sqlite:///path/to.db')",
        )
    return settings.database


async def batch_invoke(client: Client, inputs: Sequence[BatchWorkflowInput]) -> list[ExecutionHandle]:
    """Starts all or none; see `Client.batch_invoke`. Inside a workflow use ``ctx.step.batch_invoke``."""
    return await client.batch_invoke(inputs)
