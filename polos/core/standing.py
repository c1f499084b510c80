"""Where an execution stands: the facts, the reasons there can be, and an explanation. Explains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from polos.core.manifest import QueueState, WorkerInfo
from polos.core.model import Entry, Event, Execution, FailedAttempt, PendingWait


class Why(StrEnum):
    """The reasons for which an execution can be where it is."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    ORPHANED = "orphaned"
    RETRYING = "retrying"
    STOPPING = "stopping"
    WAITING_FOR_EVENT = "waiting_for_event"
    WAITING_FOR_TIMER = "waiting_for_timer"
    WAITING_FOR_CHILD = "waiting_for_child"
    WAITING_FOR_ANSWER = "waiting_for_answer"
    WAITING_FOR_SEVERAL = "waiting_for_several"
    DELAYED = "delayed"
    IN_QUEUE = "in_queue"
    NO_ENGINE = "no_engine"
    NO_WORKER = "no_worker"
    SUSPECT = "suspect"
    NO_ROOM = "no_room"
    DIVERGED = "diverged"
    VALUE_MISMATCH = "stored_value_mismatch"
    CRASH_LOOP = "crash_loop"
    DAMAGED = "corrupt_record"
    ENGINE_FAULT = "engine_fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an execution and its surroundings at one instant.

    Attributes:
        topics: the newest events on each topic that it waits for, newest first.
        other_topics: topics that have had events lately.
        children: those of each step that awaits children, by its key.
        bodies: the steps whose body has started and not ended: (key, attempt, since).
        parent, root: above a child; `has_parent_received`: how it ended.
        line: its line in its queue, with the numbers of the holders; `before`: how many wait before it there.
        workers: those that are up; `is_owned`: an engine is up at all.
    """

    execution: Execution
    now: int
    entries: Sequence[Entry] = ()
    waits: Sequence[PendingWait] = ()
    attempts: Sequence[FailedAttempt] = ()
    topics: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    other_topics: Sequence[str] = ()
    children: Mapping[str, Sequence[Execution]] = field(default_factory=dict)
    bodies: Sequence[tuple[str, int, int]] = ()
    parent: Execution | None = None
    root: Execution | None = None
    has_parent_received: bool = False
    line: QueueState | None = None
    before: int = 0
    workers: Sequence[WorkerInfo] = ()
    is_owned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an execution is where it is.

    Attributes:
        headline: one sentence.
        details: what belongs to it, a line each.
        commands: what to type: (command, what it does).
    """

    why: Why
    headline: str
    details: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
