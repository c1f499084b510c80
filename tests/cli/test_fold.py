"""The view after a retry: what was taken back is gone from it, and what waits again began again."""

from __future__ import annotations

from typing import Any

from polos.core.codec import encode
from polos.core.model import Event
from polos_cli.view.fold import fold
from polos_cli.view.model import ViewExecution, ViewTree

SECOND = 1_000_000


def folded(*told: tuple[int, str, dict[str, Any]]) -> ViewExecution:
    """Folds (seconds, type, data) of one execution."""
    tree = ViewTree()
    start = {"id": "exec_1", "workflow_id": "trip"}
    for position, (at, type_, data) in enumerate([(0, "workflow_start", start), *told], 1):
        data = {"execution": 1, **data}
        fold(tree, Event(position=position, id="", topic="t", sequence=position, type=type_, data=encode(data),
                         created_at=at * SECOND))  # fmt: skip
    found = tree.root
    assert found is not None
    return found


def step(at: int, type_: str, key: str, kind: str = "run", **data: Any) -> tuple[int, str, dict[str, Any]]:
    return (at, type_, {"key": key, "kind": kind, **data})


CANCELLED = (
    step(1, "step_start", "book"), step(1, "step_finish", "book"), step(1, "wait_start", "paid", "event"),
    (5, "workflow_stopping", {"reason": "cancel"}), step(5, "step_start", "unbook"), step(5, "step_finish", "unbook"),
    (6, "workflow_cancelled", {}),
)  # fmt: skip
RETRIED = (9, "workflow_retried", {"life": 1, "cause": "polos:stop", "superseded": ["polos:stop", "unbook"]})


def test_what_its_end_cut_short_is_not_open() -> None:
    assert {key: one.state for key, one in folded(*CANCELLED).steps.items()} == {
        "book": "completed", "paid": "cancelled", "unbook": "completed"
    }  # fmt: skip


def test_a_retry_takes_back_what_came_after_the_cut() -> None:
    view = folded(*CANCELLED, RETRIED)
    assert (view.state, view.ended_at, list(view.steps)) == ("queued", None, ["book"])


def test_a_wait_begins_again_with_the_retry() -> None:
    view = folded(*CANCELLED, RETRIED, step(10, "wait_start", "paid", "event"))
    paid = view.steps["paid"]
    assert (paid.state, paid.started_at, paid.ended_at) == ("waiting", 10 * SECOND, None)
    assert (
        folded(*CANCELLED, RETRIED, step(10, "wait_start", "paid", "event"), (11, "workflow_cancelled", {}))
        .steps["paid"]
        .ended_at
        == 11 * SECOND
    )


def test_children_of_a_step_that_is_taken_back_are_not_its_children_any_more() -> None:
    def with_children(superseded: list[str], cause: str) -> list[str]:
        tree = ViewTree()
        for position, (type_, data) in enumerate(
            [("workflow_start", {"execution": 1, "id": "exec_1", "workflow_id": "trip"}),
             *(("workflow_start", {"execution": n, "id": f"exec_{n}", "workflow_id": "kid", "parent": 1, "parent_key": key})
               for n, key in ((2, "first"), (3, "second"))),
             ("workflow_failed", {"execution": 1}),
             ("workflow_retried", {"execution": 1, "life": 1, "cause": cause, "superseded": superseded})], 1
        ):  # fmt: skip
            fold(tree, Event(position=position, id="", topic="t", sequence=position, type=type_, data=encode(data),
                             created_at=0))  # fmt: skip
        return [one.parent_key for one in tree.executions[1].children]

    assert with_children(["first", "second"], "first") == ["first"], "the cause keeps its child; others are new ones"
    assert with_children([], "") == ["first", "second"]


def test_what_is_held_and_let_go_again_has_not_ended() -> None:
    held = step(1, "wait_start", "paid", "event"), (3, "workflow_blocked", {"reason": "diverged"})
    view = folded(*held)
    assert (view.state, view.ended_at) == ("blocked", 3 * SECOND)
    view = folded(*held, (8, "workflow_unblocked", {}))
    assert (view.state, view.ended_at, view.error_type) == ("queued", None, "")
    assert view.steps["paid"].state == "waiting"


def test_an_answer_that_comes_before_its_question_is_no_step() -> None:
    assert folded(step(1, "resume", "ask", "suspend")).steps == {}
    view = folded(step(1, "wait_start", "ask", "suspend"), step(2, "resume", "ask", "suspend"))
    assert view.steps["ask"].state == "waiting", "its end is told by itself"


def test_an_execution_of_which_all_that_is_open_waits_seems_to_wait() -> None:
    assert folded(step(1, "step_start", "book")).seems == "running"
    assert folded(step(1, "step_start", "book"), step(2, "wait_start", "paid", "event")).seems == "running"
    waits = step(1, "step_start", "book"), step(2, "step_finish", "book"), step(2, "wait_start", "paid", "event")
    assert folded(*waits).seems == "waiting" and folded(*waits).state == "running"
