"""The records of the view: an execution as a tree of steps. Holds no text of the screen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class ViewStep:
    """A step as it looks now. Instants in microseconds.

    Attributes:
        is_kept: of the execution whose fork this is.
        failures: of each attempt that failed: since when, when it failed, when the next one was due.
    """

    key: str
    kind: str
    state: str = "running"
    attempt: int = 1
    started_at: int = 0
    ended_at: int | None = None
    until: int | None = None
    on: str = ""
    error_type: str = ""
    is_kept: bool = False
    failures: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ViewExecution:
    """An execution as it looks now, with its steps in the order in which they began, and its children.

    `cut_short`: the steps that had not ended when it did.
    """

    number: int
    id: str = ""
    workflow_id: str = ""
    state: str = "queued"
    started_at: int = 0
    ended_at: int | None = None
    error_type: str = ""
    parent: int | None = None
    parent_key: str = ""
    steps: dict[str, ViewStep] = field(default_factory=dict)
    children: list[ViewExecution] = field(default_factory=list)
    cut_short: list[str] = field(default_factory=list)

    @property
    def seems(self) -> str:
        """Its state, as far as it can be told from its steps alone: events tell of those, not that an execution waits."""
        open_ = [step.state for step in self.steps.values() if step.ended_at is None]
        return "waiting" if self.state == "running" and open_ and set(open_) <= {"waiting", "retrying"} else self.state


@dataclass(slots=True, kw_only=True)
class ViewTree:
    """All executions of one tree, by number."""

    executions: dict[int, ViewExecution] = field(default_factory=dict)
    position: int = 0

    @property
    def root(self) -> ViewExecution | None:
        """The execution at the top, once its start was seen."""
        return next((e for e in self.executions.values() if e.parent is None), None)
