"""The command that completes a wait, as a person can type it. Runs and prints nothing."""

from __future__ import annotations

import json
import shlex
from typing import Any

from polos.core import jsontext
from polos.core.answers import sample_of
from polos.core.forms import fields_of
from polos.core.model import Kind, PendingWait


def command_for(execution: int, wait: PendingWait) -> str | None:
    """Returns what completes a wait of an execution, by its number; None: no command of a person's does."""
    match wait.kind:
        case Kind.EVENT:
            request: dict[str, Any] = jsontext.loads(wait.request or "{}")
            return f"polos send-event {shlex.quote(str(request.get('topic')))} {_typed(request.get('match') or {})}"
        case Kind.SUSPEND:
            return f"polos resume {execution} {shlex.quote(wait.key)} {_typed(sample_of(fields_of(wait.request)))}"
        case _:
            return None


def _typed(value: Any) -> str:
    return shlex.quote(json.dumps(value, ensure_ascii=False))
