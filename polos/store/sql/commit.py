"""The commit: a worker's operations, fenced by the epoch, in one transaction (R6, S8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import orjson

from polos import crashpoints
from polos.core import failure as failures
from polos.core.codec import encode
from polos.core.model import Ending, Entry, Failure, Kind, NewEvent, Outcome, Stored
from polos.core.ops import (
    Answer,
    Await,
    Block,
    CloseWait,
    CommitAnswer,
    Expire,
    Finish,
    Lease,
    Logs,
    Op,
    Park,
    Publish,
    Record,
    Release,
    RetryAt,
    SaveState,
    StartChildren,
    StepStarted,
)
from polos.core.status import TERMINAL, Change, Status, after
from polos.errors import LeaseLost, UsageError
from polos.store.sql import answers, executions
from polos.store.sql.awaiting import begin_wait, close_wait
from polos.store.sql.children import start_children
from polos.store.sql.completion import complete
from polos.store.sql.ending import End, block, end, stopped
from polos.store.sql.events import check_topic, publish_one
from polos.store.sql.lifecycle import lifecycle, told
from polos.store.sql.stopping import record_stop, stop_children
from polos.store.sql.tx import Changed, Due, Queued, Tx


class Commit:
    """One commit under way. `apply` is the transaction."""

    def __init__(self, lease: Lease, number: int, ops: Sequence[Op], since: int, now: int) -> None:
        self.lease = lease
        self.execution = lease.execution
        self.number = number
        self.ops = ops
        self.since = since
        self.now = now
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.written: list[Entry] = []
        self._entries: list[dict[str, Any]] = []  # of `written`, those not inserted yet
        self.next_seq = 0
        self.elsewhere = False  # an outcome came by another way than `written`
        self.parked = False
        self.topic = 0
        self.id = ""
        self.row: Any = ()

    def apply(self) -> Tx[CommitAnswer]:
        """Checks the lease, applies the operations in order, and answers every outcome after `since`."""
        outcomes = size = lines = 0
        for op in self.ops:
            if isinstance(op, Record):
                outcomes += 1
                if op.value is not None:
                    size += len(op.value.text)
            elif isinstance(op, Logs):
                lines = max(lines, op.workflow_lines)
            elif isinstance(op, Publish | Answer) or _is_invoke(op):
                outcomes += 1
        rows = yield "fence", {
            "execution": self.execution, "epoch": self.lease.epoch, "commit_number": self.number,
            "outcomes": outcomes, "bytes": size, "log_lines": lines, "now": self.now,
        }  # fmt: skip
        if not rows:
            return (yield from self._repeated_or_lost())
        seq, self.topic, _, self.id, *_ = self.row = rows[0]
        first = self.next_seq = seq - outcomes + 1
        for op in self.ops:
            if isinstance(op, Record):  # the two most frequent ones, without a generator each
                self._record(op)
            elif isinstance(op, StepStarted):
                data = told(self.execution, op.key, op.kind)
                data["attempt"], data["at"] = op.attempt, op.at
                self.told.append(("step_start", data))
            else:
                yield from self._insert_entries()
                yield from self._apply(op)
            if crashpoints.installed:
                yield from self._insert_entries()
                crashpoints.reached(f"inside.{type(op).__name__}")
        yield from self.flush()
        if first == self.since + 1 and not self.elsewhere:
            return CommitAnswer(outcomes=tuple(self.written), parked=self.parked)
        entries = yield from executions.entries_after(self.execution, self.since)
        return CommitAnswer(outcomes=tuple(entries), parked=self.parked)

    def _repeated_or_lost(self) -> Tx[CommitAnswer]:
        rows = yield "lease_state", {"execution": self.execution}
        if rows:
            status, epoch, commit_number, _, worker_id, *_ = rows[0]
            if epoch == self.lease.epoch and commit_number >= self.number:
                if status == Status.WAITING or (status == Status.QUEUED and worker_id == self.lease.worker_id):
                    return CommitAnswer(outcomes=(), parked=True)  # woken meanwhile, or not: a claim brings the rest
                if status == Status.RUNNING or Status(status) in TERMINAL or status == Status.BLOCKED:
                    entries = yield from executions.entries_after(self.execution, self.since)
                    return CommitAnswer(outcomes=tuple(entries))
        raise LeaseLost(
            f"execution {self.execution} is no longer held under epoch {self.lease.epoch}: another claim has it, "
            f"or it is over. Nothing was written"
        )

    def _apply(self, op: Op) -> Tx[None]:
        match op:
            case Await():
                yield from begin_wait(self, op)
            case StartChildren():
                yield from start_children(self, op)
            case Publish():
                yield from self._publish(op)
            case Answer():
                yield from self._answer(op)
            case CloseWait():
                yield from close_wait(self, op)
            case RetryAt():
                yield from self._retry(op)
            case Logs():
                yield "insert_log", [
                    {"execution": self.execution, "key": line.step_key, "attempt": line.attempt, "number": line.number,
                     "level": line.level, "stream": line.stream, "text": line.text, "at": line.at}
                    for line in op.lines
                ]  # fmt: skip
            case Park():
                yield from self._park(op)
            case Release():
                yield from self._set_status(Change.RELEASE)
                yield Queued()
            case Block():
                yield from self._block(op)
            case Expire():
                yield from self._expire()
            case SaveState():
                value = op.value
                yield "save_state", {
                    "execution": self.execution, "value": value.text, "shape": value.shape, "checksum": value.checksum
                }  # fmt: skip
            case Finish():
                yield from self._finish(op)
            case Record() | StepStarted():
                raise AssertionError("applied above")
            case _:
                assert_never(op)

    def flush(self) -> Tx[None]:
        """Inserts what has gathered: entries and what is told of them, before anything that looks at either."""
        yield from self._insert_entries()
        if self.told:
            told_, self.told = self.told, []
            yield from lifecycle(self.topic, told_, self.now)

    def _insert_entries(self) -> Tx[None]:
        if self._entries:
            entries, self._entries = self._entries, []
            yield "insert_entry", entries

    def enter(
        self, key: str, kind: Kind, outcome: Outcome, after_: int, site: str, started_at: int,
        *, value: Stored | None = None, failure: Failure | None = None, attempt: int = 1, request: str | None = None,
        arguments: str | None = None, event: int | None = None, seq: int | None = None, ended_at: int | None = None,
    ) -> None:  # fmt: skip
        """Enters an outcome, for the next `flush`; a key that has one is an error of the database, never an overwrite."""
        if seq is None:
            seq = self.next_seq
            self.next_seq += 1
        entry = Entry(
            key=key, kind=kind, outcome=outcome, seq=seq, after=after_, attempt=attempt, value=value, failure=failure,
            request=request, event=event, site=site, arguments=arguments, code=self.row[9] or "", started_at=started_at,
            ended_at=self.now if ended_at is None else ended_at,
        )  # fmt: skip
        self._entries.append({
            "execution": self.execution, "key": key, "seq": seq, "after": after_, "kind": str(kind),
            "outcome": str(outcome), "attempt": attempt, "value": value.text if value else None,
            "shape": value.shape if value else None, "checksum": value.checksum if value else None,
            "failure": failures.to_json(failure) if failure else None, "request": request, "event": event,
            "site": site, "arguments": arguments, "code": self.row[9], "started_at": started_at, "ended_at": entry.ended_at,
        })  # fmt: skip
        self.written.append(entry)

    def _record(self, op: Record) -> None:
        self.enter(
            op.key, op.kind, op.outcome, op.after, op.site, op.started_at, value=op.value, failure=op.failure,
            attempt=op.attempt, request=op.request, arguments=op.arguments, ended_at=op.ended_at,
        )  # fmt: skip
        if op.kind is Kind.TIMER:
            return
        data = told(self.execution, op.key, op.kind, op.ended_at - op.started_at)
        if op.attempt != 1:
            data["attempt"] = op.attempt
        if op.outcome is Outcome.COMPLETED:
            self.told.append(("step_finish", data))
        else:
            self.told.append(("step_failed", data | {"error_type": op.failure.type_name if op.failure else None}))

    def complete(self, key: str, outcome: Outcome = Outcome.COMPLETED, **facts: Any) -> Tx[None]:
        """Completes a wait of this execution at once: the outcome comes by the same way as from elsewhere."""
        yield from self.flush()
        self.elsewhere = True
        yield from complete(self.execution, key, outcome, self.now, **facts)

    def insert_wait(
        self, key: str, kind: Kind, after_: int, channel: str | None, deadline: int | None, site: str, started_at: int,
        *, match: str | None = None, since: int = 0, remaining: int = 1, request: str | None = None,
    ) -> Tx[None]:  # fmt: skip
        yield "insert_wait", {
            "execution": self.execution, "key": key, "kind": kind, "after": after_, "channel": channel,
            "deadline": deadline, "match": match, "since": since, "remaining": remaining, "request": request,
            "site": site, "started_at": started_at,
        }  # fmt: skip
        if kind is not Kind.TIMER:
            data: dict[str, Any] = told(self.execution, key, kind)
            if deadline is not None:
                data["until"] = deadline
            if channel is not None:
                data["on"] = channel
            self.told.append(("wait_start", data))
        if deadline is not None:
            yield Due(deadline)

    def _publish(self, op: Publish) -> Tx[None]:
        topic, topic_id = op.topic, None
        if topic is None:  # the tree's own: for those who wait on it by name, too (S5.4)
            topic, topic_id = (yield "topic_name", {"topic": self.topic})[0][0], self.topic
        else:
            check_topic(topic)
        yield from self.flush()
        event = NewEvent(topic=topic, type=op.type, data=op.data, id=op.event_id)
        published = yield from publish_one(event, self.now, topic_id)
        self.elsewhere = self.elsewhere or self.execution in published.woken
        value = encode({"id": op.event_id, "sequence_id": published.sequence, "position": published.position})
        self.enter(op.key, Kind.PUBLISH, Outcome.COMPLETED, op.after, op.site, op.started_at, value=value)
        self.told.append(("step_finish", told(self.execution, op.key, Kind.PUBLISH, self.now - op.started_at)))

    def _answer(self, op: Answer) -> Tx[None]:
        failure: Failure | None = None
        try:
            yield from answers.resume(op.execution_id, op.step_key, op.data, op.answer_id, self.now)
        except UsageError as refused:  # refused before anything was written: an outcome like any other
            failure = Failure(type_name=type(refused).__name__, message=refused.message)
        self.elsewhere = True
        self.enter(
            op.key, Kind.RESUME, Outcome.COMPLETED if failure is None else Outcome.FAILED, op.after, op.site, op.started_at,
            value=Stored("null") if failure is None else None, failure=failure,
        )  # fmt: skip
        data = told(self.execution, op.key, Kind.RESUME, self.now - op.started_at)
        if failure is None:
            self.told.append(("step_finish", data))
        else:
            self.told.append(("step_failed", data | {"error_type": failure.type_name}))

    def _retry(self, op: RetryAt) -> Tx[None]:
        failed = op.failed
        yield "insert_attempt", {
            "execution": self.execution, "key": failed.key, "attempt": failed.attempt,
            "failure": failures.to_json(failed.failure), "started_at": failed.started_at, "ended_at": failed.ended_at,
            "due_at": failed.due_at,
        }  # fmt: skip
        data = told(self.execution, failed.key, op.kind, failed.ended_at - failed.started_at)
        self.told.append(
            (
                "step_retry",
                data | {"attempt": failed.attempt, "error_type": failed.failure.type_name, "until": failed.due_at},
            )
        )
        if op.parks:
            yield "set_retry", {
                "execution": self.execution, "key": failed.key, "kind": Kind.RETRY, "after": op.after,
                "deadline": failed.due_at, "site": op.site, "started_at": failed.ended_at,
            }  # fmt: skip
            yield Due(failed.due_at)

    def _park(self, op: Park) -> Tx[None]:
        """Ends the lease, unless a key has completed or an outcome has come that the session does not know."""
        pending = (yield "count_waits", {"execution": self.execution, "keys": orjson.dumps(op.on).decode()})[0][0]
        seq = (yield "lease_state", {"execution": self.execution})[0][3]
        if pending != len(op.on) or seq != self.since or self.elsewhere:
            self.elsewhere = True
            return
        self.parked = True
        yield "set_status", {
            "execution": self.execution, "status": after(Status.RUNNING, Change.PARK),
            "worker_id": self.lease.worker_id, "available_at": self.now,
        }  # fmt: skip
        if self.row[8] is not None:
            yield Queued()  # its place in the queue is free (S4.5)
        yield Changed(self.execution, self.id)

    def _set_status(self, change: Change) -> Tx[None]:
        yield "set_status", {
            "execution": self.execution, "status": after(Status.RUNNING, change), "worker_id": None, "available_at": self.now,
        }  # fmt: skip
        yield Changed(self.execution, self.id)

    def _block(self, op: Block) -> Tx[None]:
        yield from self.flush()
        rows = yield "code_of_worker", {"id": self.lease.worker_id}
        code = rows[0][0] if rows else ""
        yield from block(self.execution, op.reason, code, Status.RUNNING, self.now)

    def _expire(self) -> Tx[None]:
        """The running time is over: a stop like a cancel, of its children too (S8.5)."""
        if self.row[7] is not None:
            return
        yield from self.flush()
        self.elsewhere = True
        yield from record_stop(self.execution, self.id, Ending.TIMEOUT, self.now)
        yield from stop_children(self.execution, self.now)

    def _finish(self, op: Finish) -> Tx[None]:
        yield from self.flush()
        how = End(op.outcome, op.value, op.failure, op.cause_key)
        rows = yield "lease_state", {"execution": self.execution}
        if rows[0][5] is not None:  # between finish and cancel the first commit wins (S8.4)
            how = stopped(Ending(rows[0][5]), rows[0][6])
        yield from end(self.execution, how, Status.RUNNING, self.now)


def _is_invoke(op: Op) -> bool:
    return isinstance(op, StartChildren) and not op.waits
