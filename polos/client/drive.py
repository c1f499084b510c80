"""What a client does to executions that are there: answers, stops, reopens, forks them. Starts none from nothing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

from polos.authoring.handle import ExecutionHandle
from polos.authoring.payload import EventPayload
from polos.authoring.workflow import Workflow
from polos.client.answering import check_answer
from polos.client.connect import Access
from polos.clock import TimeOrderedIds
from polos.core import codec
from polos.core.forks import Cut, ForkRequest, Source, cut, edited
from polos.core.model import Execution, NewExecution, Retried, Stopped, Stored
from polos.core.status import Status
from polos.errors import UsageError

_ids = TimeOrderedIds()
ExecutionRef: TypeAlias = ExecutionHandle | Execution | str | int
SAME: Any = type("Same", (), {"__repr__": lambda self: "SAME"})()
"""In place of an input: the recorded one."""


def inside_workflow(what: str, instead: str) -> None:
    """Refuses clients in workflow code: what they do has no place in the journal."""
    loop = sys.modules.get("polos.worker.loop")
    if loop is not None and loop.CURRENT.get() is not None:
        raise UsageError(f"{what} is used inside a workflow", hint=f"use {instead}, which is recorded")


class Driver:
    """The part of a client that drives what has been started."""

    def _access(self) -> Access:
        raise NotImplementedError

    def _origin(self) -> str | None:
        """Returns the worker beside this client, which may always claim what it starts."""
        return None

    def _known(self, workflow_id: str) -> Workflow | None:
        raise NotImplementedError

    async def get(self, execution: ExecutionRef) -> Execution:
        """Returns the execution as it is now."""
        raise NotImplementedError

    async def result(self, execution: ExecutionRef, timeout: float | None = None) -> Any:
        """Waits for the end and returns the result."""
        raise NotImplementedError

    def execution_events(self, handle: ExecutionHandle) -> AsyncIterator[EventPayload]:
        """Follows the events of an execution's tree until that execution ends."""
        raise NotImplementedError

    async def checked(self, new: NewExecution) -> NewExecution:
        """Returns what a bare id starts, its payload checked by a worker that has the code, if one has (S9)."""
        raise NotImplementedError

    async def resume(self, execution: ExecutionRef, step_key: str, data: Any = None) -> None:
        """Answers a suspend, before or after it is reached (S4.4).

        Raises:
            InvalidInput: the question has a form, which the answer does not fit.
            AlreadyResumed: it has its answer.
            ExecutionEnded: the execution is over.
        """
        inside_workflow("a client", "ctx.step.resume")
        found = await self.get(execution)
        stored = codec.encode(data)
        check_answer(found, await self._access().read(lambda store: store.waits(found.id)), step_key, stored)
        await self._access().write(lambda store: store.resume(found.id, step_key, stored, _ids.new("ans")))

    async def cancel(self, execution: ExecutionRef) -> Stopped:
        """Cancels an execution and its children (S8.4); its code may clear up. Cancelled already, it stays so.

        Raises:
            ExecutionEnded: it has completed or failed.
        """
        inside_workflow("a client", "a step whose body asks for it: ctx.step.run")
        found = await self.get(execution)
        return await self._access().write(lambda store: store.cancel(found.id))

    async def retry(self, execution: ExecutionRef) -> Retried:
        """Reopens an execution that has failed, was cancelled or is blocked (S9.4); it goes on from there.

        What it had recorded stays, but for the step that ended it and what came of that.

        Raises:
            ExecutionEnded: it has completed.
            UsageError: it has not ended; or its parent has received its end, so that the root is to be retried.
        """
        inside_workflow("a client", "a step whose body asks for it: ctx.step.run")
        found = await self.get(execution)
        if found.status in (Status.QUEUED, Status.RUNNING, Status.WAITING):
            raise UsageError(
                f"execution {found.number} is {found.status.value}; there is nothing to retry",
                hint=f"why it is where it is: polos why {found.number}",
            )
        return await self._access().write(lambda store: store.retry(found.id))

    async def fork(
        self, execution: ExecutionRef, at: str | None = None, *, input: Any = SAME, edits: Mapping[str, Any] | None = None,
        source: Driver | None = None,
    ) -> ExecutionHandle:  # fmt: skip
        """Starts a new execution with the history of one before a step, which goes on from there (S9.4).

        The source is not touched. Steps that are kept do not run again, whatever they had waited for or started.

        Args:
            at: the step before which to cut: it is the first to run again; None: all of it runs again.
            input: in place of the source's payload.
            edits: outcomes in place of those that are kept, by step: its value; of an event or an answer, its data.
            source: whose execution it is, if not this client's: a bundle.

        Raises:
            UsageError: there is no such step, or it cannot be edited.
            InvalidInput: the input does not fit the workflow.
        """
        inside_workflow("a client", "a step whose body asks for it: ctx.step.run")
        found = await (source or self).get(execution)
        request = ForkRequest(
            id=_ids.new("exec"), source_id=found.id, at=at, input=await self._fork_input(found, input),
            edits={key: codec.encode(value) for key, value in (edits or {}).items()}, origin=self._origin(),
            given=None if source is None else await source._as_source(found),
        )  # fmt: skip
        made = await self._access().write(lambda store: store.fork(request))
        return ExecutionHandle(made.id, made.number, made.workflow_id, made.root_id, made.root_workflow_id, self)

    async def _as_source(self, found: Execution) -> Source:
        read = self._access().read
        return Source(
            id=found.id, number=found.number, workflow_id=found.workflow_id, input=found.input,
            initial_state=found.initial_state, session_id=found.session_id, user_id=found.user_id, queue=found.queue,
            concurrency_key=found.concurrency_key, run_timeout=found.run_timeout,
            entries=tuple(await read(lambda store: store.journal(found.id))),
            waits=tuple(await read(lambda store: store.waits(found.id))),
        )  # fmt: skip

    async def _fork_input(self, source: Execution, input: Any) -> Stored | None:
        if input is SAME:
            return None
        workflow = self._known(source.workflow_id)
        if workflow is not None:
            return workflow.encode_input(input)
        bare = NewExecution(id="", workflow_id=source.workflow_id, input=codec.encode(input))
        return (await self.checked(bare)).input

    async def fork_plan(
        self, execution: ExecutionRef, at: str | None = None, edits: Mapping[str, Any] | None = None
    ) -> Cut:
        """Returns what a fork would keep, and what would be done again; makes none. Raises `UsageError` as `fork` does."""
        found = await self.get(execution)
        read = self._access().read
        made = cut(
            await read(lambda store: store.journal(found.id)), await read(lambda store: store.waits(found.id)), at
        )
        edited(made, {key: codec.encode(value) for key, value in (edits or {}).items()})
        return made
