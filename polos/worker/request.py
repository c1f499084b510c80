"""One request of a workflow: a step call that waits for its outcome. Decides nothing."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polos.core.model import Kind

if TYPE_CHECKING:
    from polos.calls import AnyCall
    from polos.worker.body import Body
    from polos.worker.loop import RecordedTimer

WAITS = frozenset({Kind.SLEEP, Kind.EVENT, Kind.SUSPEND, Kind.CHILD, Kind.TIMER})


_NO_CONTEXT = contextvars.Context()


class SessionClosed(GeneratorExit):
    """Raised by `ctx` calls in code that is being dropped (S1.10): the code ends as the process would."""


class Delivered:
    """What a request's future holds: the value, or the error that its step raises."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error


class RequestFuture(asyncio.Future[Delivered]):
    """A future that tells its session at once when the code gives it up."""

    on_cancel: Callable[[], None] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self.on_cancel is not None:
            self.on_cancel()
        return cancelled


class Request:
    """A step's request in one pass."""

    __slots__ = (
        "after", "body", "call", "cancelled", "context", "future", "host_timer", "key", "kind", "pending", "recorded",
        "site", "started", "timer", "timer_due",
    )  # fmt: skip

    def __init__(self, key: str, kind: Kind, site: str, after: int) -> None:
        self.key = key
        self.kind = kind
        self.site = site
        self.after = after
        self.call: AnyCall | None = None
        self.future: RequestFuture | None = None
        self.context: contextvars.Context = _NO_CONTEXT
        self.timer: RecordedTimer | None = None
        self.timer_due = 0
        self.host_timer: asyncio.TimerHandle | None = None
        self.recorded = False  # the history holds its outcome
        self.pending = False  # the store holds it as a wait
        self.started = False
        self.cancelled = False
        self.body: Body | None = None

    def forget(self) -> None:
        """Lets go of what is needed no more once the outcome has reached the code: arguments, closures, contexts."""
        self.call = self.future = self.body = None
        self.context = _NO_CONTEXT

    @property
    def is_wait(self) -> bool:
        """True for what may be left open at the end (S2.6)."""
        return self.kind in WAITS
