"""What a look at a database finds. Looks at none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A database, looked at. `newest_at`: when its newest event was stored; `problems`: what its own check says."""

    executions: int
    newest_at: int | None
    problems: tuple[str, ...]
    wal_bytes: int
