"""The context that a workflow receives. Holds what is known of the execution; `step` does the work."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from polos.authoring.payload import instant
from polos.authoring.steps import Steps
from polos.calls import RunPort


class WorkflowContext:
    """What a workflow knows of its execution. Instants are aware and UTC, and the same on every replay."""

    __slots__ = ("_run", "logger", "step")

    def __init__(self, run: RunPort) -> None:
        self._run = run
        self.step = Steps(run)
        self.logger = logging.getLogger(f"workflow.{run.execution.workflow_id}")

    def __repr__(self) -> str:
        return f"<context of {self.workflow_id} {self.number}>"

    @property
    def execution_id(self) -> str:
        """The execution's id."""
        return self._run.execution.id

    @property
    def number(self) -> int:
        """The execution's number in this database, for people: ``polos show 42``."""
        return self._run.execution.number

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._run.execution.workflow_id

    @property
    def parent_execution_id(self) -> str | None:
        """The execution that started this one as a child, if one did."""
        return self._run.execution.parent_id

    @property
    def root_execution_id(self) -> str:
        """The execution at the top of this one's tree."""
        return self._run.execution.root_id

    @property
    def root_workflow_id(self) -> str:
        """The workflow at the top of this one's tree."""
        return self._run.execution.root_workflow_id

    @property
    def session_id(self) -> str | None:
        """As given at the start; children inherit it."""
        return self._run.execution.session_id

    @property
    def user_id(self) -> str | None:
        """As given at the start; children inherit it."""
        return self._run.execution.user_id

    @property
    def created_at(self) -> datetime:
        """When it was started."""
        return instant(self._run.execution.created_at)

    @property
    def started_at(self) -> datetime:
        """When a worker first took it."""
        return instant(self._run.execution.started_at or self._run.execution.created_at)

    @property
    def retry_count(self) -> int:
        """How often it was reopened."""
        return self._run.execution.life

    @property
    def state(self) -> Any:
        """The workflow's state, of its `state_schema` (without one, a dict); saved with what is recorded (see `polos show`).

        Change it in place. Rebuilt by the code itself on replay: it follows from the steps' outcomes.
        """
        return self._run.state.value

    @state.setter
    def state(self, value: Any) -> None:
        self._run.state.value = value

    @property
    def is_replaying(self) -> bool:
        """True while recorded outcomes are still being delivered. Not for decisions: they would not replay."""
        return self._run.is_replaying
