"""asyncio's own timers in workflow code: real while live, recorded when they fire, delivered in their place (S1.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from polos.clock import Clock
from polos.core.model import NULL, Kind, Outcome
from polos.core.ops import Await, Record
from polos.worker.loop import RecordedTimer, Run
from polos.worker.outbox import Outbox
from polos.worker.request import Request


class LoopTimers:
    """The timers of one session. After a crash the unfired ones start again; durable waiting is `ctx.step.wait_for`."""

    def __init__(self, run: Run, outbox: Outbox, clock: Clock) -> None:
        self._run = run
        self._outbox = outbox
        self._clock = clock
        self._made = 0
        self.draining = False

    def next_key(self) -> str:
        """Returns the key of the timer that is made now: its ordinal in the execution."""
        self._made += 1
        return f"polos:timer/{self._made - 1}"

    def take(self, request: Request, timer: RecordedTimer, delay: float) -> None:
        """Ties a timer to its request."""
        request.timer = timer
        timer.request = request
        request.timer_due = self._clock.now() + max(0, round(delay * 1_000_000))

    def start(self, request: Request) -> None:
        """Lets it run on the host loop."""
        delay = max(0.0, (request.timer_due - self._clock.now()) / 1_000_000)
        self._run.outside(self._arm, request, delay)

    def _arm(self, request: Request, delay: float) -> None:
        if not request.cancelled and not self._run.closed:
            request.host_timer = asyncio.get_running_loop().call_later(delay, self._fires, request)

    def _fires(self, request: Request) -> None:
        if request.cancelled or request.pending or request.recorded or self._run.closed or self.draining:
            return
        request.recorded = True
        self._outbox.write(
            Record(key=request.key, kind=Kind.TIMER, outcome=Outcome.COMPLETED, after=request.after, value=NULL,
                   started_at=request.timer_due, ended_at=self._clock.now())
        )  # fmt: skip

    def make_durable(self, requests: Iterable[Request]) -> None:
        """Writes open timers with their due instant, so that the engine fires them: before a park or a release."""
        for request in requests:
            request.pending = True
            self._outbox.write(
                Await(key=request.key, kind=Kind.TIMER, after=request.after, deadline=request.timer_due,
                      started_at=self._clock.now())
            )  # fmt: skip
