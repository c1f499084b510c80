"""Models of what code declares, and how it stands: workflows, schedules, queues, workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from polos.api.values import Instant, Taken, Text, at
from polos.authoring.payload import instant, microseconds
from polos.authoring.scheduled import rule
from polos.core.manifest import QueueState, Schedule, WorkerInfo


class WorkflowOut(BaseModel):
    """A workflow that the newest manifests have."""

    id: str
    description: str | None = None
    site: str = ""
    queue: str | None = None
    input_schema: dict[str, Any] = {}


class ScheduleIn(Taken):
    """A schedule to be made; the one of that workflow and key is changed, if there is one."""

    workflow: str
    cron: Text
    timezone: Text = "UTC"
    key: Text = "global"
    catchup: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "allow", "queue"] = "skip"


class ScheduleOut(BaseModel):
    """A schedule as it stands."""

    number: int
    id: str
    workflow: str
    cron: str
    timezone: str
    key: str
    catchup: str
    overlap: str
    is_declared: bool
    is_paused: bool
    next_at: datetime | None = None
    last_at: datetime | None = None
    started: int
    skipped: int
    missed: int
    queued: int
    fault: str | None = None

    @classmethod
    def of(cls, found: Schedule) -> ScheduleOut:
        """Returns it as it is said."""
        of = found.rule
        return cls(id=found.id, workflow=of.workflow_id, cron=of.cron, timezone=of.timezone, key=of.key,
                   catchup=of.catchup, overlap=of.overlap, is_declared=found.is_declared, is_paused=found.is_paused,
                   next_at=at(found.next_at), last_at=at(found.last_at), started=found.started,
                   skipped=found.skipped, missed=found.missed, queued=found.queued, fault=found.fault,
                   number=found.number)  # fmt: skip

    def record(self) -> Schedule:
        """Returns it as a record."""
        made = rule(self.workflow, self.cron, self.timezone, self.key, self.catchup, self.overlap)
        return Schedule(number=self.number, id=self.id, rule=made, is_declared=self.is_declared, is_paused=self.is_paused,
                        next_at=microseconds(self.next_at) if self.next_at else None,
                        last_at=microseconds(self.last_at) if self.last_at else None, started=self.started,
                        skipped=self.skipped, missed=self.missed, queued=self.queued, fault=self.fault)  # fmt: skip


class ScheduleIdOut(BaseModel):
    """The schedule that was made or changed."""

    id: str


class BackfillIn(Taken):
    """Which past slots get an execution that has none."""

    since: Instant
    until: Instant | None = None


class NumbersOut(BaseModel):
    """Executions by number."""

    executions: list[int]


class QueueOut(BaseModel):
    """A queue, one for each concurrency key in use."""

    name: str
    concurrency_key: str
    concurrency_limit: int | None
    running: list[int]
    queued: int
    oldest_at: datetime | None = None

    @classmethod
    def of(cls, state: QueueState) -> QueueOut:
        """Returns it as it is said."""
        return cls(name=state.name, concurrency_key=state.concurrency_key, concurrency_limit=state.concurrency_limit,
                   running=list(state.running), queued=state.queued, oldest_at=at(state.oldest_at))  # fmt: skip

    def record(self) -> QueueState:
        """Returns it as a record."""
        return QueueState(name=self.name, concurrency_key=self.concurrency_key, concurrency_limit=self.concurrency_limit,
                          running=tuple(self.running), queued=self.queued,
                          oldest_at=microseconds(self.oldest_at) if self.oldest_at else None)  # fmt: skip


class WorkerOut(BaseModel):
    """A worker that is there."""

    id: str
    pid: int
    project: str
    claims: Literal["all", "own", "rest", "none"]
    code: str
    workflows: list[str]
    started_at: datetime

    @classmethod
    def of(cls, worker: WorkerInfo) -> WorkerOut:
        """Returns it as it is said."""
        return cls(id=worker.id, pid=worker.pid, project=worker.project, claims=worker.claims, code=worker.code,
                   workflows=list(worker.workflow_ids), started_at=instant(worker.started_at))  # fmt: skip

    def record(self) -> WorkerInfo:
        """Returns it as a record."""
        return WorkerInfo(id=self.id, pid=self.pid, project=self.project, complete=True, claims=self.claims,
                          code=self.code, workflow_ids=tuple(self.workflows),
                          started_at=microseconds(self.started_at))  # fmt: skip


class HealthOut(BaseModel):
    """It is up."""

    status: Literal["ok"] = "ok"
