"""What the dev server tells of itself and of executions, as values. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from polos.core.model import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a generation of code declares.

    Attributes:
        code: its identity (12 hexadecimal digits).
        names: the ids of its workflows, and those that they had before.
        env: names of variables set from the project's ``.env``.
    """

    code: str
    workflows: tuple[str, ...]
    names: tuple[str, ...] = ()
    schedules: int = 0
    triggers: int = 0
    env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """An execution that the check of new code has something to say about."""

    execution: int
    workflow_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the check of new code found (S8.3).

    Attributes:
        continues: how many unfinished executions go on.
        diverges: those that do not fit, and are held.
        unknown: those of which it cannot be told, and why.
        released: numbers of those that were held and fit again.
        unlooked: how many were left out, since the time was over.
    """

    continues: int = 0
    diverges: tuple[Misfit, ...] = ()
    unknown: tuple[Misfit, ...] = ()
    released: tuple[int, ...] = ()
    unlooked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """New code runs. `took_ms`: from the save (or the start) to the first claim under it; `files`: what was saved."""

    generation: int
    manifest: Manifest
    checked: Checked
    took_ms: int
    files: tuple[str, ...] = ()
    retried: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Code could not be imported. `serving`: the identity of the code that runs on, if any does."""

    message: str
    hint: str
    traceback_text: str
    serving: str | None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """A worker process ended by itself. `how`: in words; `again_in`: seconds until another is started."""

    pid: int
    how: str
    again_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that a person should look at."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event of the log.

    Attributes:
        facts: what a lifecycle event tells; None: somebody published it.
        execution: whose life it belongs to: its number, its workflow and when it was started.
        error: the message of the failure that it tells of; of a blocked one the reason as it is stored.
        where: the step whose failure it is.
        link: of a question to a person: the page on which it is answered.
    """

    event: Event
    facts: dict[str, Any] | None = None
    execution: int | None = None
    workflow_id: str = ""
    started_at: int = 0
    error: str = ""
    where: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An older generation has gone. `cut`: how many bodies were still running and run again."""

    generation: int
    cut: int = 0


Happening: TypeAlias = Live | Refused | Died | Warned | Told | Left


@dataclass(slots=True, kw_only=True)
class Standing:
    """How the server stands when it is ready.

    Attributes:
        taken_over: executions of workers that died.
        counts: unfinished executions by status.
    """

    project: str
    database: str
    durability: str
    url: str | None = None
    taken_over: int = 0
    counts: dict[str, int] = field(default_factory=dict)
