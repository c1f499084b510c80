"""What there is in the database beside a new generation: workers of other code, and what is blocked on such. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from polos.core.status import Status
from polos.dev.happenings import Manifest
from polos.ports import ExecutionFilter, ReadStore


async def blocked_otherwise(store: ReadStore, manifest: Manifest) -> list[tuple[int, str]]:
    """Returns (number, id) of what is blocked on other code than this, which has one try with it (S8.3)."""
    found: list[tuple[int, str]] = []
    wanted = ExecutionFilter(statuses=frozenset({Status.BLOCKED}), limit=1_000, with_values=False)
    while page := await store.search(wanted):
        found += [(one.number, one.id) for one in page
                  if one.workflow_id in manifest.names and one.blocked_code != manifest.code]  # fmt: skip
        wanted = replace(wanted, before=page[-1].number)
    return found


async def others_of(store: ReadStore, project: str, own: Collection[int], manifest: Manifest) -> list[int]:
    """Returns the processes of other workers of a project, not `own`, that take what comes and have other code."""
    return [one.pid for one in await store.workers()
            if one.project == project and one.pid not in own and one.code != manifest.code and one.ended_at is None
            and one.claims == "all"]  # fmt: skip
