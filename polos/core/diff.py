"""How two executions differ: input, path, outcomes, attempts, times, result; JSON values by their structure. Reads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, TypeAlias

from polos.core.codec import plain
from polos.core.model import Entry, Execution, Failure, Kind, Stored

_ABSENT: Any = object()
Sort: TypeAlias = Literal["same", "changed", "only_first", "only_second"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """One place in a JSON value that differs. `path`: as ``.items[2].price``; absent values are None with `sort`."""

    path: str
    sort: Sort
    first: Any = None
    second: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChange:
    """One step of the two paths.

    Attributes:
        sort: in both with the same outcome; in both with another; in one alone.
        first, second: its entries.
        changes: what differs in its values; empty where an outcome is a failure.
        failures: how it failed, where it did: ``Type: message``.
    """

    key: str
    sort: Sort
    first: Entry | None = None
    second: Entry | None = None
    changes: tuple[ValueChange, ...] = ()
    failures: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two executions differ. `steps`: along both paths, in the order in which outcomes were recorded."""

    input: tuple[ValueChange, ...]
    steps: tuple[StepChange, ...]
    result: tuple[ValueChange, ...]
    ends: tuple[str, str]

    @property
    def is_same(self) -> bool:
        """True where nothing differs but times and attempts."""
        return (
            not self.input
            and not self.result
            and self.ends[0] == self.ends[1]
            and all(s.sort == "same" for s in self.steps)
        )


def difference(
    first: Execution, first_entries: Sequence[Entry], second: Execution, second_entries: Sequence[Entry]
) -> Difference:
    """Returns how the second execution differs from the first.

    The paths are aligned by their longest common runs of keys (Ratcliff and Obershelp, as in `difflib`).
    """
    return Difference(
        input=tuple(values(_plain(first.input), _plain(second.input))),
        steps=tuple(_steps(list(first_entries), list(second_entries))),
        result=tuple(values(_plain(first.result), _plain(second.result))),
        ends=(_end(first), _end(second)),
    )


def values(first: Any, second: Any, path: str = "") -> Iterator[ValueChange]:
    """Yields where two JSON values differ, the deepest places only."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in dict.fromkeys((*first, *second)):
            yield from _member(first.get(name, _ABSENT), second.get(name, _ABSENT), f"{path}.{name}")
    elif isinstance(first, list) and isinstance(second, list):
        for at in range(max(len(first), len(second))):
            one = first[at] if at < len(first) else _ABSENT
            other = second[at] if at < len(second) else _ABSENT
            yield from _member(one, other, f"{path}[{at}]")
    elif type(first) is not type(second) or first != second:  # (true is not 1)
        yield ValueChange(path=path or ".", sort="changed", first=first, second=second)


def _member(first: Any, second: Any, path: str) -> Iterator[ValueChange]:
    if first is _ABSENT:
        yield ValueChange(path=path, sort="only_second", second=second)
    elif second is _ABSENT:
        yield ValueChange(path=path, sort="only_first", first=first)
    else:
        yield from values(first, second, path)


def _steps(first: list[Entry], second: list[Entry]) -> Iterator[StepChange]:
    matcher = SequenceMatcher(None, [entry.key for entry in first], [entry.key for entry in second], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            yield from (_both(one, other) for one, other in zip(first[i:j], second[k:m], strict=True))
            continue
        yield from (StepChange(key=one.key, sort="only_first", first=one) for one in first[i:j])
        yield from (StepChange(key=one.key, sort="only_second", second=one) for one in second[k:m])


def _both(first: Entry, second: Entry) -> StepChange:
    changes = tuple(values(_told(first), _told(second)))
    failures = (_failure(first.failure), _failure(second.failure))
    same = first.outcome is second.outcome and first.kind is second.kind and not changes and failures[0] == failures[1]
    return StepChange(
        key=first.key,
        sort="same" if same else "changed",
        first=first,
        second=second,
        changes=changes,
        failures=failures,
    )


def _told(entry: Entry) -> Any:
    """Returns an outcome's value; of an event or an answer what it says: its id, place and time are always others."""
    value = _plain(entry.value)
    if entry.kind in (Kind.EVENT, Kind.SUSPEND) and isinstance(value, dict):
        return {name: value.get(name) for name in ("topic", "event_type", "data")}
    return value


def _plain(stored: Stored | None) -> Any:
    return None if stored is None else plain(stored)


def _failure(failure: Failure | None) -> str | None:
    return None if failure is None else f"{failure.type_name}: {failure.message}"


def _end(execution: Execution) -> str:
    failure = _failure(execution.failure)
    return execution.status.value + (f" ({failure})" if failure else "")
