"""A fork: where it cuts a recorded history, what it keeps of it, what is edited there (S9.4). Touches no store.

The cut is causal: kept is what had been delivered to the code when it asked for the step at which it cuts. What was
recorded later, of steps beside it say, is done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from polos.core.model import Entry, Failure, Kind, Outcome, PendingWait, Stored
from polos.errors import UsageError

EDITABLE = frozenset({Kind.RUN, Kind.VALUE, Kind.EVENT, Kind.SUSPEND, Kind.CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An execution as a fork takes it over; `number` is that of its own database."""

    id: str
    number: int
    workflow_id: str
    input: Stored
    initial_state: Stored | None = None
    session_id: str | None = None
    user_id: str | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    run_timeout: int | None = None
    entries: tuple[Entry, ...] = ()
    waits: tuple[PendingWait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRequest:
    """A fork to be made.

    Attributes:
        id: of the new execution, chosen by the caller, so that a repeated request is the same one.
        at: the step before which the history is cut; None: keep nothing of it.
        input: in place of the recorded one.
        edits: outcomes in place of recorded ones, by step.
        origin: as of a start.
        given: the source itself, where it is not in this database: one of a bundle.
    """

    id: str
    source_id: str
    at: str | None = None
    input: Stored | None = None
    edits: Mapping[str, Stored] = field(default_factory=dict)
    origin: str | None = None
    given: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a fork keeps, and what it does not: recorded outcomes in their order, and waits that were open."""

    at: str | None
    after: int
    kept: tuple[Entry, ...]
    dropped: tuple[Entry, ...]
    waits: tuple[PendingWait, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A kept outcome that a fork was given instead; what is here was there before."""

    key: str
    outcome: Outcome
    value: Stored | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an execution comes from that is a fork of another one."""

    source_id: str
    source_number: int
    source_workflow_id: str
    at: str | None
    kept: int
    has_other_input: bool
    edits: tuple[Edit, ...] = ()


def cut(entries: Sequence[Entry], waits: Sequence[PendingWait], at: str | None) -> Cut:
    """Returns where a fork cuts.

    Args:
        entries: the live journal.
        at: the step before which to cut; None: before all of them.

    Raises:
        UsageError: there is no such step, or it was asked for once the execution was told to stop.
    """
    ordered = sorted(entries, key=lambda entry: entry.seq)
    asked: list[Entry | PendingWait] = [*(one for one in ordered if one.kind is not Kind.STOP), *waits]
    found = next((one.after for one in asked if one.key == at), None)
    if at is not None and found is None:
        known = ", ".join(one.key for one in asked) or "none yet"
        raise UsageError(f"there is no recorded step {at!r} to fork at", hint=f"its steps: {known}")
    after = found or 0
    kept = tuple(one for one in ordered if one.seq <= after)
    if any(one.kind is Kind.STOP for one in kept):
        raise UsageError(
            f"{at!r} was asked for when the execution was being stopped: a fork there would stop, too",
            hint="fork at a step before that",
        )
    dropped = tuple(one for one in ordered if one.seq > after and one.kind is not Kind.STOP)
    return Cut(at=at, after=after, kept=kept, dropped=dropped, waits=tuple(waits))


def edited(made: Cut, edits: Mapping[str, Stored]) -> list[tuple[Entry, Edit]]:
    """Returns the kept entries that are edited, each with what was there before.

    Of an event or an answer it is the data that is edited; all others are the step's whole value.

    Raises:
        UsageError: there is no such step before the cut, or it has no value.
    """
    kept = {entry.key: entry for entry in made.kept}
    found = []
    for key, value in edits.items():
        entry = kept.get(key)
        if entry is None:
            later = [*(one.key for one in made.dropped), *(one.key for one in made.waits)]
            what = "it runs again" if key in later else "there is no such step"
            raise UsageError(
                f"{key!r} cannot be edited: {what} in a fork at {made.at!r}" if key in later else
                f"{key!r} cannot be edited: there is no such step before {made.at!r}",
                hint=f"kept are: {', '.join(kept) or 'none'}; fork at a later step to edit this one",
            )  # fmt: skip
        if entry.kind not in EDITABLE:
            raise UsageError(f"{key!r} cannot be edited: a step of kind {entry.kind} has no value of its own")
        new = _with_data(entry, value) if entry.kind in (Kind.EVENT, Kind.SUSPEND) else value
        found.append(
            (
                replace(entry, outcome=Outcome.COMPLETED, value=new, failure=None),
                Edit(key=key, outcome=entry.outcome, value=entry.value, failure=entry.failure),
            )
        )
    return found


def _with_data(entry: Entry, data: Stored) -> Stored:
    """Returns an event with other data; one that never came is made."""
    request = orjson.loads(entry.request or "null")
    topic = request.get("topic", "") if isinstance(request, dict) else ""
    event = {"id": "", "sequence_id": 0, "topic": topic, "event_type": None, "created_at": entry.ended_at}
    if entry.value is not None:
        event = {name: value for name, value in orjson.loads(entry.value.text).items() if name != "data"}
    shape = {f"/data{path}": name for path, name in orjson.loads(data.shape or "{}").items()}
    head = orjson.dumps(event).decode()
    return Stored(f'{head[:-1]},"data":{data.text}}}', orjson.dumps(shape).decode() if shape else None)
