"""What the dev server tells as records of ``--json``. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from polos.core import codec
from polos.dev.happenings import Died, Happening, Left, Live, Refused, Told, Warned
from polos_cli.session import rfc3339


def record_of(happening: Happening) -> Iterator[dict[str, Any]]:
    """Yields the records of one happening."""
    match happening:
        case Told():
            event = happening.event
            yield {
                "kind": "event", "v": 1, "position": event.position, "topic": event.topic, "type": event.type,
                "data": happening.facts if happening.facts is not None else codec.plain(event.data),
                "execution": happening.execution, "workflow": happening.workflow_id or None,
                "error": happening.error or None, "created_at": rfc3339(event.created_at),
            }  # fmt: skip
        case Live():
            yield {"kind": "live", "v": 1, "generation": happening.generation, "code": happening.manifest.code,
                   "workflows": list(happening.manifest.workflows), "took_ms": happening.took_ms,
                   "files": list(happening.files), "retried": list(happening.retried),
                   "check": asdict(happening.checked)}  # fmt: skip
        case Refused():
            yield {"kind": "refused", "v": 1, "message": happening.message, "hint": happening.hint,
                   "traceback": happening.traceback_text, "files": list(happening.files),
                   "serving": happening.serving}  # fmt: skip
        case Died():
            yield {"kind": "worker_died", "v": 1, "pid": happening.pid, "how": happening.how,
                   "again_in_ms": round(happening.again_in * 1000)}  # fmt: skip
        case Warned():
            yield {"kind": "warning", "v": 1, "message": happening.text}
        case Left():
            yield {"kind": "left", "v": 1, "generation": happening.generation}
