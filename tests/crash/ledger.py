"""The ledger: what happened outside the database, one whole line a fact, kept whatever is killed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polos.events import EventPayload


class Ledger:
    """Appends lines from any thread; a line is one `write`, so that a kill leaves it whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, fact: str, *parts: Any) -> None:
        os.write(self._file, ("\t".join([str(os.getpid()), fact, *map(str, parts)]) + "\n").encode())


def plain(value: Any) -> str:
    """Returns a value as code saw it, in one line that can be compared with the journal's text."""
    if isinstance(value, EventPayload):
        value = {"id": value.id, "data": value.data}
    elif hasattr(value, "root_execution_id"):
        value = {"id": value.id}
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def recorded(kind: str, text: str | None) -> str:
    """Returns the journal's text of a step of `kind`, in the form of `plain`."""
    value = json.loads(text or "null")
    if kind in ("event", "suspend"):
        value = {"id": value["id"], "data": value["data"]}
    elif kind == "invoke":
        value = {"id": value["id"]}
    elif kind == "publish":
        value = None
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Ran:
    """A body has run."""

    at: int
    pid: int
    execution: str
    key: str
    attempt: int
    idempotency_key: str


@dataclass(frozen=True)
class Saw:
    """An outcome has reached the workflow's code."""

    at: int
    pid: int
    execution: str
    key: str
    value: str


@dataclass
class Facts:
    """A ledger, read."""

    ran: list[Ran] = field(default_factory=list)
    saw: list[Saw] = field(default_factory=list)
    results: dict[str, set[str]] = field(default_factory=dict)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)


def read(path: Path) -> Facts:
    """Returns what a ledger tells."""
    facts = Facts()
    if not path.exists():
        return facts
    whole = path.read_bytes().rpartition(b"\n")[0]  # a line that is being written may be seen up to the end of a page
    for at, line in enumerate(whole.decode().split("\n") if whole else ()):
        pid, fact, *parts = line.split("\t")
        if int(pid) not in facts.pids:
            facts.pids.append(int(pid))
        if fact == "body":
            execution, key, attempt, idempotency_key = parts
            facts.ran.append(Ran(at, int(pid), execution, key, int(attempt), idempotency_key))
        elif fact == "saw":
            facts.saw.append(Saw(at, int(pid), *parts))
        elif fact == "result":
            facts.results.setdefault(parts[0], set()).add(parts[1])
        elif fact == "acknowledged":
            facts.acknowledged.append((parts[0], parts[1]))
    return facts
