"""One generation of the user's code: its worker processes, from their import to their end. Decides nothing about others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from polos.dev.compat import LIMIT
from polos.dev.control import Message, ServerEnd
from polos.dev.happenings import Checked, Manifest, Misfit

LOADS_WITHIN = 60.0
"""Seconds after which an import that does not end is given up."""
CHECKS_WITHIN = LIMIT + 5.0
"""Seconds after which a check is given up: the new code has blocked its loop."""
WORKS_WITHIN = 15.0
RETIRES_WITHIN = 1.0
GOES_WITHIN = 5.0
"""Seconds beyond its grace after which a process that was told to leave is killed."""


class RefusedCode(Exception):
    """The user's modules could not be imported, or what they declare was refused."""

    def __init__(self, message: str, hint: str, traceback_text: str) -> None:
        super().__init__(message)
        self.message, self.hint, self.traceback_text = message, hint, traceback_text


class ChildDied(Exception):
    """A process ended by itself; says how."""


@dataclass(slots=True, kw_only=True)
class Check:
    """What the check found, and what the server is to do about it."""

    checked: Checked
    hold: list[tuple[int, str, str]]
    release: list[tuple[int, str]]


class Child:
    """One worker process. `died` is called when it ends without having been told to."""

    def __init__(self, process: asyncio.subprocess.Process, line: ServerEnd, on_warning: Callable[[str], None]) -> None:
        self.process = process
        self._line = line
        self._on_warning = on_warning
        self._answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())
        self.is_leaving = False
        self._is_retiring = False
        self.has_died = False
        """It ended without having been told to."""
        self.on_death: Callable[[Child], None] = lambda child: None

    @classmethod
    async def spawn(cls, on_warning: Callable[[str], None]) -> Child:
        """Starts a process, which waits for the order to load."""
        own, its = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "polos.dev.child", str(its.fileno()), str(os.getpid()),
                pass_fds=[its.fileno()], stdin=asyncio.subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
        except BaseException:  # a cancel, too: nothing stays half open
            own.close()
            raise
        finally:
            its.close()
        return cls(process, await ServerEnd.open(own), on_warning)

    async def _read(self) -> None:
        while (message := await self._line.next()) is not None:
            if message["is"] == "warned":
                self._on_warning(message["text"])
            else:
                self._answers.put_nowait(message)
        await self.process.wait()
        self._answers.put_nowait(None)
        if not self.is_leaving:
            self.has_died = True
            self.on_death(self)

    async def answer(self, within: float) -> Message:
        """Returns its next answer.

        Raises:
            RefusedCode: it refused.
            ChildDied: it has ended.
            TimeoutError: there was none in time.
        """
        async with asyncio.timeout(within):
            message = await self._answers.get()
        if message is None:
            raise ChildDied(how_it_ended(self.process.returncode))
        if message["is"] == "refused":
            self.is_leaving = True
            raise RefusedCode(message["message"], message["hint"], message["traceback"])
        return message

    def tell(self, **order: Any) -> None:
        """Gives an order."""
        self._line.send(order)

    async def retire(self, grace: float) -> None:
        """Tells it to give back what it has once its bodies have ended; returns once it takes nothing more."""
        self.is_leaving = self._is_retiring = True
        self.tell(do="retire", grace=grace)
        with contextlib.suppress(TimeoutError, ChildDied):  # one whose loop stands still takes nothing, either
            await self.answer(RETIRES_WITHIN)

    async def leave(self, grace: float) -> bool:
        """Sees it off; False: it had to be killed."""
        if not self._is_retiring:
            await self.retire(grace)
        try:
            async with asyncio.timeout(grace + GOES_WITHIN):
                await self.process.wait()
            return True
        except TimeoutError:
            return False
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Ends it and what it has started, at once."""
        self.is_leaving = True
        self.kill_now()
        await self.process.wait()
        self._line.close()
        await self._reading

    def kill_now(self) -> None:
        """Sends the signal, and waits for nothing."""
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it is just ending


class Generation:
    """The processes of one state of the code: the first one checks, all work."""

    def __init__(
        self, number: int, settings: dict[str, Any], workers: int, on_warning: Callable[[str], None],
        spares: Callable[[], list[Child]],
    ) -> None:  # fmt: skip
        self.number = number
        self.manifest: Manifest | None = None
        self.children: list[Child] = []
        self.is_working = False
        self._settings, self._workers, self._on_warning = settings, workers, on_warning
        self._spares = spares

    async def load(self) -> Manifest:
        """Lets its processes import the code, and returns what they found. Raises `RefusedCode`, `ChildDied`, `TimeoutError`."""
        self.children += self._spares()
        while len(self.children) < self._workers:
            self.children.append(await Child.spawn(self._on_warning))
        for child in self.children:
            child.tell(do="load", settings=self._settings)
        answers = [await child.answer(LOADS_WITHIN) for child in self.children]
        told = answers[0]["manifest"]
        self.manifest = Manifest(
            code=told["code"], workflows=tuple(told["workflows"]), names=tuple(told["names"]), schedules=told["schedules"],
            triggers=told["triggers"], env=tuple(told["env"]),
        )  # fmt: skip
        return self.manifest

    async def check(self) -> Check:
        """Checks every unfinished execution against it. Raises `ChildDied`, `TimeoutError`."""
        first = self.children[0]
        first.tell(do="check", limit=LIMIT)
        answer = await first.answer(CHECKS_WITHIN)
        told = answer["checked"]
        checked = Checked(
            continues=told["continues"], unlooked=told["unlooked"], released=tuple(told["released"]),
            diverges=tuple(Misfit(**one) for one in told["diverges"]),
            unknown=tuple(Misfit(**one) for one in told["unknown"]),
        )  # fmt: skip
        hold, release = map(tuple, answer["hold"]), map(tuple, answer["release"])
        return Check(checked=checked, hold=list(hold), release=list(release))

    async def work(self, on_death: Callable[[Child], None]) -> None:
        """Lets it claim, and returns once it is known. Raises `RefusedCode`, `ChildDied`, `TimeoutError`."""
        for child in self.children:
            child.tell(do="work")
        for child in self.children:
            await child.answer(WORKS_WITHIN)
        for child in self.children:
            child.on_death = on_death
        self.is_working = True

    async def retire(self, grace: float) -> None:
        """Has it end once its bodies have ended; returns once it claims nothing more."""
        await asyncio.gather(*(child.retire(grace) for child in self.children))

    @property
    def is_alive(self) -> bool:
        """True while a process of it runs."""
        return any(child.process.returncode is None for child in self.children)

    async def leave(self, grace: float) -> bool:
        """Ends it once its bodies have ended; False where a process had to be killed."""
        return all(await asyncio.gather(*(child.leave(grace) for child in self.children)))

    def hurry(self) -> None:
        """Ends its grace: bodies that still run are cancelled, and run again elsewhere."""
        for child in self.children:
            child.tell(do="hurry")

    async def kill(self) -> None:
        """Ends it at once. What it had is given back by the end of its connections."""
        await asyncio.gather(*(child.kill() for child in self.children))

    def kill_now(self) -> None:
        """Sends the signals, and waits for nothing."""
        for child in self.children:
            child.kill_now()


def how_it_ended(code: int | None) -> str:
    """Returns a process's end in words."""
    if code is None:
        return "it still runs"
    if code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by the signal {-code}"
    return f"exited with {code}"
