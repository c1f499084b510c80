"""Runs the workflow as it is, on an engine of its own, and answers in the person's place."""

import pytest

from polos.testing import PolosEnv, assert_steps
from workflows.approval import approval


@pytest.mark.parametrize("approved", [True, False])
def test_buys_only_what_was_approved(polos_env: PolosEnv, approved: bool) -> None:
    execution = polos_env.start(approval, {"item": "Laptop", "amount": 1200})
    assert execution.waiting_for == ["await_approval"]

    polos_env.advance(days=30)  # nobody is in a hurry
    polos_env.resume(execution, "await_approval", {"approved": approved, "reason": "a test"})

    assert execution.result["approved"] is approved
    assert_steps(execution, ["look_up_budget", "await_approval", "execute" if approved else "tell"])


def test_orders_once_more_where_it_crashed_in_between(polos_env: PolosEnv) -> None:
    polos_env.crash_at("execute", when="after_body")  # the order is placed, and not recorded
    execution = polos_env.start(approval, {"item": "Laptop", "amount": 1200})
    polos_env.resume(execution, "await_approval", {"approved": True})

    assert execution.result["approved"] is True
    assert polos_env.bodies_run("execute") == 2  # with the same idempotency key
