"""Turns a call of `ctx.step` that runs no body into the operation that starts it. Pure but for ids, time and chance."""

from __future__ import annotations

from typing import assert_never

import orjson

from polos.calls import (
    AnswerCall,
    AnyCall,
    ChildrenCall,
    ChildSpec,
    EventCall,
    PublishCall,
    ResultCall,
    RunCall,
    SleepCall,
    SuspendCall,
    ValueCall,
)
from polos.clock import Clock, Ids, Rng
from polos.core.codec import encode
from polos.core.model import Execution, Kind, NewExecution, Outcome
from polos.core.ops import Answer, Await, Publish, Record, StartChildren
from polos.core.waits import execution_channel, resume_channel, topic_channel

Starting = Record | Await | StartChildren | Publish | Answer


def op_for(call: AnyCall, after: int, execution: Execution, clock: Clock, ids: Ids, rng: Rng) -> Starting:
    """Returns the operation that starts `call`. Raises nothing: calls are checked when they are made."""
    now = clock.now()
    match call:
        case ValueCall():
            value = encode(call.make(clock, ids, rng))
            return Record(key=call.key, kind=Kind.VALUE, outcome=Outcome.COMPLETED, after=after, value=value,
                          site=call.site, started_at=now, ended_at=now)  # fmt: skip
        case SleepCall():
            due = call.until if call.until is not None else now + (call.span or 0)
            return Await(key=call.key, kind=Kind.SLEEP, after=after, deadline=due, site=call.site, started_at=now)
        case EventCall():
            request = orjson.dumps({"topic": call.topic, "match": orjson.loads(call.match) if call.match else None})
            return Await(key=call.key, kind=Kind.EVENT, after=after, channel=topic_channel(call.topic),
                         deadline=_deadline(now, call.timeout), match=call.match, since=call.since,
                         request=request.decode(), site=call.site, started_at=now)  # fmt: skip
        case SuspendCall():
            return Await(key=call.key, kind=Kind.SUSPEND, after=after, channel=resume_channel(execution.id, call.key),
                         deadline=_deadline(now, call.timeout), request=call.data.text, site=call.site,
                         started_at=now)  # fmt: skip
        case ResultCall():
            return Await(key=call.key, kind=Kind.CHILD, after=after, channel=execution_channel(call.execution_id),
                         request=orjson.dumps({"execution_id": call.execution_id}).decode(), site=call.site,
                         started_at=now)  # fmt: skip
        case PublishCall():
            return Publish(key=call.key, topic=call.topic, type=call.type, data=call.data, event_id=ids.new("evt"),
                           after=after, site=call.site, started_at=now)  # fmt: skip
        case AnswerCall():
            return Answer(key=call.key, execution_id=call.execution_id, step_key=call.step_key, data=call.data,
                          answer_id=ids.new("ans"), after=after, site=call.site, started_at=now)  # fmt: skip
        case ChildrenCall():
            children = tuple(_child(spec, execution, ids) for spec in call.children)
            return StartChildren(key=call.key, children=children, waits=call.waits, batch=call.batch, after=after,
                                 site=call.site, started_at=now)  # fmt: skip
        case RunCall():
            raise AssertionError("a body is run, not written")
        case _:
            assert_never(call)


def _deadline(now: int, timeout: int | None) -> int | None:
    return None if timeout is None else now + timeout


def _child(spec: ChildSpec, parent: Execution, ids: Ids) -> NewExecution:
    return NewExecution(
        id=ids.new("exec"),
        workflow_id=spec.workflow_id,
        input=spec.input,
        initial_state=spec.initial_state,
        session_id=spec.session_id or parent.session_id,
        user_id=spec.user_id or parent.user_id,
        queue=spec.queue,
        concurrency_key=spec.concurrency_key,
        idempotency_key=spec.idempotency_key,
        run_timeout=spec.run_timeout,
    )
