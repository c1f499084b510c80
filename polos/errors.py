"""The error tree: every error polos raises, by whose fault it is. Holds no logic beyond wording.

::

    PolosError
    ├── UsageError          the caller: nothing was stored
    │   ├── DuplicateStepKey · DuplicateWorkflow · UnknownWorkflow · UnknownExecution · UnknownSchedule · InvalidInput
    │   ├── IdempotencyConflict · AlreadyResumed · ExecutionEnded · NoProject · PayloadTooLarge
    │   └── UnserializableValue · LoadError · BadBundle
    ├── WorkflowError       user code: recorded as an outcome
    │   ├── StepExecutionError
    │   │   └── StepTimeoutError · ChildFailed · ChildCancelled · ChildTimedOut · UnserializableResult
    │   ├── NonRetryableError (for users to raise) · UnawaitedStep · WorkflowTimeoutError
    │   ├── ExecutionFailed · ExecutionCancelled · HookFailed
    │   └── RecordedError   (the cause, as it was recorded)
    └── EngineError         polos or the machine: never recorded as an outcome
        ├── Diverged · StoredValueMismatch · CorruptRecord · LeaseLost
        └── NoEngine · StoreUnavailable · DatabaseInUse · OwnerLost · NobodyListens · WireVersionMismatch · ResultTimeout · Stuck
"""

from __future__ import annotations

from typing import Any, ClassVar


