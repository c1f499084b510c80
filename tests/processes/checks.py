"""What must hold of a database that several processes shared, and of their ledger: returns what is wrong, in words."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping

from polos.core.ids import idempotency_key
from tests.crash import invariants
from tests.crash.ledger import Ran
from tests.processes.place import Place


def wrong(place: Place, expected: Mapping[str, int]) -> list[str]:
    """Checks a database that no process has open; `expected`: how many executions of each workflow there are."""
    found = _copied(place)
    facts = place.facts()
    said = [] if found.integrity == ["ok"] else [f"the file is damaged: {found.integrity}"]
    workflows = Counter(row["workflow_id"] for row in found.executions)
    if workflows != Counter(expected):
        said.append(f"there are the executions {dict(workflows)}, and should be {dict(expected)}")
    for row in found.executions:
        if row["status"] != "completed" or row["worker_id"] is not None:
            said.append(f"{row['workflow_id']} {row['number']} is {row['status']}, of worker {row['worker_id']}")
    said += [f"a wait is left over: {row}" for row in found.waits]
    said += _journal(found)
    said += _bodies(found, facts.ran)
    said += invariants._events(found, facts)
    said += invariants._checksums(found)
    return said


def _copied(place: Place) -> invariants.Found:
    """The database as it lies there, so that looking at it changes nothing."""
    target = place.folder / "copy"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in (place.database.name, f"{place.database.name}-wal"):
        if (place.folder / name).exists():
            shutil.copyfile(place.folder / name, target / name)
    return invariants.Found(target / place.database.name)


def _journal(found: invariants.Found) -> list[str]:
    """Each step has exactly one outcome, and each execution of a workflow the same steps."""
    said = []
    of: dict[int, list[invariants.Row]] = defaultdict(list)
    keys: dict[str, frozenset[str]] = {}
    for row in found.journal:
        of[row["execution"]].append(row)
    for execution in found.executions:
        rows = of[execution["number"]]
        name = f"{execution['workflow_id']} {execution['number']}"
        if sorted(row["seq"] for row in rows) != list(range(1, execution["seq"] + 1)):
            said.append(f"{name} has the seqs {[row['seq'] for row in rows]} and its row says {execution['seq']}")
        twice = [key for key, count in Counter(row["key"] for row in rows).items() if count > 1]
        if twice:
            said.append(f"{name} has more than one outcome of {twice}")
        these = frozenset(row["key"] for row in rows)
        if keys.setdefault(execution["workflow_id"], these) != these:
            said.append(
                f"{name} has the outcomes {sorted(these)}, another one {sorted(keys[execution['workflow_id']])}"
            )
    return said


def _bodies(found: invariants.Found, ran: list[Ran]) -> list[str]:
    """Each body ran, and none again once its outcome was recorded: the record is that of its last run."""
    said = []
    runs: dict[tuple[str, str], list[Ran]] = defaultdict(list)
    for one in ran:
        runs[one.execution, one.key].append(one)
        if one.idempotency_key != idempotency_key(one.execution, one.key):
            said.append(f"an attempt of {one.key} had the idempotency key {one.idempotency_key}")
    rows = {name: row for name, row in found.by_key().items() if row["kind"] == "run"}
    said += [f"the body of {name} ran, and has no outcome" for name in runs.keys() - rows.keys()]
    for name, row in rows.items():
        these = [(one.pid, one.attempt) for one in runs[name]]
        value = json.loads(row["value"])
        recorded = (value["pid"], value["attempt"])
        if not these or these[-1] != recorded or row["attempt"] != recorded[1]:
            said.append(f"{name} ran as {these}, and attempt {row['attempt']}, {recorded}, is recorded")
        if len(set(these)) < len(these):
            said.append(f"{name} ran twice as the same attempt in the same process: {these}")
    return said
