"""Queries of listings, built from filters, and their rows as records. Runs nothing."""

from __future__ import annotations

from typing import Any

from polos.core import failure as failures
from polos.core.ids import SHORT_END
from polos.core.model import Ending, Execution, LogLine, Stored, verified
from polos.core.status import Status
from polos.errors import UsageError
from polos.ports import EventFilter, ExecutionFilter, LogFilter
from polos.store.sql.statements import statements
from polos.store.sql.tx import Row

Query = tuple[str, dict[str, Any]]
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def execution_from(row: Row, check: bool = True) -> Execution:
    """Returns the execution of a row of `execution_columns`; a listing does not `check` values: it shows none."""
    (number, id_, workflow_id, status, created_at, started_at, ended_at, available_at, epoch, seq, deaths, life,
     stored_bytes, log_lines, worker_id, parent_id, parent_key, root_id, root_workflow_id, session_id, user_id,
     idempotency_key, run_timeout, value, shape, checksum, state, state_shape, state_checksum, result, result_shape,
     result_checksum, failure, cause_key, reason, error_type, blocked_code, queue, concurrency_key, placed_at, ran_for,
     ending, schedule, kept, kept_shape, kept_checksum) = row  # fmt: skip
    value_of = verified if check else _unverified
    return Execution(
        number=number, id=id_, workflow_id=workflow_id, status=Status(status), created_at=created_at,
        started_at=started_at, ended_at=ended_at, available_at=available_at, epoch=epoch, seq=seq, deaths=deaths,
        life=life, stored_bytes=stored_bytes, log_lines=log_lines, worker_id=worker_id, parent_id=parent_id,
        parent_key=parent_key, root_id=root_id, root_workflow_id=root_workflow_id, session_id=session_id,
        user_id=user_id, idempotency_key=idempotency_key, run_timeout=run_timeout,
        input=value_of(value, shape, checksum, f"the input of execution {number}"),
        initial_state=value_of(state, state_shape, state_checksum, f"the state of execution {number}") if state else None,
        result=value_of(result, result_shape, result_checksum, f"the result of execution {number}") if result else None,
        failure=failures.from_json(failure) if failure else None, cause_key=cause_key,
        blocked_reason=reason if status == Status.BLOCKED else None, error_type=error_type,
        blocked_code=blocked_code if status == Status.BLOCKED else None, queue=queue,
        concurrency_key=concurrency_key or None, placed_at=placed_at, ran_for=ran_for,
        ending=Ending(ending) if ending else None, schedule=schedule,
        state=value_of(kept, kept_shape, kept_checksum, f"the state of execution {number}") if kept else None,
    )  # fmt: skip


def _unverified(text: str, shape: str | None, checksum: int, what: str) -> Stored:
    return Stored(text, shape)


def by_id(execution_id: str) -> Query:
    """One execution by its whole id."""
    return statements()["execution_columns"] + " WHERE e.id = :id", {"id": execution_id}


def by_reference(reference: str) -> Query:
    """Executions by what people type: a number, an id, the end of one, ``last``, ``last:WORKFLOW``."""
    columns = statements()["execution_columns"]
    if reference == "last":
        return f"{columns} WHERE e.parent IS NULL ORDER BY e.number DESC LIMIT 1", {}
    if reference.startswith("last:"):
        return f"{columns} WHERE e.workflow_id = :id ORDER BY e.number DESC LIMIT 1", {"id": reference[5:]}
    if reference.isdecimal() and len(reference) < 18:
        if len(reference) < SHORT_END:
            return f"{columns} WHERE e.number = :number", {"number": int(reference)}
        # An end of an id may be all digits.
        ends = {"number": int(reference), "pattern": f"%{reference}"}
        return f"{columns} WHERE e.number = :number OR e.id LIKE :pattern LIMIT 6", ends
    if reference.startswith("exec_"):
        return f"{columns} WHERE e.id = :id", {"id": reference}
    pattern = "%" + reference.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{columns} WHERE e.id LIKE :pattern ESCAPE '\\' ORDER BY e.number DESC LIMIT 6", {"pattern": pattern}