class PolosError(Exception):
    """The root of everything polos raises.

    Attributes:
        code: a stable code such as ``POLOS101``.
        hint: what to do next, in a sentence; empty when there is nothing to say.
    """

    code: ClassVar[str] = "POLOS000"

    def __init__(self, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(PolosError):
    """The caller asked for something that cannot be; nothing was stored."""

    code = "POLOS100"


class DuplicateStepKey(UsageError):
    """A step key was used twice in one pass (S1.5)."""

    code = "POLOS101"


class UnknownWorkflow(UsageError):
    """No workflow of that id is known here."""

    code = "POLOS102"


class InvalidInput(UsageError):
    """The payload does not fit the workflow's parameter, or an answer the form of its question.

    Attributes:
        errors: one ``(path, message)`` for each wrong field.
    """

    code = "POLOS103"
    errors: tuple[tuple[str, str], ...] = ()


class IdempotencyConflict(UsageError):
    """The idempotency key was used with another payload (S9.1)."""

    code = "POLOS104"


class AlreadyResumed(UsageError):
    """The suspend has its answer already; the first one wins (S4.4)."""

    code = "POLOS105"


class NoProject(UsageError):
    """There is no project here, and none further up."""

    code = "POLOS106"


class PayloadTooLarge(UsageError):
    """A value is over the limit (S3.3)."""

    code = "POLOS107"


class DuplicateWorkflow(UsageError):
    """Two workflows carry one id."""

    code = "POLOS108"


class UnknownExecution(UsageError):
    """No execution answers to that reference."""

    code = "POLOS109"


class ExecutionEnded(UsageError):
    """The execution is over; nothing can change it any more (S9.3)."""

    code = "POLOS110"


class BadBundle(UsageError):
    """A file is no bundle, was damaged or changed, or is too large."""

    code = "POLOS114"


class UnknownSchedule(UsageError):
    """No schedule answers to that id or name."""

    code = "POLOS113"


class UnserializableValue(UsageError):
    """A payload cannot be stored (S3.1).

    Attributes:
        path: where in the value, as a JSON pointer.
        type_name: the type that was found there.
    """

    code = "POLOS111"
    path: str = ""
    type_name: str = ""


class LoadError(UsageError):
    """The project's modules could not be imported.

    Attributes:
        traceback_text: the user's frames.
    """

    code = "POLOS112"
    traceback_text: str = ""


class WorkflowError(PolosError):
    """User code went wrong; this is recorded as an outcome."""

    code = "POLOS200"


class RecordedError(WorkflowError):
    """An exception as it was recorded: the cause of a ``StepExecutionError`` (S1.4)."""

    code = "POLOS201"

    def __init__(self, type_name: str, message: str, traceback_text: str = "") -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.recorded_message = message
        self.traceback_text = traceback_text


class StepExecutionError(WorkflowError):
    """A step failed for good (S2.3).

    Attributes:
        step_key: the step.
        attempts: how many attempts were made.
        error_type: the type name of the last attempt's error.
    """

    code = "POLOS202"

    def __init__(
        self, message: str, *, step_key: str = "", attempts: int = 1, error_type: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.step_key = step_key
        self.attempts = attempts
        self.error_type = error_type


class StepTimeoutError(StepExecutionError):
    """A wait ran into its timeout (S4.3)."""

    code = "POLOS203"


class ChildFailed(StepExecutionError):
    """An awaited execution failed."""

    code = "POLOS204"


class ChildCancelled(StepExecutionError):
    """An awaited execution was cancelled."""

    code = "POLOS205"


class ChildTimedOut(StepExecutionError):
    """An awaited execution ran out of its running time."""

    code = "POLOS206"


class UnserializableResult(StepExecutionError):
    """A step's result cannot be stored (S2.5)."""

    code = "POLOS207"


class NonRetryableError(WorkflowError):
    """Raise it (or a subclass) in a step's body: no further attempt is made (S2.2)."""

    code = "POLOS208"

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)


class UnawaitedStep(WorkflowError):
    """The workflow returned while a step was still open (S2.6)."""

    code = "POLOS209"


class WorkflowTimeoutError(WorkflowError):
    """The execution ran longer than its ``run_timeout_seconds`` (S8.5)."""

    code = "POLOS210"


class ExecutionFailed(WorkflowError):
    """The execution that was waited for has failed.

    Attributes:
        execution_id: which one.
        error_type: the type name of what ended it.
    """

    code = "POLOS211"
    execution_id: str = ""
    error_type: str = ""


class ExecutionCancelled(WorkflowError):
    """The execution that was waited for was cancelled."""

    code = "POLOS212"


class HookFailed(WorkflowError):
    """A hook stopped the execution, or returned no `HookResult`."""

    code = "POLOS213"


class EngineError(PolosError):
    """Polos or the machine is at fault; never recorded as a workflow's outcome (S8.6)."""

    code = "POLOS300"


class Diverged(EngineError):
    """The code no longer asks for what the history holds (S1.7)."""

    code = "POLOS301"


class StoredValueMismatch(EngineError):
    """A stored value does not fit today's types (S3.2)."""

    code = "POLOS302"


class CorruptRecord(EngineError):
    """A stored value does not match its checksum (S3.4)."""

    code = "POLOS303"


class LeaseLost(EngineError):
    """Another claim holds the execution now; nothing was written (S8.1)."""

    code = "POLOS304"


class NoEngine(EngineError):
    """Nothing is there that could do this."""

    code = "POLOS305"


class StoreUnavailable(EngineError):
    """The database cannot be used."""

    code = "POLOS306"


class DatabaseInUse(StoreUnavailable):
    """Another process owns the database file.

    Attributes:
        pid: which one, where it is known.
        brief: it owns the file for one call only.
    """

    code = "POLOS307"
    pid: int | None = None
    process: str | None = None
    brief: bool = False


class OwnerLost(StoreUnavailable):
    """The process that owns the database went away, or does not answer; whether it did the call is not known.

    Attributes:
        is_silent: it is there, and did not answer a new connection.
    """

    code = "POLOS309"
    is_silent: bool = False


class NobodyListens(OwnerLost):
    """There is a socket and no process behind it: the owner died."""

    code = "POLOS311"


class WireVersionMismatch(EngineError):
    """Another version of polos owns the database and cannot be spoken to."""

    code = "POLOS310"


class Stuck(EngineError):
    """In a test: the execution waits for something that will not come by itself."""

    code = "POLOS312"


class ResultTimeout(EngineError):
    """Waiting for a result took too long; the execution goes on."""

    code = "POLOS308"
