"""What can be asked of an owner over the wire: the methods, their arguments, and which role may. Asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from polos.core.forks import ForkRequest
from polos.core.manifest import ScheduleRule, WorkerInfo
from polos.core.model import Execution, NewEvent, NewExecution, Published, Retried, Started, Stopped, Stored
from polos.core.ops import CommitAnswer, Lease, Op
from polos.ports import Claim, ClaimRequest, Question
from polos.wire.codec import Convert, reader, writer


class Role(StrEnum):
    """What a connection may ask: no more than what it is there for."""

    CLIENT = "client"
    WORKER = "worker"
    RENEWAL = "renewal"
    HEIR = "heir"


_ALL = frozenset({Role.CLIENT, Role.WORKER})
_WORKER = frozenset({Role.WORKER})


@dataclass(frozen=True, slots=True)
class Method:
    """A method: who may call it, and how its arguments and its result go over the wire."""

    roles: frozenset[Role]
    writes: tuple[Convert, ...]
    reads: tuple[Convert, ...]
    write_result: Convert
    read_result: Convert

    def write(self, args: Sequence[Any]) -> list[Any]:
        """Returns arguments as they are sent."""
        return [arg if convert is None else convert(arg) for convert, arg in zip(self.writes, args, strict=True)]

    def result_of(self, told: Any) -> Any:
        """Returns a result as it was before it was sent."""
        return told if self.read_result is None else self.read_result(told)

    def read(self, args: Sequence[Any]) -> list[Any]:
        """Returns arguments as they were before they were sent."""
        return [arg if convert is None else convert(arg) for convert, arg in zip(self.reads, args, strict=True)]


def _method(roles: frozenset[Role], *args: Any, gives: Any = None) -> Method:
    return Method(
        roles, tuple(writer(arg) for arg in args), tuple(reader(arg) for arg in args), writer(gives), reader(gives)
    )


METHODS: Mapping[str, Method] = {
    "start": _method(_ALL, Sequence[NewExecution], gives=list[Started]),
    "publish": _method(_ALL, Sequence[NewEvent], gives=list[Published]),
    "resume": _method(_ALL, str, str, Stored, str),
    "get": _method(_ALL, str, gives=Execution | None),
    "find": _method(_ALL, str, gives=list[Execution]),
    "changed": _method(_ALL, str, float),  # until the execution may have changed, or for so many seconds
    "cancel": _method(_ALL, str, gives=Stopped),
    "retry": _method(_ALL, str, gives=Retried),
    "fork": _method(_ALL, ForkRequest, gives=Started),
    "put_schedule": _method(_ALL, ScheduleRule, str, gives=str),
    "change_schedule": _method(_ALL, str, str),
    "trigger_schedule": _method(_ALL, str, str, gives=Started),
    "backfill_schedule": _method(_ALL, str, int, int, gives=list[int]),
    "check_input": _method(_ALL, str, Stored, gives=Stored | None),
    "questions": _method(_WORKER, gives=list[Question]),  # payloads that others want to know whether they fit
    "answer": _method(_WORKER, int, Stored | None, dict[str, Any] | None),
    "hello": _method(_WORKER, WorkerInfo, Mapping[int, int]),
    "claim": _method(_WORKER, ClaimRequest, float, gives=list[Claim]),
    "commit": _method(_WORKER, Lease, int, Sequence[Op], int, gives=CommitAnswer),
    "outcomes": _method(_WORKER, gives=list[int]),  # numbers of executions that got an outcome from elsewhere
    "retire": _method(_WORKER, str),
    "goodbye": _method(_WORKER, str),
    "renew": _method(frozenset({Role.RENEWAL}), str, gives=bool),
    "yield": _method(frozenset({Role.HEIR})),
}

COMMITS = 1_000
"""Commits in flight on one connection, beyond which the reader stops and the sender waits."""
COMMIT_BYTES = 32 << 20
"""Bytes of values in flight on one connection, beyond which the reader stops and the sender waits."""


def size_of(ops: Sequence[Op]) -> int:
    """Returns about how many bytes the values of a commit take."""
    size = 200
    for op in ops:
        value = getattr(op, "value", None) or getattr(op, "data", None)
        if value is not None:
            size += len(value.text)
        for child in getattr(op, "children", ()):
            size += len(child.input.text)
    return size
