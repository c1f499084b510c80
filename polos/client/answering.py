"""Whether an answer fits the form of its question (S4.4). Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence

from polos.core import codec
from polos.core.answers import mistakes_in
from polos.core.completing import command_for
from polos.core.forms import fields_of
from polos.core.model import Execution, Kind, PendingWait, Stored
from polos.errors import InvalidInput


def check_answer(found: Execution, waits: Sequence[PendingWait], step_key: str, answer: Stored) -> None:
    """Refuses what does not fit; an answer that comes ahead of its question is taken as it is.

    Raises:
        InvalidInput: it does not.
    """
    wait = next((one for one in waits if one.key == step_key and one.kind is Kind.SUSPEND), None)
    if wait is None:
        return
    mistakes = mistakes_in(fields_of(wait.request), codec.plain(answer))
    if mistakes:
        raise InvalidInput(
            f"the answer to {step_key!r} of execution {found.number} does not fit its form:\n"
            + "\n".join(f"    {one}" for one in mistakes),
            hint=f"for example: {command_for(found.number, wait)}",
            errors=tuple(("data", one) for one in mistakes),
        )
