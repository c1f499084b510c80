"""The workloads, their figures and their targets. Runs nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

Figures = dict[str, dict[str, float]]
"""side -> figure -> median over the rounds"""


@dataclass(frozen=True)
class Target:
    """What a figure should reach: in this release, and later."""

    text: str
    value: Callable[[Figures], float | None]
    now: float
    later: float
    at_least: bool
    unit: str = ""

    def verdict(self, figures: Figures) -> tuple[float | None, bool | None, bool | None]:
        """Returns the value, whether it reaches `now`, and whether it reaches `later`."""
        value = self.value(figures)
        if value is None:
            return None, None, None
        now, later = (value >= bound if self.at_least else value <= bound for bound in (self.now, self.later))
        return value, now, later


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio`: how many times better Polos is than the peer. `side`: whose figure is shown."""

    figure: str
    title: str
    unit: str
    more_is_better: bool
    targets: tuple[Target, ...] = ()
    side: str = "polos"


@dataclass(frozen=True)
class Workload:
    """`within`: the same programs with everything in one process, measured in the same rounds as the side ``within``."""

    id: str
    title: str
    sides: tuple[str, ...]
    rows: tuple[Row, ...]
    within: str = ""


def _ratio(figure: str, more_is_better: bool) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        ours, theirs = figures.get("polos", {}).get(figure), figures.get("dbos", {}).get(figure)
        if not ours or not theirs:
            return None
        return ours / theirs if more_is_better else theirs / ours

    return value


