"""How a commit begins waits and closes them (S4). Part of the commit's transaction; fences nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polos.core.model import Failure, Kind, Outcome, verified
from polos.core.ops import Await, CloseWait
from polos.core.waits import topic_channel
from polos.store.sql import answers
from polos.store.sql.completion import end_of, is_ended
from polos.store.sql.events import event_value, unseen
from polos.store.sql.lifecycle import told
from polos.store.sql.tx import Tx

if TYPE_CHECKING:
    from polos.store.sql.commit import Commit


def begin_wait(commit: Commit, op: Await) -> Tx[None]:
    """Records a wait as pending, and completes it at once with what is there already: an event, an answer, an end."""
    since = commit.row[2]
    if op.since == "now":
        since = (yield "log_position", {})[0][0]
    yield from commit.insert_wait(op.key, op.kind, op.after, op.channel, op.deadline, op.site, op.started_at,
                                 match=op.match, since=since, request=op.request)  # fmt: skip
    if op.kind is Kind.EVENT and op.channel is not None:
        event = yield from unseen(commit.execution, op.channel.partition(":")[2], since, op.match)
        if event is not None:
            yield from commit.complete(op.key, value=event_value(event), event=event.position)
    elif op.kind is Kind.SUSPEND:
        data: dict[str, Any] = told(commit.execution, op.key, op.kind)
        commit.told.append((f"suspend_{op.key}", data))
        rows = yield "answer_of", {"execution": commit.execution, "key": op.key}
        if rows:
            position, id_, value, shape, checksum, created_at = rows[0]
            given = verified(value, shape, checksum, f"the answer to {op.key!r}")
            answer = answers.answer_value(position, id_, given, created_at)
            yield from commit.complete(op.key, value=answer)
    elif op.kind is Kind.CHILD and op.channel is not None:
        yield from _await_end(commit, op)


def _await_end(commit: Commit, op: Await) -> Tx[None]:
    """Awaits an execution by its handle: it may be over already."""
    assert op.channel is not None
    target = op.channel.partition(":")[2]
    rows = yield "execution_by_id", {"id": target}
    if not rows:
        failure = Failure(type_name="UnknownExecution", message=f"there is no execution {target}")
        yield from commit.complete(op.key, outcome=Outcome.FAILED, failure=failure)
    elif is_ended(rows[0][1]):
        outcome, value, found = yield from end_of(target)
        yield from commit.complete(op.key, outcome=outcome, value=value, failure=found)


def close_wait(commit: Commit, op: CloseWait) -> Tx[None]:
    """Ends a wait that the code gave up. Its event, if it got one, goes to another wait: nobody has seen it (S4.2)."""
    rows = yield "delete_wait", {"execution": commit.execution, "key": op.key}
    if rows:
        return
    rows = yield "release_event", {"execution": commit.execution, "key": op.key}
    if not rows:
        return
    name = (yield "topic_of_entry", {"execution": commit.execution, "key": op.key})[0][0]
    waits = yield "own_waits_on", {"execution": commit.execution, "channel": topic_channel(name)}
    closing = {one.key for one in commit.ops if isinstance(one, CloseWait)}
    for key, match, since in waits:
        if key in closing:
            continue
        event = yield from unseen(commit.execution, name, since, match)
        if event is not None:
            yield from commit.complete(key, value=event_value(event), event=event.position)
