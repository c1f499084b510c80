"""What a store must hold, as plain values: written from the semantics, not from the store. Knows no SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

SECOND = 1_000_000
LIMIT = 2
OFFERED_FOR = SECOND
OPEN = ("queued", "running", "waiting", "blocked")


@dataclass
class Outcome:
    """A row of a journal."""

    key: str
    how: str
    seq: int
    after: int
    event: int | None = None


@dataclass
class Wait:
    """A pending wait; `order` is that of all waits."""

    order: int
    after: int
    topic: str | None = None
    due: int | None = None


@dataclass
class Execution:
    """An execution as it should be."""

    id: str
    number: int
    workflow: str
    available_at: int
    since_event: int
    queue: str | None = None
    line: str = ""
    placed_at: int = 0
    status: str = "queued"
    seq: int = 0
    epoch: int = 0
    worker: str | None = None
    has_begun: bool = False
    deaths: int = 0
    life: int = 0
    ending: bool = False
    cause: str | None = None
    blocked_code: str = ""
    live: list[Outcome] = field(default_factory=list)
    taken_back: list[tuple[int, str]] = field(default_factory=list)
    waits: dict[str, Wait] = field(default_factory=dict)

    def add(self, key: str, how: str, after: int, event: int | None = None) -> None:
        """Records an outcome."""
        self.seq += 1
        self.live.append(Outcome(key, how, self.seq, after, event))
        if key != "polos:stop":
            self.deaths = 0

    def seen(self) -> set[int]:
        """The events that went to it, in this life."""
        return {one.event for one in self.live if one.event is not None}

    def end(self, status: str) -> None:
        """Ends it."""
        self.status, self.worker, self.ending = status, None, False
        self.waits.clear()

    def wake(self, now: int) -> None:
        """Queues it, where it waits."""
        if self.status == "waiting":
            self.status, self.available_at = "queued", now


class Model:
    """The whole store. `now` is the clock's, set by the test."""

    def __init__(self) -> None:
        self.executions: dict[int, Execution] = {}
        self.events: list[str] = []  # the topic of each event of users, in order
        self.codes: dict[str, str] = {}  # the workers that are up, with their code
        self.waits = 0

    # ── events, timers ───────────────────────────────────────────────────────────────────────────────

    def publish(self, topic: str, now: int) -> list[int]:
        """Appends an event; returns whom it wakes: one wait of each, the earliest."""
        event = len(self.events)
        self.events.append(topic)
        woken = []
        waiting = [
            (w.order, e, key) for e in self.executions.values() for key, w in e.waits.items() if w.topic == topic
        ]
        for _, execution, key in sorted(waiting, key=lambda found: found[0]):
            if execution.number not in woken:
                woken.append(execution.number)
                self.complete(execution, key, now, event)
        return woken

    def complete(self, execution: Execution, key: str, now: int, event: int | None = None) -> None:
        """Gives a wait its outcome."""
        wait = execution.waits.pop(key)
        execution.add(key, "completed", wait.after, event)
        execution.wake(now)

    def begin_wait(
        self, execution: Execution, key: str, after: int, topic: str | None, due: int | None, now: int
    ) -> None:
        """A wait begins; an event that is there already and unseen completes it at once."""
        self.waits += 1
        execution.waits[key] = Wait(self.waits, after, topic, due)
        if topic is None:
            return
        for event in range(execution.since_event, len(self.events)):
            if self.events[event] == topic and event not in execution.seen():
                self.complete(execution, key, now, event)
                return

    def fire(self, now: int) -> None:
        """Fires what is due, in the order of the instants."""
        due = [
            (w.due, w.order, e, key)
            for e in self.executions.values()
            for key, w in e.waits.items()
            if w.due is not None
        ]
        for at, _, execution, key in sorted(due, key=lambda found: found[:2]):
            if at is not None and at <= now:
                self.complete(execution, key, now)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────────

    def claimable(self, worker: str, now: int) -> Iterator[Execution]:
        """Those that a worker may be given, queues not looked at."""
        for one in self.executions.values():
            is_offered = (
                one.worker in (None, worker) or one.available_at <= now - OFFERED_FOR or one.worker not in self.codes
            )
            if one.status == "queued" and one.available_at <= now and is_offered:
                yield one

    def running_in(self, line: tuple[str, str]) -> int:
        """How many of a line run."""
        return sum((e.queue, e.line) == line and e.status == "running" for e in self.executions.values())

    def is_admitted(self, execution: Execution, now: int) -> bool:
        """Tells whether its queue has a place for it, those before it served first."""
        if execution.queue is None:
            return True
        line = (execution.queue, execution.line)
        before = [
            e for e in self.executions.values()
            if (e.queue, e.line) == line and e.status == "queued" and e.available_at <= now
            and (e.placed_at, e.number) < (execution.placed_at, execution.number)
        ]  # fmt: skip
        return len(before) < LIMIT - self.running_in(line)

    def bury(self, worker: str, now: int) -> None:
        """A worker dies with what it holds."""
        code = self.codes.pop(worker)
        for one in self.executions.values():
            if one.status == "running" and one.worker == worker:
                if one.deaths >= 4:
                    self.block(one, code)
                else:
                    one.status, one.worker, one.available_at = "queued", None, now
                    one.deaths += 1

    # ── ends ─────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, execution: Execution, status: str, cause: str | None) -> None:
        """Its code has ended; a cancel that came before has the say."""
        execution.cause = cause
        execution.end("cancelled" if execution.ending else status)

    def block(self, execution: Execution, code: str) -> None:
        """It is blocked, or ends if it was to end."""
        if execution.ending:
            execution.end("cancelled")
        else:
            execution.status, execution.worker, execution.blocked_code = "blocked", None, code

    def cancel(self, execution: Execution, now: int) -> None:
        """Cancels what has not ended."""
        is_known = bool(self.codes)
        if execution.status == "blocked" or (execution.status != "running" and not (execution.has_begun and is_known)):
            execution.end("cancelled")
        elif not execution.ending:
            execution.add("polos:stop", "cancelled", execution.seq)
            execution.ending = True
            if execution.status == "queued":
                execution.available_at = now
            execution.wake(now)

    def retry(self, execution: Execution, now: int) -> list[str]:
        """Reopens an ended one; returns the keys that it takes back."""
        if execution.status == "blocked":
            execution.status, execution.worker, execution.deaths, execution.available_at = "queued", None, 0, now
            return []
        cause = next((one for one in execution.live if one.key in ("polos:stop", execution.cause)), None)
        stop = next((one for one in execution.live if one.key == "polos:stop"), None)
        cause = stop or (cause if execution.cause is not None else None)
        taken = [] if cause is None else [
            one for one in execution.live
            if one.key == cause.key or one.after >= cause.seq or (one.seq > cause.seq and one.how != "completed")
        ]  # fmt: skip
        execution.life += 1
        execution.taken_back += [(execution.life, one.key) for one in taken]
        execution.live = [one for one in execution.live if one not in taken]
        execution.status, execution.worker, execution.ending, execution.deaths = "queued", None, False, 0
        execution.available_at = execution.placed_at = now
        execution.cause = None
        return [one.key for one in taken]
