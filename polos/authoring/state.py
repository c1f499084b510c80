"""The state that a workflow keeps in ``ctx.state``: typed, saved for readers, rebuilt by the code on replay."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polos.authoring import typed
from polos.authoring.typed import MISSING
from polos.core import codec
from polos.core.model import Stored
from polos.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    class WorkflowState(BaseModel):
        """The base of a `state_schema`: fields with defaults, changed in place by the workflow."""


def __getattr__(name: str) -> Any:
    """Makes `WorkflowState` when it is first asked for: pydantic is not imported before."""
    if name != "WorkflowState":
        raise AttributeError(name)
    from pydantic import BaseModel, ConfigDict

    made = type(
        "WorkflowState", (BaseModel,),
        {"__doc__": "The base of a `state_schema`: fields with defaults, changed in place by the workflow.",
         "__module__": __name__, "model_config": ConfigDict(validate_assignment=True)},
    )  # fmt: skip
    globals()[name] = made
    return made


def check_schema(workflow_id: str, schema: object) -> Any:
    """Returns a `state_schema` that can be one. Raises `UsageError`."""
    if schema is not None and not (inspect.isclass(schema) and hasattr(schema, "model_fields")):
        raise UsageError(
            f"the state_schema of {workflow_id!r} is {schema!r}", hint="class MyState(WorkflowState): count: int = 0"
        )
    return schema


def encode_state(initial: Any, schema: Any, workflow_id: str) -> Stored | None:
    """Returns the state that an execution is started with, checked. Raises `InvalidInput`."""
    if initial is None:
        return None
    if schema is None:
        if not isinstance(initial, dict):
            raise InvalidInput(
                f"the initial_state for {workflow_id!r} is {type(initial).__name__}, not a dict",
                hint="declare what it is: @workflow(state_schema=...)",
            )
        return codec.encode(initial)
    return typed.encode(typed.validate_input(initial, schema, workflow_id), schema)


class StateKeeper:
    """The state of one pass of one execution. `is_used`: the code has looked at it."""

    __slots__ = ("_initial", "_saved", "_schema", "_value", "_warned", "_workflow_id", "is_used")

    def __init__(self, workflow_id: str, schema: Any, initial: Stored | None) -> None:
        self._workflow_id, self._schema, self._initial = workflow_id, schema, initial
        self._value: Any = MISSING
        self._saved: Stored | None = None
        self._warned = False
        self.is_used = schema is not None or initial is not None

    @property
    def value(self) -> Any:
        """The state itself, as the code has it now."""
        if self._value is MISSING:
            self.is_used = True
            self._value = self._first()
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self.is_used = True
        self._value = value if self._schema is None else typed.validate_input(value, self._schema, self._workflow_id)

    def _first(self) -> Any:
        if self._initial is None:
            return {} if self._schema is None else self._schema()
        return typed.decode(self._initial, MISSING if self._schema is None else self._schema)

    def changed(self, warn: Callable[[str], None]) -> Stored | None:
        """Returns the state as stored, if it is not what was returned last; says once what cannot be stored."""
        try:
            stored = typed.encode(self.value, MISSING if self._schema is None else self._schema)
        except Exception as error:  # what a user's model raises, too: the steps are recorded all the same
            if not self._warned:
                self._warned = True
                warn(f"ctx.state cannot be stored, and is not shown any more: {error}")
            return None
        if stored == self._saved:
            return None
        self._saved = stored
        return stored
