"""The life of an execution is one table: final is final, and nothing is a dead end (S9.3)."""

from __future__ import annotations

import itertools

import pytest

from polos.core.status import TERMINAL, TRANSITIONS, Change, Status, after


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_changes_a_final_status(status: Status) -> None:
    changes = {change for change in Change if after(status, change) is not None}
    assert changes <= {Change.RETRY}  # S9.3: nothing but an explicit retry


def test_every_change_happens_somewhere() -> None:
    assert {change for _, change in TRANSITIONS} == set(Change)


def test_every_status_is_reached_and_leads_to_every_end() -> None:
    reached = {Status.QUEUED}
    for _ in Status:
        reached |= {to for (status, _), to in TRANSITIONS.items() if status in reached}
    assert reached == set(Status)
    for start in set(Status) - TERMINAL:
        seen = {start}
        for _ in Status:
            seen |= {to for (status, _), to in TRANSITIONS.items() if status in seen}
        assert seen >= TERMINAL


def test_anything_that_is_not_final_can_be_cancelled() -> None:
    assert all(after(status, Change.CANCEL) is Status.CANCELLED for status in set(Status) - TERMINAL)


def test_only_a_running_execution_ends_by_itself() -> None:
    for status, change in itertools.product(Status, (Change.COMPLETE, Change.PARK)):
        assert (after(status, change) is not None) == (status is Status.RUNNING)
    # The check of new code blocks what nobody runs (S8.3).
    assert {s for s in Status if after(s, Change.BLOCK)} == {Status.RUNNING, Status.QUEUED, Status.WAITING}
    # A blocked one that had run for too long ends at once: no code will clear up after it (S8.4, S8.5).
    assert {status for status in Status if after(status, Change.FAIL)} == {Status.RUNNING, Status.BLOCKED}


def test_a_blocked_execution_is_queued_again_and_never_claimed_straight() -> None:
    assert after(Status.BLOCKED, Change.UNBLOCK) is Status.QUEUED
    assert after(Status.BLOCKED, Change.CLAIM) is None
