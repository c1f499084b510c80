"""The scale of a timeline: instants in order, idle time folded, bars as wide as they are told to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polos_cli.view.model import ViewExecution, ViewStep
from polos_cli.view.timeline import axis_of, bar_of, scale_of

S = 1_000_000


def execution(*steps: tuple[str, str, int, int | None], ended_at: int | None = None) -> ViewExecution:
    found = ViewExecution(number=1, started_at=0, ended_at=ended_at)
    for key, kind, since, until in steps:
        state = "running" if until is None else "completed"
        found.steps[key] = ViewStep(key=key, kind=kind, state=state, started_at=since, ended_at=until)
    return found


def drawn(found: ViewExecution, key: str, now: int, columns: int = 40) -> str:
    return "".join(run.text for run in bar_of(found.steps[key], now, scale_of(found, now), columns))


def test_a_long_wait_leaves_room_for_what_is_quick() -> None:
    day = 86_400 * S
    found = execution(
        ("a", "run", 0, 40_000), ("wait", "event", 40_000, day), ("b", "run", day, day + 40_000), ended_at=day + 40_000
    )
    scale = scale_of(found, day + 40_000)
    assert [one.since for one in scale.folds] == [40_000]
    assert drawn(found, "a", 0).rstrip().count("█") > 10 and drawn(found, "b", 0).count("█") > 10
    assert "┆" in drawn(found, "wait", 0) and drawn(found, "wait", 0).count("░") > 5
    assert "┆1d" in axis_of(scale, 60) or "┆23h" in axis_of(scale, 60)


def test_work_beside_a_wait_is_not_folded() -> None:
    found = execution(("wait", "event", 0, 100 * S), ("long", "run", 0, 100 * S), ended_at=100 * S)
    assert scale_of(found, 0).folds == ()
    assert drawn(found, "long", 0) == "█" * 40


def test_a_child_at_work_is_work() -> None:
    found = execution(("child", "child", 0, 100 * S), ("after", "run", 100 * S, 101 * S), ended_at=101 * S)
    inner = execution(("body", "run", 0, 90 * S), ended_at=100 * S)
    inner.number = 2
    found.children.append(inner)
    assert [(one.since, one.until) for one in scale_of(found, 0).folds] == []
    inner.steps["body"].kind = "sleep"
    assert [(one.since, one.until) for one in scale_of(found, 0).folds] == [(0, 100 * S)]


def test_attempts_that_failed_and_their_delays_are_drawn() -> None:
    found = execution(("charge", "run", 0, 4 * S), ended_at=4 * S)
    found.steps["charge"].failures = [(0, 1 * S, 2 * S)]
    runs = bar_of(found.steps["charge"], 4 * S, scale_of(found, 4 * S), 40)
    assert [(run.text[0], run.look) for run in runs] == [("█", "red"), ("┄", "dim"), ("█", "green")]
    assert [len(run.text) for run in runs] == [10, 10, 20]


@given(
    spans=st.lists(
        st.tuples(st.sampled_from(["run", "event", "sleep", "child"]), st.integers(0, 10**12), st.integers(0, 10**12)),
        max_size=12,
    ),
    now=st.integers(0, 2 * 10**12), columns=st.integers(1, 300),
)  # fmt: skip
def test_places_ascend_and_bars_fit(spans: list[tuple[str, int, int]], now: int, columns: int) -> None:
    found = execution(*((f"s{at}", kind, since, since + span) for at, (kind, since, span) in enumerate(spans)))
    scale = scale_of(found, now)
    assert scale.places[0] == 0.0 and scale.places[-1] == 1.0
    assert list(scale.edges) == sorted(set(scale.edges)) and list(scale.places) == sorted(scale.places)
    assert len(axis_of(scale, columns)) == columns
    for step in found.steps.values():
        assert sum(len(run.text) for run in bar_of(step, now, scale, columns)) == columns
