"""Each reason for which an execution can be where it is has its explanation, and the next command is right (`polos why`)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from polos.core.codec import encode
from polos.core.explain import explain
from polos.core.manifest import QueueState, WorkerInfo
from polos.core.model import Ending, Entry, Event, Execution, FailedAttempt, Failure, Kind, Outcome, PendingWait
from polos.core.standing import Facts, Why
from polos.core.status import Status

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
WORKER = WorkerInfo(id="wrk_1", pid=77, project="shop", complete=True, workflow_ids=("order",))
OTHER = replace(WORKER, id="wrk_2", workflow_ids=("orders", "mail"))


def facts(status: Status, *, waits: Any = (), **given: Any) -> Facts:
    surroundings = {name: given.pop(name) for name in list(given) if name in Facts.__dataclass_fields__}
    execution = Execution(
        **{"number": 42, "id": "exec_1", "workflow_id": "order", "status": status, "created_at": NOW - 3600 * SECOND,
           "available_at": NOW - 5 * SECOND, "worker_id": "wrk_1", "root_id": "exec_1", **given}
    )  # fmt: skip
    return Facts(**{"execution": execution, "now": NOW, "waits": tuple(waits), "workers": (WORKER,), **surroundings})


def wait(key: str, kind: Kind, **given: Any) -> PendingWait:
    return PendingWait(**{"key": key, "kind": kind, "after": 0, "started_at": NOW - 60 * SECOND, **given})


def event(sequence: int, data: Any, *, ago: float = 30, position: int | None = None) -> Event:
    return Event(
        position=position or sequence, id=f"evt_{sequence}", topic="shop.paid", sequence=sequence, type=None,
        data=encode(data), created_at=NOW - round(ago * SECOND),
    )  # fmt: skip


def told(given: Facts) -> tuple[Why, str, list[str]]:
    explained = explain(given)
    return explained.why, "\n".join([explained.headline, *explained.details]), [c for c, _ in explained.commands]


EVENT_WAIT = wait(
    "paid", Kind.EVENT, channel="topic:shop.paid", request=json.dumps({"topic": "shop.paid", "match": {"order": 7}})
)


def test_done() -> None:
    why, text, commands = told(facts(Status.COMPLETED, ended_at=NOW - 60 * SECOND))
    assert why is Why.DONE and "1m 00s ago" in text and commands == ["polos show 42"]


def test_failed() -> None:
    failure = Failure(type_name="CardDeclined", message="no money")
    why, text, commands = told(facts(Status.FAILED, ended_at=NOW, failure=failure, cause_key="charge"))
    assert (
        why is Why.FAILED and "CardDeclined: no money" in text and "'charge'" in text and "polos retry 42" in commands
    )
    assert "its own code" in told(facts(Status.FAILED, ended_at=NOW, failure=failure))[1]


def test_cancelled() -> None:
    why, _, commands = told(facts(Status.CANCELLED, ended_at=NOW))
    assert why is Why.CANCELLED and "polos retry 42" in commands


def test_time_over() -> None:
    failure = Failure(type_name="WorkflowTimeoutError", message="it ran for longer than 1 s")
    over = facts(Status.FAILED, ended_at=NOW, failure=failure, error_type="WorkflowTimeoutError")
    _, text, commands = told(over)
    assert "run_timeout_seconds" in text and "its own code" not in text and "polos retry 42" in commands


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_a_child_whose_parent_has_received_its_end_is_retried_by_the_root(status: Status) -> None:
    parent = replace(facts(Status.FAILED).execution, number=7)
    root = replace(parent, number=3)
    child = facts(status, ended_at=NOW, parent=parent, root=root, has_parent_received=True)
    _, text, commands = told(child)
    assert "its parent, 7" in text and commands == ["polos show 42", "polos retry 3"]
    done = replace(child, root=replace(root, status=Status.COMPLETED))
    assert told(done)[2] == ["polos show 42"], "there is nothing to retry"
    assert "polos retry 42" in told(replace(child, has_parent_received=False))[2]


@pytest.mark.parametrize(
    ("kind", "why"),
    [("diverged", Why.DIVERGED), ("stored_value_mismatch", Why.VALUE_MISMATCH), ("crash_loop", Why.CRASH_LOOP),
     ("corrupt_record", Why.DAMAGED), ("engine_fault", Why.ENGINE_FAULT)],
)  # fmt: skip
def test_blocked(kind: str, why: Why) -> None:
    reason = json.dumps({"kind": kind, "message": "the history has 'a'", "hint": "put it back"})
    got, text, commands = told(facts(Status.BLOCKED, blocked_reason=reason, blocked_code="abc123"))
    assert got is why and "the history has 'a'" in text and "abc123" in text and "put it back" in text
    assert {"polos retry 42", "polos cancel 42"} <= set(commands)


def test_an_event_with_the_last_near_misses() -> None:
    entries = [Entry(key="first", kind=Kind.EVENT, outcome=Outcome.COMPLETED, seq=1, after=0, event=3)]
    events = [event(4, {"order": 8}), event(3, {"order": 7}), event(2, {"price": 1}), event(1, {"order": 7}, ago=7200)]
    why, text, commands = told(facts(Status.WAITING, waits=[EVENT_WAIT], entries=entries, topics={"shop.paid": events}))
    assert why is Why.WAITING_FOR_EVENT
    assert '"order": 7' in text and "its order is 8, not 7" in text and "went to the step 'first'" in text
    assert "no 'order'" in text and text.count("event ") >= 3
    assert commands[0] == "polos send-event shop.paid '{\"order\": 7}'"
    old = told(facts(Status.WAITING, waits=[EVENT_WAIT], topics={"shop.paid": events[-1:]}))[1]
    assert "before this execution was started" in old


def test_an_event_on_a_topic_that_is_spelt_otherwise() -> None:
    text = told(facts(Status.WAITING, waits=[EVENT_WAIT], other_topics=["shop.payed", "news"]))[1]
    assert "no event has come" in text and "'shop.payed'" in text


def test_a_timer() -> None:
    why, text, _ = told(facts(Status.WAITING, waits=[wait("nap", Kind.SLEEP, deadline=NOW + 90 * SECOND)]))
    assert why is Why.WAITING_FOR_TIMER and "'nap'" in text and "1m 30s" in text


def test_an_answer() -> None:
    asked = wait("ask", Kind.SUSPEND, request='{"question":"ok?"}', deadline=NOW + 5 * SECOND)
    why, text, commands = told(facts(Status.WAITING, waits=[asked]))
    assert (
        why is Why.WAITING_FOR_ANSWER
        and "ok?" in text
        and "5.0 s" in text
        and commands[0] == "polos resume 42 ask '{\"approved\": true}'"
    )


def test_a_child_and_many() -> None:
    one = facts(Status.RUNNING).execution
    child = replace(one, number=43, workflow_id="ship", parent_key="ship")
    why, text, commands = told(
        facts(Status.WAITING, waits=[wait("ship", Kind.CHILD, channel="execution:exec_2")], children={"ship": [child]})
    )
    assert why is Why.WAITING_FOR_CHILD and "execution 43 of 'ship', which is running" in text
    assert commands[0] == "polos why 43"
    done = replace(child, number=44, status=Status.COMPLETED, ended_at=NOW)
    text = told(facts(Status.WAITING, waits=[wait("ship", Kind.CHILD)], children={"ship": [child, done]}))[1]
    assert "1 of 2 executions" in text


def test_several_things() -> None:
    why, text, commands = told(
        facts(Status.WAITING, waits=[EVENT_WAIT, wait("ask", Kind.SUSPEND), wait("nap", Kind.SLEEP, deadline=NOW)])
    )
    assert (
        why is Why.WAITING_FOR_SEVERAL
        and "3 things" in text
        and "polos resume 42 ask '{\"approved\": true}'" in commands
    )


def test_in_a_queue_behind_its_holders() -> None:
    line = QueueState(name="mail", concurrency_key="ada", concurrency_limit=2, running=(40, 41), queued=5)
    why, text, commands = told(facts(Status.QUEUED, queue="mail", line=line, before=3))
    assert why is Why.IN_QUEUE and "'mail'" in text and "'ada'" in text and "40, 41" in text and "3 before it" in text
    assert commands[:2] == ["polos why 40", "polos queues"]
    assert "next in line" in told(facts(Status.QUEUED, queue="mail", line=line, before=0))[1]


def test_retrying_parked_and_in_memory() -> None:
    failed = FailedAttempt(
        key="charge", attempt=2, failure=Failure(type_name="TimeoutError", message="slow"), started_at=NOW - 9 * SECOND,
        ended_at=NOW - 4 * SECOND, due_at=NOW + 6 * SECOND,
    )  # fmt: skip
    parked = facts(Status.WAITING, waits=[wait("charge", Kind.RETRY, deadline=NOW + 6 * SECOND)], attempts=[failed])
    for given in (parked, facts(Status.RUNNING, attempts=[failed])):
        why, text, commands = told(given)
        assert why is Why.RETRYING and "again in 6.0 s" in text and "attempt 2 failed 4.0 s ago" in text
        assert commands[0] == "polos logs 42 --step charge"


def test_running_with_its_bodies_and_waits() -> None:
    why, text, commands = told(facts(Status.RUNNING, bodies=[("charge", 2, NOW - 3 * SECOND)], waits=[EVENT_WAIT]))
    assert why is Why.RUNNING and "process 77 of shop" in text and "'charge' runs for 3.0 s, attempt 2" in text
    assert "'paid'" in text and commands[0] == "polos logs 42 -f"


def test_its_process_has_gone() -> None:
    why, _, commands = told(facts(Status.RUNNING, workers=(), is_owned=False))
    assert why is Why.ORPHANED and "polos run --attach 42" in commands


def test_no_engine_at_all() -> None:
    why, _, commands = told(facts(Status.QUEUED, workers=(), is_owned=False))
    assert why is Why.NO_ENGINE and commands[0] == "polos worker"


def test_no_worker_has_the_code() -> None:
    why, text, _ = told(facts(Status.QUEUED, workers=(OTHER,)))
    assert why is Why.NO_WORKER and "orders, mail" in text and "there is 'orders'" in text


def test_a_delay() -> None:
    why, text, _ = told(facts(Status.QUEUED, available_at=NOW + 60 * SECOND))
    assert why is Why.DELAYED and "1m 00s" in text


def test_a_suspect() -> None:
    why, text, _ = told(facts(Status.QUEUED, deaths=3))
    assert why is Why.SUSPECT and "3 times" in text


def test_no_room_yet() -> None:
    line = QueueState(name="mail", concurrency_key="", concurrency_limit=2, running=(40,), queued=1)
    why, text, _ = told(facts(Status.QUEUED, line=line))
    assert why is Why.NO_ROOM and "5.0 s" in text and "process 77" in text


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("status", [Status.RUNNING, Status.WAITING])
def test_being_stopped(ending: Ending, status: Status) -> None:
    why, text, _ = told(facts(status, ending=ending))
    assert why is Why.STOPPING and ("cancelled" if ending is Ending.CANCEL else "too long") in text


def test_every_reason_is_tested() -> None:
    from pathlib import Path

    text = Path(__file__).read_text()
    assert [why for why in Why if f"Why.{why.name}" not in text] == []
