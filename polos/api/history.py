"""Models of what is recorded of an execution: its journal, waits, attempts, captured lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from polos.api.values import FailureOut, at, shape_of, stored_of, value_of
from polos.authoring.payload import instant, microseconds
from polos.core.forks import Edit, Provenance
from polos.core.model import Entry, FailedAttempt, Kind, Life, LogLine, Outcome, PendingWait
from polos.core.shapes import Shape


class EntryOut(BaseModel):
    """A row of the journal."""

    key: str
    kind: Kind
    outcome: Outcome
    seq: int
    after: int
    attempt: int
    value: Any = None
    shape: Shape | None = None
    error: FailureOut | None = None
    request: Any = None
    site: str = ""
    code: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def of(cls, entry: Entry) -> EntryOut:
        """Returns it as it is said."""
        return cls(key=entry.key, kind=entry.kind, outcome=entry.outcome, seq=entry.seq, after=entry.after,
                   attempt=entry.attempt, value=value_of(entry.value), shape=shape_of(entry.value),
                   error=FailureOut.of(entry.failure), request=orjson.loads(entry.request) if entry.request else None,
                   site=entry.site, code=entry.code, started_at=at(entry.started_at),
                   ended_at=at(entry.ended_at))  # fmt: skip

    def record(self) -> Entry:
        """Returns it as a record."""
        has_value = self.outcome is Outcome.COMPLETED
        return Entry(key=self.key, kind=self.kind, outcome=self.outcome, seq=self.seq, after=self.after,
                     attempt=self.attempt, value=stored_of(self.value, self.shape) if has_value else None,
                     failure=self.error.record() if self.error else None, site=self.site, code=self.code,
                     request=None if self.request is None else orjson.dumps(self.request).decode(),
                     started_at=microseconds(self.started_at) if self.started_at else 0,
                     ended_at=microseconds(self.ended_at) if self.ended_at else 0)  # fmt: skip


class WaitOut(BaseModel):
    """A wait that has no outcome yet. `request`: what it asks for; of a suspend its data."""

    key: str
    kind: Kind
    after: int
    channel: str | None = None
    deadline: datetime | None = None
    request: Any = None
    site: str = ""
    started_at: datetime

    @classmethod
    def of(cls, wait: PendingWait) -> WaitOut:
        """Returns it as it is said."""
        return cls(key=wait.key, kind=wait.kind, after=wait.after, channel=wait.channel, deadline=at(wait.deadline),
                   request=orjson.loads(wait.request) if wait.request else None, site=wait.site,
                   started_at=instant(wait.started_at))  # fmt: skip

    def record(self) -> PendingWait:
        """Returns it as a record."""
        return PendingWait(key=self.key, kind=self.kind, after=self.after, channel=self.channel,
                           deadline=microseconds(self.deadline) if self.deadline else None,
                           request=None if self.request is None else orjson.dumps(self.request).decode(),
                           site=self.site, started_at=microseconds(self.started_at))  # fmt: skip


class AttemptOut(BaseModel):
    """An attempt that failed and was, or will be, followed by another."""

    key: str
    attempt: int
    error: FailureOut
    started_at: datetime
    ended_at: datetime
    due_at: datetime

    @classmethod
    def of(cls, failed: FailedAttempt) -> AttemptOut:
        """Returns it as it is said."""
        error = FailureOut.of(failed.failure)
        assert error is not None
        return cls(key=failed.key, attempt=failed.attempt, error=error, started_at=instant(failed.started_at),
                   ended_at=instant(failed.ended_at), due_at=instant(failed.due_at))  # fmt: skip

    def record(self) -> FailedAttempt:
        """Returns it as a record."""
        return FailedAttempt(key=self.key, attempt=self.attempt, failure=self.error.record(),
                             started_at=microseconds(self.started_at), ended_at=microseconds(self.ended_at),
                             due_at=microseconds(self.due_at))  # fmt: skip


class EditOut(BaseModel):
    """An outcome that was edited in a fork: what it was before."""

    key: str
    outcome: Outcome
    value: Any = None
    shape: Shape | None = None
    error: FailureOut | None = None


class ProvenanceOut(BaseModel):
    """Where a fork comes from: its source, the step before which it was cut, and what was edited."""

    source: str
    source_number: int
    source_workflow: str
    at: str | None = None
    kept: int
    has_other_input: bool
    edits: list[EditOut]

    @classmethod
    def of(cls, found: Provenance) -> ProvenanceOut:
        """Returns it as it is said."""
        edits = [
            EditOut(key=one.key, outcome=one.outcome, value=value_of(one.value), shape=shape_of(one.value),
                    error=FailureOut.of(one.failure))
            for one in found.edits
        ]  # fmt: skip
        return cls(source=found.source_id, source_number=found.source_number, source_workflow=found.source_workflow_id,
                   at=found.at, kept=found.kept, has_other_input=found.has_other_input, edits=edits)  # fmt: skip

    def record(self) -> Provenance:
        """Returns it as a record."""
        edits = tuple(
            Edit(key=one.key, outcome=one.outcome, failure=one.error.record() if one.error else None,
                 value=stored_of(one.value, one.shape) if one.outcome is Outcome.COMPLETED else None)
            for one in self.edits
        )  # fmt: skip
        return Provenance(source_id=self.source, source_number=self.source_number,
                          source_workflow_id=self.source_workflow, at=self.at, kept=self.kept,
                          has_other_input=self.has_other_input, edits=edits)  # fmt: skip


class LifeOut(BaseModel):
    """An end that a retry took back."""

    number: int
    outcome: Outcome
    error_type: str | None = None
    cause_key: str | None = None
    ended_at: datetime
    retried_at: datetime

    @classmethod
    def of(cls, life: Life) -> LifeOut:
        """Returns it as it is said."""
        return cls(number=life.number, outcome=life.outcome, error_type=life.error_type, cause_key=life.cause_key,
                   ended_at=instant(life.ended_at), retried_at=instant(life.retried_at))  # fmt: skip

    def record(self) -> Life:
        """Returns it as a record."""
        return Life(number=self.number, outcome=self.outcome, error_type=self.error_type, cause_key=self.cause_key,
                    ended_at=microseconds(self.ended_at), retried_at=microseconds(self.retried_at))  # fmt: skip


class SupersededOut(BaseModel):
    """An outcome that a retry took back, with the life that it belongs to."""

    life: int
    entry: EntryOut


class JournalOut(BaseModel):
    """What is recorded of an execution, and how it stands.

    `fork`: where it comes from, if it is one; `before`: how many wait before it in its queue, while it is queued there.
    """

    entries: list[EntryOut]
    waits: list[WaitOut]
    attempts: list[AttemptOut]
    fork: ProvenanceOut | None = None
    lives: list[LifeOut] = []
    superseded: list[SupersededOut] = []
    before: int = 0


class LogOut(BaseModel):
    """A captured line."""

    position: int
    execution: str
    at: datetime
    level: str
    text: str
    step: str | None = None
    attempt: int = 0
    stream: str = "log"

    @classmethod
    def of(cls, position: int, execution: str, line: LogLine) -> LogOut:
        """Returns it as it is said."""
        return cls(position=position, execution=execution, at=instant(line.at), level=line.level, text=line.text,
                   step=line.step_key, attempt=line.attempt, stream=line.stream)  # fmt: skip

    def record(self) -> tuple[int, str, LogLine]:
        """Returns it as a record."""
        line = LogLine(at=microseconds(self.at), level=self.level, text=self.text, step_key=self.step,
                       attempt=self.attempt, stream=self.stream)  # fmt: skip
        return self.position, self.execution, line
