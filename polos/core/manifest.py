"""What code declares, and how that stands: workers with their manifests, triggers, schedules, queues. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polos.core.cron import CronFields


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """What starts executions of a workflow from events (S5.3).

    Attributes:
        topic: a topic, or the start of topics with a ``*`` behind it.
        batch_size: how many events one execution takes; 1: each event starts its own.
        batch_timeout: microseconds after which an incomplete batch starts its execution.
    """

    workflow_id: str
    topic: str
    batch_size: int = 1
    batch_timeout: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRule:
    """At most so many executions run at once per concurrency key; None: any number (S7.4)."""

    name: str
    concurrency_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as it stands, one for each concurrency key that is in use (``""``: none was given).

    Attributes:
        running: the numbers of the executions that hold a place.
        queued: how many wait for one.
        oldest_at: since when the first of these waits.
    """

    name: str
    concurrency_key: str
    concurrency_limit: int | None
    running: tuple[int, ...] = ()
    queued: int = 0
    oldest_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRule:
    """What starts executions of a workflow by the clock (S7.1, S7.2).

    Attributes:
        cron: as it was written; `fields` is what it means.
        timezone: an IANA name.
        key: tells the schedules of one workflow apart.
    """

    workflow_id: str
    cron: str
    fields: CronFields
    timezone: str = "UTC"
    key: str = "global"
    catchup: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "allow", "queue"] = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it stands.

    Attributes:
        is_declared: it follows the code; else it was made by the API, which alone changes it (S7.3).
        next_at: its next slot; None while it is paused.
        last_at: the last slot that started an execution, or would have.
        started: executions that it has started; `skipped`: slots whose execution would have overlapped; `missed`: slots
            that passed with no engine up, and were not made good.
        queued: slots that wait for the execution before them.
        fault: why it cannot go on.
    """

    number: int
    id: str
    rule: ScheduleRule
    is_declared: bool
    is_paused: bool = False
    next_at: int | None = None
    last_at: int | None = None
    started: int = 0
    skipped: int = 0
    missed: int = 0
    queued: int = 0
    execution: int | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A workflow in a worker's manifest: what the store must know of it to start it, and what people want to.

    Attributes:
        about: JSON text with ``description``, ``site`` and ``input_schema``; None: the worker did not say.
    """

    workflow_id: str
    queue: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """Who works on the database, and what it can run.

    Attributes:
        complete: the manifest is all of its project (S7.3).
        claims: ``all`` that it can run; ``own``: what it started or was told to go on with; ``rest``: that, and
            workflows that no other worker has; ``none``: it only ends what it runs.
        ended_at: when it left, or was given up.
        is_checked: its code was checked against every unfinished execution, and the check decides which of the blocked
            ones go on (`polos dev`); else new code gives each of them a try.
        code: the identity of the code that it has loaded: a hash of the project's modules (S8.3).
        workflow_ids: what it can run, earlier ids of its workflows with them.
        declared, triggers, schedules, queues: what its workflows declare; not kept with the worker, and empty where
            workers are listed; so are `aliases`: earlier ids, each with the one of today.
    """

    id: str
    pid: int
    project: str
    complete: bool
    workflow_ids: tuple[str, ...] = field(default=())
    started_at: int = 0
    claims: Literal["all", "own", "rest", "none"] = "all"
    ended_at: int | None = None
    is_checked: bool = False
    code: str = ""
    declared: tuple[Declared, ...] = ()
    triggers: tuple[EventTrigger, ...] = ()
    schedules: tuple[ScheduleRule, ...] = ()
    queues: tuple[QueueRule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
