"""Generations of older code on their way out, each until its bodies have ended. Starts none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from polos.dev.generation import Generation
from polos.dev.happenings import Happening, Left, Warned

GRACE = 10.0
"""Seconds that bodies of older code have to end in."""


class Leaving:
    """There is one at a time: whoever leaves cuts the one before short. `on_fault` hears of an error of ours."""

    def __init__(self, tell: Callable[[Happening], None], on_fault: Callable[[BaseException], None]) -> None:
        self._tell, self._on_fault = tell, on_fault
        self._tasks: dict[Generation, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Generation]:
        return iter(list(self._tasks))

    async def let_go(self, old: Generation) -> None:
        """Lets a generation end what it runs; returns once it claims nothing more."""
        self.hurry()
        has_retired = asyncio.Event()
        self._tasks[old] = task = asyncio.create_task(self._see_off(old, has_retired))
        task.add_done_callback(self._ended)
        await has_retired.wait()

    async def _see_off(self, old: Generation, has_retired: asyncio.Event) -> None:
        try:
            try:
                await old.retire(GRACE)
            finally:
                has_retired.set()
            is_whole = await old.leave(GRACE)
        finally:
            del self._tasks[old]
        if not is_whole:
            text = "a process of older code did not end in time and was killed; what it ran goes on in the new one"
            self._tell(Warned(text=text))
        self._tell(Left(generation=old.number))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)

    def hurry(self) -> None:
        """Ends their grace."""
        for one in self._tasks:
            one.hurry()

    async def gone(self) -> None:
        """Returns once all have left."""
        await asyncio.gather(*self._tasks.values())
