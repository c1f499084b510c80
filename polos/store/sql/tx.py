"""A transaction as a generator: yields named statements and hints, receives rows (R5). No IO, no await, no driver."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Params: TypeAlias = Mapping[str, Any]
Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Queued:
    """Executions are queued and can be claimed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The execution has changed; `outcome`: it got one that its own worker did not write."""

    number: int
    id: str | None
    worker_id: str | None = None
    outcome: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Something will be due at this instant."""

    at: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The event log has grown."""


Hint: TypeAlias = Queued | Changed | Due | Appended
Statement: TypeAlias = tuple[str, Params | Sequence[Params]]
Tx: TypeAlias = Generator[Statement | Hint, Rows, T]