def _own(figure: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.get("polos", {}).get(figure)


def _per_bare_commit(figures: Figures) -> float | None:
    ours, bare = figures.get("polos", {}).get("step_mean_ms"), figures.get("bare", {}).get("step_mean_ms")
    return ours / bare if ours and bare else None


def times(figure: str, now: float, later: float, more_is_better: bool = True) -> Target:
    """At least `now` times better than the peer."""
    return Target("x dbos", _ratio(figure, more_is_better), now, later, True, "x")


def at_most(figure: str, now: float, later: float, unit: str) -> Target:
    return Target(unit, _own(figure), now, later, False, unit)


def at_least(figure: str, now: float, later: float, unit: str) -> Target:
    return Target(unit, _own(figure), now, later, True, unit)


CPU = Row("cpu_us", "processor time of the process, each", "us", False)
"""Shakes less than the clock on a busy machine. A step of W1 to W3, a call of W4, a child of W7."""

ATTACHED_CPU = (
    Row("cpu_us", "processor time of the worker, each", "us", False),
    Row("owner_cpu_us", "processor time of the owner, each", "us", False),
    Row("cpu_us", "the same in one process", "us", False, side="within"),
    Row("wire_us", "the wire's cost, each", "us", False),
)

WORKLOADS = (
    Workload("W1", "1,000 executions x 10 steps, 100 at once", ("polos", "dbos"), (
        Row("steps_per_s", "steps", "/s", True, 
            (times("steps_per_s", 25, 50), at_least("steps_per_s", 10_000, 10_000, "/s"))),
        CPU,
    )),
    Workload("W2", "1,000 sequential steps in one execution", ("polos", "dbos", "bare"), (
        Row("steps_per_s", "steps", "/s", True, (times("steps_per_s", 3, 5),)),
        Row("step_p50_ms", "median step", "ms", False),
        Row("step_mean_ms", "mean step, against a bare commit", "ms", False,
            (Target("x bare commit", _per_bare_commit, 1.5, 1.5, False, "x"),)),
        CPU,
    )),
    Workload("W3", "gather of 1,000 steps", ("polos", "dbos"), (
        Row("steps_per_s", "steps", "/s", True, (times("steps_per_s", 30, 30),)),
        CPU,
    )),
    Workload("W4", "invoke to result, a 1-step workflow, in process", ("polos", "dbos"), (
        Row("p50_ms", "p50", "ms", False, (times("p50_ms", 4, 4, False),)),
        Row("p99_ms", "p99", "ms", False),
        CPU,
    )),
    Workload("W5", "kill -9 after 1,000 recorded steps", ("polos", "dbos"), (
        Row("ready_to_step_ms", "ready to next new step", "ms", False,
            (at_most("ready_to_step_ms", 50, 25, "ms"),)),
        Row("spawn_to_step_ms", "process start to next new step", "ms", False),
    )),
    Workload("W7", "parent awaiting 1,000 children", ("polos", "dbos"), (
        Row("children_per_s", "children", "/s", True, (times("children_per_s", 60, 60),)),
        CPU,
    )),
    Workload("W8", "start-up, a fresh process each time", ("polos", "dbos"), (
        Row("import_ms", "import", "ms", False, (at_most("import_ms", 130, 100, "ms"),)),
        Row("help_ms", "--help", "ms", False, (at_most("help_ms", 200, 150, "ms"),)),
        Row("bare_ms", "bare interpreter", "ms", False),
    )),
    Workload("dev", "polos dev: ready, a save live, a call over HTTP", ("polos",), (
        Row("ready_ms", "process start to ready", "ms", False, (at_most("ready_ms", 500, 500, "ms"),)),
        Row("code_ms", "process start to the code's first claim", "ms", False),
        Row("save_ms", "save to new code live, saves a second apart", "ms", False, (at_most("save_ms", 400, 400, "ms"),)),
        Row("save_at_once_ms", "the same, each right after the one before", "ms", False),
        Row("http_p50_ms", "invoke to result over HTTP, p50", "ms", False, (at_most("http_p50_ms", 5, 5, "ms"),)),
        Row("http_p99_ms", "the same, p99", "ms", False),
        Row("client_p50_ms", "the same by PolosClient, in two requests, p50", "ms", False),
    )),
    Workload("dashboard", "the dashboard: 100,000 executions, and a live load of 500 steps/s", ("polos",), (
        Row("open_ms", "process start to the first rows", "ms", False, (at_most("open_ms", 1_000, 1_000, "ms"),)),
        Row("page_p50_ms", "page down to its rows, p50", "ms", False, (at_most("page_p50_ms", 100, 100, "ms"),)),
        Row("page_most_ms", "the slowest of 60", "ms", False, (at_most("page_most_ms", 100, 100, "ms"),)),
        Row("filter_p50_ms", "a filter to its rows, p50", "ms", False, (at_most("filter_p50_ms", 100, 100, "ms"),)),
        Row("memory_mb", "memory at most", "MB", False, (at_most("memory_mb", 200, 200, "MB"),)),
        Row("idle_percent", "processor while nothing happens", "%", False),
        Row("live_steps_per_s", "steps of the live load", "/s", True),
        Row("live_cpu_percent", "the dashboard's processor beside it", "%", False),
        Row("live_memory_growth_mb", "its memory, grown", "MB", False, (at_most("live_memory_growth_mb", 5, 5, "MB"),)),
        Row("slower_cpu_us", "the engine's processor a step, more", "%", False, (at_most("slower_cpu_us", 5, 5, "%"),)),
        Row("slower_p50_ms", "an execution's median, more", "%", False, (at_most("slower_p50_ms", 5, 5, "%"),)),
    )),
    Workload("W1-attached", "W1, the owner in another process", ("within", "polos"), (
        Row("steps_per_s", "steps", "/s", True, (at_least("steps_per_s", 4_000, 4_000, "/s"),)),
        Row("steps_per_s", "steps in one process", "/s", True, side="within"),
        *ATTACHED_CPU,
    ), "W1"),
    Workload("W2-attached", "W2, the owner in another process", ("within", "polos"), (
        Row("steps_per_s", "steps", "/s", True),
        Row("step_p50_ms", "median step", "ms", False),
        Row("step_p50_ms", "median step in one process", "ms", False, side="within"),
        Row("above_ms", "median step above that", "ms", False, (at_most("above_ms", 1, 1, "ms"),)),
        *ATTACHED_CPU,
    ), "W2"),
    Workload("W4-attached", "W4, the owner in another process", ("within", "polos"), (
        Row("p50_ms", "p50", "ms", False),
        Row("p99_ms", "p99", "ms", False),
        Row("p50_ms", "p50 in one process", "ms", False, side="within"),
        Row("p99_ms", "p99 in one process", "ms", False, side="within"),
        *ATTACHED_CPU,
    ), "W4"),
)  # fmt: skip
BY_ID = {w.id: w for w in WORKLOADS}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Returns the median of each figure over the rounds."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: statistics.median(one[name] for one in rounds if name in one) for name in names}


def compared(attached: dict[str, float], within: dict[str, float]) -> dict[str, float]:
    """Returns what being attached costs: figures of one round, the same programs with and without the wire."""
    found = {"wire_us": attached["cpu_us"] + attached["owner_cpu_us"] - within["cpu_us"]}
    if "step_p50_ms" in attached:
        found["above_ms"] = attached["step_p50_ms"] - within["step_p50_ms"]
    return found
