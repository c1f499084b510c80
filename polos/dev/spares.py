"""Processes that wait for the next save, with polos imported and nothing of the user's: most of a reload is that import."""

from __future__ import annotations

from collections.abc import Callable

from polos.dev.generation import Child


class Spares:
    """Keeps `count` of them, once it is told to; each is for one generation."""

    def __init__(self, count: int, on_warning: Callable[[str], None]) -> None:
        self._count, self._on_warning = count, on_warning
        self._waiting: list[Child] = []
        self._is_filling = False
        self._drops = 0

    def take(self) -> list[Child]:
        """Returns those that are there, which are the caller's from then on."""
        taken, self._waiting = [one for one in self._waiting if one.process.returncode is None], []
        return taken

    async def fill(self) -> None:
        """Starts what is missing."""
        if self._is_filling:
            return
        self._is_filling, drops = True, self._drops
        try:
            self._waiting = self.take()
            while len(self._waiting) < self._count:
                one = await Child.spawn(self._on_warning)
                if drops != self._drops:
                    await one.kill()
                    return
                self._waiting.append(one)
        finally:
            self._is_filling = False

    async def drop(self) -> None:
        """Ends those that are there or just start: what they have imported may be old."""
        self._drops += 1
        for one in self.take():
            await one.kill()
