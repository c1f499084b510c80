"""How errors end a command: the exit code of each, and what is said. Raises and catches nothing."""

from __future__ import annotations

from collections.abc import Mapping

from polos import errors
from polos.errors import InvalidInput, PolosError
from polos_cli.output import stderr

DONE = 0
WORKFLOW_FAILED = 1
USAGE = 2
NOT_FOUND = 3
CANCELLED = 4
TIMED_OUT = 5
DIVERGED = 6
UNUSABLE = 7
BUG = 70
INTERRUPTED = 130

EXIT_CODES: Mapping[type[PolosError], int] = {
    errors.UsageError: USAGE,
    errors.UnknownWorkflow: NOT_FOUND,
    errors.UnknownExecution: NOT_FOUND,
    errors.UnknownSchedule: NOT_FOUND,
    errors.WorkflowError: WORKFLOW_FAILED,
    errors.ExecutionCancelled: CANCELLED,
    errors.EngineError: UNUSABLE,
    errors.Diverged: DIVERGED,
    errors.StoredValueMismatch: DIVERGED,  # like a divergence: today's code does not fit the history
    errors.ResultTimeout: TIMED_OUT,
}


def exit_code(error: PolosError) -> int:
    """Returns the exit code of an error: its own class's, else the nearest base's."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), UNUSABLE)


def report(error: PolosError, as_json: bool = False) -> int:
    """Says the error on stderr, for people or as one JSON document, and returns its exit code."""
    code = exit_code(error)
    fields = error.errors if isinstance(error, InvalidInput) else ()
    if as_json:
        _as_json(error.code, error.message, error.hint, code, fields)
    else:
        longest = max((len(path) for path, _ in fields), default=0)
        why = [f"{path:<{longest}}  {message}".strip() for path, message in fields]
        message = error.message.partition("\n")[0] if fields else error.message
        stderr.error(error.code, message, why, _lines(error.hint))
    return code


def report_usage(message: str, hint: str, as_json: bool = False) -> int:
    """Says a mistake in the command line itself, and returns its exit code."""
    if as_json:
        _as_json(errors.UsageError.code, message, hint, USAGE, ())
    else:
        stderr.error("", message, fix=_lines(hint))
    return USAGE


def report_machine(error: OSError, as_json: bool = False) -> int:
    """Says what the machine refused (a full disk, a missing permission), and returns its exit code."""
    message = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    if as_json:
        _as_json(errors.EngineError.code, message, "", UNUSABLE, ())
    else:
        stderr.error(errors.EngineError.code, message)
    return UNUSABLE


def report_bug(trace: str, as_json: bool = False) -> int:
    """Says that polos itself is wrong, with what is needed to correct it, and returns its exit code."""
    last = trace.strip().rsplit("\n", 1)[-1]
    if as_json:
        _as_json(PolosError.code, last, "this is a bug in polos", BUG, ())
    else:
        stderr.say(trace.rstrip())
        stderr.error(PolosError.code, last, fix=("this is a bug in polos: report it with the lines above",))
    return BUG


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _as_json(code: str, message: str, hint: str, exit_: int, fields: tuple[tuple[str, str], ...]) -> None:
    record: dict[str, object] = {"code": code, "message": message, "hint": hint, "exit_code": exit_}
    if fields:
        record["errors"] = [{"path": path, "message": text} for path, text in fields]
    stderr.plain_json({"error": record})
