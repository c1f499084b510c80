"""The words for a pass that cannot go on: what the history has, what the code did, what to do (S1.7). Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from polos.core.model import Entry, Failure, Kind, PendingWait
from polos.errors import PolosError

if TYPE_CHECKING:
    from polos.worker.request import Request

_TODO = "put the code back as it was, or end this execution and start it anew"


def _reason(kind: str, message: str, *, hint: str = _TODO, **facts: object) -> str:
    return orjson.dumps({"kind": kind, "message": message, "hint": hint, **facts}).decode()


def _named(item: Entry | PendingWait) -> str:
    return f"{item.key!r} ({item.kind.value}" + (f", {item.site})" if item.site else ")")


def kind_changed(recorded: Entry | PendingWait, now: Kind, site: str) -> str:
    """Returns the reason: another kind of step stands under a recorded key."""
    return _reason(
        "diverged",
        f"the history has {_named(recorded)}; the code now asks for a step of kind {now.value} under that key ({site})",
        step=recorded.key, recorded_site=recorded.site, site=site,
    )  # fmt: skip


def not_requested(missing: Sequence[Entry | PendingWait], requests: Sequence[Request], foreign: Sequence[str]) -> str:
    """Returns the reason: a recorded step was not asked for in its place."""
    first = missing[0]
    fresh = [r for r in requests if not (r.recorded or r.pending or r.cancelled) and r.timer is None]
    did = (
        f"the code asks for {fresh[0].key!r} instead ({fresh[0].site})"
        if fresh
        else f"the code waits at {foreign[0]}"
        if foreign
        else "the code does not ask for it here"
    )
    return _reason(
        "diverged", f"the history has {_named(first)}; {did}",
        step=first.key, recorded_site=first.site, site=fresh[0].site if fresh else "",
        asked=fresh[0].key if fresh else None,
    )  # fmt: skip


def ended_early(missing: Sequence[Entry | PendingWait], error: BaseException | None) -> str:
    """Returns the reason: the code ended and never asked for a recorded step."""
    how = "returned" if error is None else f"raised {type(error).__name__}"
    return _reason(
        "diverged", f"the history has {_named(missing[0])}; the code {how} without asking for it",
        step=missing[0].key, recorded_site=missing[0].site, site="",
    )  # fmt: skip


def value_mismatch(entry: Entry, site: str, error: Exception) -> str:
    """Returns the reason: a recorded value does not fit today's types, or is damaged."""
    return _reason(
        "stored_value_mismatch", f"the recorded value of {entry.key!r} cannot be used: {error}",
        step=entry.key, recorded_site=entry.site, site=site,
    )  # fmt: skip


def input_mismatch(error: Exception) -> str:
    """Returns the reason: the stored payload does not fit today's parameter, or is damaged."""
    said = str(error) if isinstance(error, PolosError) else f"{type(error).__name__}: {error}"
    return _reason("stored_value_mismatch", f"the stored payload cannot be used: {said}", step=None)


def engine_fault(error: BaseException) -> str:
    """Returns the reason: polos made a mistake. Nothing of the workflow's is at fault (S8.6)."""
    return _reason(
        "engine_fault",
        f"polos could not go on: {type(error).__name__}: {error}",
        hint="this is a bug in polos, not in your code; nothing recorded is lost. Please report it",
        step=None,
    )


def unawaited(key: str, why: str) -> Failure:
    """Returns the failure of an execution that returned while a step was open (S2.6)."""
    return Failure(
        type_name="UnawaitedStep",
        message=f"the workflow returned while the step {key!r} was open: {why}. "
        f"Await it, or gather it with the others, before the workflow returns",
    )
