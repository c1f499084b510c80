"""What must hold of a database and a ledger, whatever was killed: a pure check that returns what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from polos.core.ids import idempotency_key
from tests.crash.ledger import Facts, recorded

Row = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The database after a kill, before anything was started again."""

    pids: frozenset[int]
    """The processes that had been, up to this kill."""
    journal: Mapping[tuple[str, str], Row]
    ended: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Expected:
    """What the undisturbed run led to."""

    results: Mapping[str, str]
    """Workflow -> result."""
    statuses: Mapping[str, str]
    """Workflow -> how it ends."""
    executions: Mapping[tuple[str, str | None], int]
    """(workflow, key in the parent) -> how many."""
    keys: Mapping[str, frozenset[str]]
    """Workflow -> the keys of its journal."""


def _rows(connection: sqlite3.Connection, sql: str) -> list[Row]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


class Found:
    """The rows of a database file."""

    def __init__(self, database: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:
            self.integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            self.executions = _rows(
                connection,
                "SELECT e.*, r.value, r.shape, r.checksum FROM execution e LEFT JOIN result r ON r.execution = e.number",
            )
            self.inputs = _rows(connection, "SELECT * FROM input")
            self.journal = _rows(connection, "SELECT * FROM journal ORDER BY position")
            self.waits = _rows(connection, "SELECT * FROM wait")
            self.attempts = _rows(connection, "SELECT * FROM attempt")
            self.answers = _rows(connection, "SELECT * FROM answer")
            self.lives = _rows(connection, "SELECT * FROM life")
            self.topics = _rows(connection, "SELECT * FROM topic")
            self.events = _rows(connection, "SELECT * FROM event ORDER BY position")
        self.ids = {row["number"]: row["id"] for row in self.executions}
        self.workflows = {row["id"]: row["workflow_id"] for row in self.executions}

    def by_key(self) -> dict[tuple[str, str], Row]:
        return {(self.ids[row["execution"]], row["key"]): row for row in self.journal if not row["superseded"]}

    def ended(self) -> dict[str, tuple[Any, ...]]:
        over = ("completed", "failed", "cancelled")
        return {row["id"]: (row["status"], row["value"]) for row in self.executions if row["status"] in over}


def snapshot(database: Path, pids: frozenset[int]) -> Snapshot:
    """Returns what a (copied) database holds after a kill."""
    found = Found(database)
    return Snapshot(pids, found.by_key(), found.ended())


def expected_of(database: Path) -> Expected:
    """Returns what an undisturbed run left."""
    found = Found(database)
    keys: dict[str, set[str]] = defaultdict(set)
    for row in found.journal:
        keys[found.workflows[found.ids[row["execution"]]]].add(row["key"])
    return Expected(
        results={row["workflow_id"]: row["value"] for row in found.executions},
        statuses={row["workflow_id"]: row["status"] for row in found.executions},
        executions=Counter((row["workflow_id"], row["parent_key"]) for row in found.executions),
        keys={name: frozenset(some) for name, some in keys.items()},
    )


def violations(database: Path, facts: Facts, expected: Expected, snapshots: list[Snapshot]) -> list[str]:
    """Returns every broken promise, in words; an empty list is what is wanted."""
    found = Found(database)
    wrong: list[str] = []
    if found.integrity != ["ok"]:
        wrong.append(f"the file is damaged: {found.integrity}")
    wrong += _at_rest(found, facts, expected)
    wrong += _journal(found, expected)
    wrong += _seen(found, facts)
    wrong += _kept(found, snapshots)
    wrong += _bodies(found, facts, snapshots)
    wrong += _events(found, facts)
    wrong += _checksums(found)
    return wrong


def _at_rest(found: Found, facts: Facts, expected: Expected) -> list[str]:
    wrong = []
    for row in found.executions:
        name = f"{row['workflow_id']} {row['number']}"
        if row["status"] != expected.statuses.get(row["workflow_id"]):
            wrong.append(f"{name} is {row['status']} at the end ({row['error_type']})")
        elif row["value"] != expected.results.get(row["workflow_id"]):
            wrong.append(f"{name} returned {row['value']}, undisturbed {expected.results.get(row['workflow_id'])}")
        if row["worker_id"] is not None:
            wrong.append(f"{name} is over and still belongs to a worker")
    counts = Counter((row["workflow_id"], row["parent_key"]) for row in found.executions)
    if counts != Counter(expected.executions):
        wrong.append(f"there are the executions {dict(counts)}, undisturbed {dict(expected.executions)}")
    wrong += [f"a wait is left over: {row['execution']} {row['key']}" for row in found.waits]
    for execution, results in facts.results.items():
        want = expected.results.get(found.workflows.get(execution, ""), "null")
        if any(json.loads(result) != json.loads(want) for result in results):
            wrong.append(f"the caller of {execution} was answered {results}")
    for what, id_ in facts.acknowledged:
        if what == "start" and id_ not in found.workflows:
            wrong.append(f"the acknowledged start of {id_} is lost")
        if what == "event" and not any(row["id"] == id_ for row in found.events):
            wrong.append(f"the acknowledged event {id_} is lost")
    return wrong


def _journal(found: Found, expected: Expected) -> list[str]:
    wrong = []
    of: dict[int, list[Row]] = defaultdict(list)
    for row in found.journal:
        of[row["execution"]].append(row)
    for execution in found.executions:
        rows = of[execution["number"]]
        name = f"{execution['workflow_id']} {execution['number']}"
        seqs = sorted(row["seq"] for row in rows)
        if seqs != list(range(1, execution["seq"] + 1)):
            wrong.append(f"{name} has the seqs {seqs} and its row says {execution['seq']}")
        twice = [key for (key, _), count in Counter((r["key"], r["superseded"]) for r in rows).items() if count > 1]
        if twice:
            wrong.append(f"{name} has more than one outcome of {twice}")
        keys = {row["key"] for row in rows}
        if keys != expected.keys.get(execution["workflow_id"], frozenset()):
            wrong.append(f"{name} has the outcomes {sorted(keys)}")
        wrong += [f"{name}: {row['key']} is after its own outcome" for row in rows if row["after"] >= row["seq"]]
    return wrong


def _seen(found: Found, facts: Facts) -> list[str]:
    """What code saw is what is recorded, whenever it saw it."""
    wrong = []
    journal = {(found.ids[row["execution"]], row["key"]): row for row in found.journal if row["outcome"] == "completed"}
    for saw in facts.saw:
        row = journal.get((saw.execution, saw.key))
        if row is None and saw.key == "cooled":  # asyncio's own timer
            row = journal.get((saw.execution, "polos:timer/0"))
        if row is None:
            wrong.append(f"the code saw the outcome of {saw.key!r} ({saw.value}), and it is not recorded")
        elif recorded(row["kind"], row["value"]) != saw.value:
            wrong.append(f"the code saw {saw.value} for {saw.key!r}, and {row['value']} is recorded")
    return wrong


def _kept(found: Found, snapshots: list[Snapshot]) -> list[str]:
    """What was recorded at a kill is recorded still, to the letter."""
    wrong = []
    journal, ended = {row["position"]: row for row in found.journal}, found.ended()
    taken_back = {(found.ids[row["execution"]], row["outcome"]) for row in found.lives}
    for past in snapshots:
        for name, row in past.journal.items():
            now = journal.get(row["position"])
            if now is None or now | {"superseded": 0} != row | {"superseded": 0}:
                wrong.append(f"the recorded outcome of {name} was changed: {row} -> {now}")
        for id_, end in past.ended.items():
            if ended.get(id_) != end and (id_, end[0]) not in taken_back:
                wrong.append(f"the end of {id_} was changed: {end} -> {ended.get(id_)}")
    return wrong


def _bodies(found: Found, facts: Facts, snapshots: list[Snapshot]) -> list[str]:
    wrong = []
    journal = {(found.ids[row["execution"]], row["key"]): row for row in found.journal}  # the newest of each
    again = Counter(
        (found.ids[row["execution"]], row["key"]) for row in found.journal if row["superseded"]
    )  # S9.4: run once more in the next life
    kills = len(snapshots)
    failed = Counter((found.ids[row["execution"]], row["key"]) for row in found.attempts)
    first_seen: dict[tuple[str, str], int] = {}
    for saw in facts.saw:
        first_seen.setdefault((saw.execution, saw.key), saw.at)
    last_attempt: dict[tuple[str, str], int] = {}
    runs: Counter[tuple[str, str]] = Counter()
    in_process: Counter[tuple[int, str, str]] = Counter()
    for ran in facts.ran:
        name = (ran.execution, ran.key)
        runs[name] += 1
        in_process[(ran.pid, *name)] += 1
        last_attempt[name] = ran.attempt
        if name not in journal:
            wrong.append(f"the body of {name} ran, and has no outcome")
        if first_seen.get(name, ran.at) < ran.at and not again[name]:
            wrong.append(f"the body of {name} ran again after its outcome had reached the code")
        if any(name in past.journal and ran.pid not in past.pids for past in snapshots) and not again[name]:
            wrong.append(f"the body of {name} ran again after its outcome was recorded")
        if ran.idempotency_key != idempotency_key(ran.execution, ran.key):
            wrong.append(f"an attempt of {name} had the idempotency key {ran.idempotency_key}")
        if not 1 <= ran.attempt <= 1 + failed[name] + kills:
            wrong.append(f"attempt {ran.attempt} of {name} with {failed[name]} failures and {kills} kills")
    for name, row in journal.items():
        if row["kind"] != "run":
            continue
        if not 1 <= runs[name] <= 1 + failed[name] + kills + again[name]:
            wrong.append(f"the body of {name} ran {runs[name]} times")
        if row["attempt"] != last_attempt.get(name):
            wrong.append(f"{name} shows attempt {row['attempt']}; the last to run was {last_attempt.get(name)}")
    for (pid, *name), count in in_process.items():
        if count > 1 + failed[tuple(name)] + again[tuple(name)]:  # type: ignore[index]
            wrong.append(f"the body of {name} ran {count} times in the process {pid}")
    return wrong


def _events(found: Found, facts: Facts) -> list[str]:
    wrong = []
    for topic in found.topics:
        rows = [row for row in found.events if row["topic"] == topic["id"]]
        sequences = [row["sequence"] for row in rows]
        if sequences != list(range(1, topic["sequence"] + 1)):
            wrong.append(f"the topic {topic['name']} has the sequences {sequences}, and says {topic['sequence']}")
    names = {topic["id"]: topic["name"] for topic in found.topics}
    published = Counter(names[row["topic"]] for row in found.events if not names[row["topic"]].startswith("workflow/"))
    wrong += [f"{count} events on {name}" for name, count in published.items() if count != 1]
    ends: Counter[tuple[int, str]] = Counter()
    life: Counter[tuple[str, int]] = Counter()
    retries: Counter[tuple[int, str]] = Counter()
    for row in found.events:
        data = json.loads(row["data"])
        if row["type"] in ("step_finish", "step_failed", "wait_finish"):
            ends[data["execution"], data["key"]] += 1
        elif row["type"] == "step_retry":
            retries[data["execution"], data["key"]] += 1
        elif row["type"] in ("workflow_start", "workflow_finish", "workflow_failed", "workflow_cancelled"):
            life[row["type"], data["execution"]] += 1
    outcomes = Counter((row["execution"], row["key"]) for row in found.journal if row["kind"] not in ("timer", "stop"))
    for row in found.journal:
        if row["kind"] in ("timer", "stop"):
            ends.pop((row["execution"], row["key"]), None)
    for name, count in outcomes.items():
        told = ends.pop(name, 0)
        if told != count:
            wrong.append(f"{count} outcomes of {name} are told {told} times on its topic")
    wrong += [f"an end is told of {name}, which has no outcome" for name in ends]
    for execution in found.executions:
        end = {"completed": "workflow_finish", "failed": "workflow_failed", "cancelled": "workflow_cancelled"}
        taken_back = sum(row["execution"] == execution["number"] for row in found.lives)
        for type_, times in (
            ("workflow_start", 1),
            (end.get(execution["status"], ""), 1),
            ("workflow_failed", taken_back),
        ):
            if life[type_, execution["number"]] != times:
                wrong.append(f"{type_} of {execution['number']} is told {life[type_, execution['number']]} times")
    failed = Counter((row["execution"], row["key"]) for row in found.attempts)
    if failed != retries:
        wrong.append(f"failed attempts {dict(failed)} are told as {dict(retries)}")
    return wrong


def _checksums(found: Found) -> list[str]:
    wrong = []
    sources = [
        ("journal", found.journal),
        ("result", found.executions),
        ("input", found.inputs),
        ("answer", found.answers),
    ]
    for what, rows in sources:
        for row in rows:
            if row["value"] is not None and _checksum(row["value"], row["shape"]) != row["checksum"]:
                wrong.append(f"a checksum of {what} does not match: {row}")
    wrong += [
        f"the checksum of event {row['position']} does not match"
        for row in found.events
        if _checksum(row["data"], row["shape"]) != row["checksum"]
    ]
    return wrong


def _checksum(text: str, shape: str | None) -> int:
    sum_ = crc32(text.encode())
    return crc32(shape.encode(), sum_) if shape else sum_