def search(wanted: ExecutionFilter) -> Query:
    """Executions, newest first."""
    where: list[str] = []
    params: dict[str, Any] = {"limit": wanted.limit}
    if wanted.statuses:
        names = sorted(wanted.statuses)
        where.append("e.status IN (" + ", ".join(f":status{i}" for i in range(len(names))) + ")")
        params |= {f"status{i}": str(name) for i, name in enumerate(names)}
    for column, value, operator in (
        ("e.workflow_id", wanted.workflow_id, "="),
        ("p.id", wanted.parent_id, "="),
        ("r.id", wanted.root_id, "="),
        ("e.created_at", wanted.since, ">="),
        ("e.created_at", wanted.until, "<"),
        ("e.number", wanted.before, "<"),
    ):
        if value is not None:
            name = f"p{len(params)}"
            where.append(f"{column} {operator} :{name}")
            params[name] = value
    condition = " WHERE " + " AND ".join(where) if where else ""
    columns = statements()["execution_columns" if wanted.with_values else "execution_heads"]
    return f"{columns}{condition} ORDER BY e.number DESC LIMIT :limit", params


def events(wanted: EventFilter) -> Query:
    """Events, oldest first (the newest ones backwards, where `newest` asks for them)."""
    where = ["e.position > :after"]
    params: dict[str, Any] = {"limit": wanted.limit, "after": wanted.after_position}
    if wanted.before_position is not None:
        where.append("e.position < :before")
        params["before"] = wanted.before_position
    if wanted.topic is not None:
        where += ["e.topic = (SELECT id FROM topic WHERE name = :topic)", "e.sequence > :sequence"]
        params |= {"topic": wanted.topic, "sequence": wanted.after_sequence}
    if wanted.prefix is not None:
        where.append("substr(t.name, 1, length(:prefix)) = :prefix")
        params["prefix"] = wanted.prefix
    if not wanted.lifecycle:
        where.append("substr(t.name, 1, 9) <> 'workflow/'")
    if wanted.since is not None:
        where.append("e.created_at >= :since")
        params["since"] = wanted.since
    if wanted.until is not None:
        where.append("e.created_at < :until")
        params["until"] = wanted.until
    order = "DESC" if wanted.newest else "ASC"
    condition = " WHERE " + " AND ".join(where)
    columns = statements()["event_columns"]
    if wanted.budget is not None:
        return _bounded(columns, condition, order), params | {"budget": wanted.budget}
    return f"{columns}{condition} ORDER BY e.position {order} LIMIT :limit", params


def _bounded(columns: str, condition: str, order: str) -> str:
    """Returns a listing of events that ends behind ``:limit`` rows, or behind those whose data come to ``:budget`` together.

    The data of all ``:limit`` rows are looked at for it: whoever lists asks for few at once.
    """
    source = columns[columns.index("FROM ") :]
    return (
        f"WITH page AS (SELECT e.position AS place, length(e.data) AS size {source}{condition} "
        f"ORDER BY e.position {order} LIMIT :limit), "
        f"sized AS (SELECT place, SUM(size) OVER (ORDER BY place {order} ROWS UNBOUNDED PRECEDING) - size AS above FROM page) "
        f"{columns} WHERE e.position IN (SELECT place FROM sized WHERE above < :budget) ORDER BY e.position {order}"
    )


def logs(wanted: LogFilter) -> Query:
    """Captured lines, oldest first."""
    where = ["l.position > :after"]
    params: dict[str, Any] = {"limit": wanted.limit, "after": wanted.after_position}
    for column, value, operator in (
        ("x.id", wanted.execution_id, "="),
        ("x.workflow_id", wanted.workflow_id, "="),
        ("l.key", wanted.step_key, "="),
        ("l.at", wanted.since, ">="),
        ("l.at", wanted.until, "<"),
    ):
        if value is not None:
            name = f"p{len(params)}"
            where.append(f"{column} {operator} :{name}")
            params[name] = value
    if wanted.level is not None:
        lowest = _LEVELS.get(wanted.level.upper())
        if lowest is None:
            raise UsageError(f"{wanted.level!r} is no level", hint="one of " + ", ".join(_LEVELS))
        names = [name for name, rank in _LEVELS.items() if rank >= lowest]
        where.append("l.level IN (" + ", ".join(f"'{name}'" for name in names) + ")")
    condition = " AND ".join(where)
    return f"{statements()['log_columns']} WHERE {condition} ORDER BY l.position LIMIT :limit", params


def log_from(row: Row) -> tuple[int, str, LogLine]:
    """Returns (position, execution id, line) of a row of `log_columns`."""
    position, execution_id, at, level, text, key, attempt, number, stream = row
    line = LogLine(at=at, level=level, text=text, step_key=key, attempt=attempt, number=number, stream=stream)
    return position, execution_id, line
