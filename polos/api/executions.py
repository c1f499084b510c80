"""Models of executions: how they are started, stopped, answered, and how they stand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, Field

from polos.api.values import FailureOut, Taken, Text, at, shape_of, stored_of, value_of
from polos.authoring.payload import instant, microseconds
from polos.core.model import Execution, Retried, Started, Stopped
from polos.core.shapes import Shape
from polos.core.status import Status


class ExecutionOut(BaseModel):
    """An execution. Listings leave the values out: input, result, state."""

    number: int
    id: str
    workflow: str
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    parent: str | None = None
    parent_key: str | None = None
    root: str
    root_workflow: str
    session_id: str | None = None
    user_id: str | None = None
    idempotency_key: str | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    life: int = Field(default=0, description="how often it was retried")
    ran_for_seconds: float = 0.0
    input: Any = None
    input_shape: Shape | None = None
    result: Any = None
    result_shape: Shape | None = None
    state: Any = None
    state_shape: Shape | None = None
    error: FailureOut | None = None
    error_type: str | None = None
    cause: str | None = Field(default=None, description="the step whose error ended it")
    blocked: dict[str, Any] | None = Field(default=None, description="why it is blocked")
    worker: str | None = None

    @classmethod
    def of(cls, found: Execution, with_values: bool = True) -> ExecutionOut:
        """Returns an execution as it is said."""
        said = cls(
            number=found.number, id=found.id, workflow=found.workflow_id, status=found.status,
            created_at=instant(found.created_at), started_at=at(found.started_at), ended_at=at(found.ended_at),
            parent=found.parent_id, parent_key=found.parent_key, root=found.root_id, root_workflow=found.root_workflow_id,
            session_id=found.session_id, user_id=found.user_id, idempotency_key=found.idempotency_key,
            queue=found.queue, concurrency_key=found.concurrency_key, life=found.life,
            ran_for_seconds=found.ran_for / 1e6, error=FailureOut.of(found.failure), error_type=found.error_type,
            cause=found.cause_key, worker=found.worker_id,
            blocked=orjson.loads(found.blocked_reason) if found.blocked_reason else None,
        )  # fmt: skip
        if with_values:
            said.input, said.input_shape = value_of(found.input), shape_of(found.input)
            said.result, said.result_shape = value_of(found.result), shape_of(found.result)
            said.state, said.state_shape = value_of(found.state), shape_of(found.state)
        return said

    def record(self) -> Execution:
        """Returns it as a record, as far as clients look at it."""
        ended = self.status in (Status.COMPLETED,)
        return Execution(
            number=self.number, id=self.id, workflow_id=self.workflow, status=self.status,
            created_at=microseconds(self.created_at),
            started_at=None if self.started_at is None else microseconds(self.started_at),
            ended_at=None if self.ended_at is None else microseconds(self.ended_at),
            parent_id=self.parent, parent_key=self.parent_key, root_id=self.root, root_workflow_id=self.root_workflow,
            session_id=self.session_id, user_id=self.user_id, idempotency_key=self.idempotency_key, queue=self.queue,
            concurrency_key=self.concurrency_key, life=self.life, ran_for=round(self.ran_for_seconds * 1e6),
            input=stored_of(self.input, self.input_shape),
            result=stored_of(self.result, self.result_shape) if ended else None,
            state=stored_of(self.state, self.state_shape) if self.state is not None else None,
            failure=self.error.record() if self.error else None, error_type=self.error_type, cause_key=self.cause,
            blocked_reason=orjson.dumps(self.blocked).decode() if self.blocked else None, worker_id=self.worker,
        )  # fmt: skip


class RunIn(Taken):
    """How a workflow is started."""

    payload: Any = None
    payload_shape: Shape | None = Field(
        default=None, description="types that JSON has not, as in `shape`: whoever sends it has checked the payload"
    )
    id: str | None = Field(
        default=None,
        pattern=r"^exec_[0-9a-z]{26}$",
        description="chosen by the caller: a repeated request starts nothing more",
    )
    initial_state: Any = None
    initial_state_shape: Shape | None = None
    session_id: Text | None = None
    user_id: Text | None = None
    queue: Text | None = None
    concurrency_key: Text | None = None
    idempotency_key: Text | None = None
    run_timeout_seconds: float | None = Field(default=None, gt=0, lt=1e9)
    delay_seconds: float = Field(default=0.0, ge=0, lt=1e9)


class BatchItem(RunIn):
    """One of several."""

    workflow: str


class BatchIn(Taken):
    """Several executions: all are started, or none."""

    executions: list[BatchItem] = Field(min_length=1, max_length=10_000)


class StartedOut(BaseModel):
    """What a start answers with; `created` is false where the idempotency key gave back an earlier one."""

    id: str
    number: int
    workflow: str
    root: str
    root_workflow: str
    created: bool

    @classmethod
    def of(cls, started: Started) -> StartedOut:
        """Returns it as it is said."""
        return cls(id=started.id, number=started.number, workflow=started.workflow_id, root=started.root_id,
                   root_workflow=started.root_workflow_id, created=started.created)  # fmt: skip

    def record(self) -> Started:
        """Returns it as a record."""
        return Started(id=self.id, number=self.number, workflow_id=self.workflow, root_id=self.root,
                       root_workflow_id=self.root_workflow, created=self.created)  # fmt: skip


class StoppedOut(BaseModel):
    """What a cancel answers with, by number: what has ended, and what ends once its code has cleared up."""

    ended: list[int]
    ending: list[int]

    @classmethod
    def of(cls, stopped: Stopped) -> StoppedOut:
        """Returns it as it is said."""
        return cls(ended=list(stopped.ended), ending=list(stopped.ending))


class RetriedOut(BaseModel):
    """What a retry answers with."""

    number: int
    life: int
    superseded: list[str]
    reopened: list[int]

    @classmethod
    def of(cls, retried: Retried) -> RetriedOut:
        """Returns it as it is said."""
        return cls(number=retried.number, life=retried.life, superseded=list(retried.superseded),
                   reopened=list(retried.reopened))  # fmt: skip


class ForkIn(Taken):
    """Where a fork cuts, and what is edited."""

    at: Text | None = Field(default=None, description="the step before which to cut; none: all of it runs again")
    input: Any = Field(default=None, description="in place of its input, where it is given")
    input_shape: Shape | None = None
    set: dict[Text, Any] = Field(default_factory=dict, description="outcomes in place of recorded ones, by step")
    shapes: dict[Text, Shape] | None = Field(default=None, description="types that JSON has not, of `set`")
    id: str | None = Field(
        default=None,
        pattern=r"^exec_[0-9a-z]{26}$",
        description="chosen by the caller: a repeated request starts nothing more",
    )


class ResumeIn(Taken):
    """An answer to a suspend."""

    step: Text
    data: Any = None
    shape: Shape | None = None
    id: str | None = None


class ApprovalOut(BaseModel):
    """An open suspend, and the link to the page on which a person answers it."""

    step: str
    data: Any = None
    deadline: datetime | None = None
    url: str
    expires_at: datetime
