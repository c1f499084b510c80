"""The workflows that this process has declared, by id. Imports none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from polos.core.manifest import QueueRule
from polos.errors import DuplicateWorkflow, UnknownWorkflow, UsageError

if TYPE_CHECKING:
    from polos.authoring.workflow import Workflow


class Registry:
    """Workflows by id; two of one id are an error that names both places."""

    def __init__(self, workflows: Iterable[Workflow] = ()) -> None:
        self._by_id: dict[str, Workflow] = {}
        self._aliases: dict[str, str] = {}
        self._queues: dict[str, QueueRule] = {}
        for workflow in workflows:
            self.add(workflow)

    def add(self, workflow: Workflow) -> None:
        """Adds a workflow. A function's own inner workflows, and a module loaded anew, replace what they were."""
        known = self._by_id.get(workflow.id)
        if known is not None and known is not workflow and not _replaces(workflow, known):
            raise DuplicateWorkflow(
                f"two workflows have the id {workflow.id!r}: {known.site} and {workflow.site}",
                hint='give one of them another: @workflow(id="...")',
            )
        self._add_aliases(workflow, known)
        self._by_id[workflow.id] = workflow
        if workflow.queue_rule is not None:
            self.add_queue(workflow.queue_rule, replaces=known is not None)

    def discard(self, workflow: Workflow) -> None:
        """Forgets a workflow, whose module could not be imported to its end."""
        if self._by_id.get(workflow.id) is workflow:
            del self._by_id[workflow.id]
            for alias in workflow.aliases:
                self._aliases.pop(alias, None)

    def _add_aliases(self, workflow: Workflow, known: Workflow | None) -> None:
        for alias in known.aliases if known is not None else ():
            self._aliases.pop(alias, None)
        for alias in (workflow.id, *workflow.aliases):
            other = self._by_id.get(alias) if alias != workflow.id else None
            named = other.id if other is not None else self._aliases.get(alias, workflow.id)
            if named != workflow.id:
                raise DuplicateWorkflow(
                    f"{alias!r} is an id or alias of two workflows, {named!r} and {workflow.id!r} ({workflow.site})",
                    hint="an alias is an earlier id, of one workflow, which no other has today",
                )
        self._aliases |= dict.fromkeys(workflow.aliases, workflow.id)

    def add_queue(self, rule: QueueRule, replaces: bool = False) -> None:
        """Adds a queue; one named without a limit is the one that has it.

        Raises:
            UsageError: it was declared with another limit.
        """
        known = self._queues.get(rule.name)
        limits = [one.concurrency_limit for one in (known, rule) if one is not None and one.concurrency_limit]
        if len(set(limits)) == 2 and not replaces:
            raise UsageError(
                f"the queue {rule.name!r} is declared with two limits, {limits[0]} and {limits[1]}",
                hint=f'declare it once: {rule.name} = polos.queue("{rule.name}", concurrency_limit={limits[0]})',
            )
        self._queues[rule.name] = QueueRule(name=rule.name, concurrency_limit=limits[-1] if limits else None)

    @property
    def queues(self) -> list[QueueRule]:
        """The queues that were declared."""
        return list(self._queues.values())

    def get(self, workflow_id: str) -> Workflow | None:
        """Returns the workflow of that id, or that had it before, if it is here."""
        return self._by_id.get(self._aliases.get(workflow_id, workflow_id))

    @property
    def aliases(self) -> dict[str, str]:
        """The earlier ids, each with the one of today."""
        return dict(self._aliases)

    @property
    def names(self) -> list[str]:
        """The ids, earlier ones with them, sorted: executions of all these can be run."""
        return sorted({*self._by_id, *self._aliases})

    def __iter__(self) -> Iterator[Workflow]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)


def _replaces(new: Workflow, known: Workflow) -> bool:
    return new.site == known.site or "<locals>" in new.fn.__qualname__ or "<locals>" in known.fn.__qualname__


REGISTRY = Registry()


def unknown(workflow_id: str, known: Iterable[str]) -> UnknownWorkflow:
    """Returns the error for an id that nobody knows, with what may have been meant."""
    names = sorted(known)
    close = difflib.get_close_matches(workflow_id, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return UnknownWorkflow(
        f"there is no workflow {workflow_id!r} here",
        hint=hint + (f"known: {listed}" if names else "none is known: is its module imported?"),
    )
