"""A loop whose time jumps to the next timer, and the clock, ids and dice that go with it. Waits for nothing real."""

from __future__ import annotations

import asyncio
import random
import selectors
from typing import Any


class Stuck(Exception):
    """Nothing is left that could ever happen, or the loop turns for ever."""


class _JumpingSelector(selectors.SelectSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0) if self.loop.real else []
        if self.loop.real:
            return super().select(0.05 if timeout is None else min(timeout, 0.05))
        if timeout is None:
            raise Stuck("no callback, no timer: it hangs")
        self.loop.offset += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps over every idle span. `real`: threads and sockets are looked at too, and time does not jump."""

    def __init__(self, real: bool = False, most_turns: int = 400_000) -> None:
        self.offset = 1000.0
        self.real = real
        self.turns_left = most_turns
        self.faults: list[str] = []
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6
        self.set_exception_handler(self._fault)

    def time(self) -> float:
        return super().time() if self.real else self.offset

    def _run_once(self) -> None:
        self.turns_left -= 1
        if self.turns_left < 0:
            raise Stuck("the loop turns for ever")
        super()._run_once()  # type: ignore[misc]

    def _fault(self, _loop: Any, context: dict[str, Any]) -> None:
        # Tasks of user code that nobody asked about are the user's; a callback of ours that raises is a bug.
        if "handle" in context:
            self.faults.append(f"{context['message']}: {context.get('exception')!r}")

    def settle(self) -> None:
        """Cancels what is left over and closes."""
        try:
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            if left:
                self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self.close()


class VirtualClock:
    """The loop's time as wall time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        return 1_700_000_000_000_000 + round(self._loop.time() * 1_000_000)

    def monotonic(self) -> float:
        return self._loop.time()


class CountedIds:
    """Ids that count."""

    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:026d}"


Dice = random.Random
