"""A worker's pulse, on a thread of its own: renews its lease, and says what blocks its loop (S8.2). Runs no workflow."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
from collections.abc import Callable
from types import FrameType

from polos.clock import Clock
from polos.errors import EngineError

TICK = 0.5
BLOCKED_AFTER = 1.0
"""Seconds without a turn of the loop after which what blocks it is told."""
RENEWS_UNTIL = 300.0
"""Seconds without a turn of the loop after which the lease is renewed no more."""


class Heartbeat:
    """The pulse of one worker.

    Args:
        renew: renews the lease: True; False when the worker was given up; None when it needs no lease.
        lease_seconds: how long the lease goes on without a renewal.
        on_lost: called on the loop when the lease may have ended: nothing may be run under it any more.
        on_blocked: called on this thread with the words of the report.
    """

    def __init__(
        self, clock: Clock, renew: Callable[[], bool | None], lease_seconds: Callable[[], float],
        on_lost: Callable[[], None], on_blocked: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._renew = renew
        self._lease_seconds = lease_seconds
        self._on_lost, self._on_blocked = on_lost, on_blocked
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._asked = clock.monotonic()
        self._waits_for_turn = False
        self._reported = False
        self._valid_until = float("inf")
        self._began = 0.0
        self._thread = threading.Thread(target=self._beat, name="polos-heartbeat", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def begin_lease(self, asked_at: float) -> None:
        """Counts the lease from the instant (monotonic) at which the worker said hello."""
        self._began = asked_at
        self._valid_until = asked_at + self._lease_seconds()

    def end_lease(self) -> None:
        """Needs none any more: the owner is here."""
        self._valid_until = float("inf")

    @property
    def is_valid(self) -> bool:
        """False once the lease may have ended: nothing more may be begun under it."""
        return self._clock.monotonic() < self._valid_until

    def stop(self) -> None:
        """Ends the thread soon; does not wait for it."""
        self._stopped.set()

    # ── on the thread ────────────────────────────────────────────────────────────────────────────────

    def _beat(self) -> None:
        last = renewed = self._clock.monotonic()
        while not self._stopped.wait(TICK):
            now = self._clock.monotonic()
            if now - last > TICK + BLOCKED_AFTER:
                self._asked = now  # the whole process stood still, not its loop
                self._reported = False
            last = now
            self._look_at_loop(now)
            is_stuck = self._waits_for_turn and now - self._asked > RENEWS_UNTIL
            if not is_stuck and now - renewed >= self._lease_seconds() / 3:
                renewed = now
                self._renew_from(now)
            if not self.is_valid:
                self._tell(self._on_lost)

    def _renew_from(self, now: float) -> None:
        try:
            kept = self._renew()
        except EngineError:
            return  # told by the connection's end, or by the end of the lease
        if now < self._began:
            return  # of the lease before
        if kept is None:
            self._valid_until = float("inf")
        elif kept:
            self._valid_until = now + self._lease_seconds()
        else:
            self._valid_until = now

    def _look_at_loop(self, now: float) -> None:
        if not self._waits_for_turn:
            self._waits_for_turn, self._asked = True, now
            self._tell(self._turn)
            return
        if now - self._asked > BLOCKED_AFTER and not self._reported:
            self._reported = True
            self._on_blocked(self._report(now - self._asked))

    def _turn(self) -> None:
        self._waits_for_turn = False
        self._reported = False

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            self._stopped.set()  # the loop has ended

    def _report(self, seconds: float) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        lines = user_lines(frame)
        where = " ← ".join(lines) if lines else "no frame of yours"
        return (
            f"the event loop has stood still for {seconds:.1f} s: {where}. Everything else in this process waits; "
            f"await instead, or move the work into a step that is a plain def (it runs on a thread)"
        )


def user_lines(frame: FrameType | None) -> list[str]:
    """Returns ``file:line in function`` of the innermost frames that are neither ours nor the standard library's."""
    found: list[str] = []
    library = sysconfig.get_path("stdlib")
    while frame is not None and len(found) < 3:
        name = frame.f_code.co_filename
        module = str(frame.f_globals.get("__name__", ""))
        is_library = name.startswith(("<", library)) or "site-packages" in name or "/polos_cli/" in name
        if not is_library and not module.startswith(("polos.", "polos_cli.")):
            found.append(f"{name}:{frame.f_lineno} in {frame.f_code.co_name}")
        frame = frame.f_back
    return found
