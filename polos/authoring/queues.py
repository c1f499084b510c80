"""Queues as users write them (S7.4). Admits nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from polos.authoring.checks import check_text
from polos.authoring.registry import REGISTRY
from polos.core.manifest import QueueRule
from polos.errors import UsageError


@dataclass(frozen=True, slots=True)
class Queue:
    """At most `concurrency_limit` executions run at once, for each concurrency key; None: any number."""

    name: str
    concurrency_limit: int | None = None


QueueRef: TypeAlias = "str | Queue | Mapping[str, Any] | None"


def queue(name: str, concurrency_limit: int | None = None) -> Queue:
    """Declares a queue that workflows can share: ``@workflow(queue=mail)``, or ``queue="mail"`` at a start.

    Args:
        concurrency_limit: how many executions run at once for each concurrency key; waiting ones do not count.

    Raises:
        UsageError: the name or the limit cannot be, or the queue was declared with another limit.
    """
    made = Queue(name, concurrency_limit)
    REGISTRY.add_queue(rule_of(made))
    return made


def rule_of(given: QueueRef) -> QueueRule:
    """Returns a queue given by its name, as a `Queue` or as a dict, checked. Raises `UsageError`."""
    if isinstance(given, Mapping):
        unknown = set(given) - {"name", "concurrency_limit"}
        if unknown or "name" not in given:
            raise UsageError(f"a queue is a name, or {{'name':, 'concurrency_limit':}}, not {dict(given)!r}")
        given = Queue(**given)
    if isinstance(given, str):
        given = Queue(given)
    if not isinstance(given, Queue):
        raise UsageError(f"a queue is a name or a Queue, not {given!r}", hint='queue="mail", or polos.queue("mail", 3)')
    check_text(given.name, "a queue's name")
    if not given.name or len(given.name) > 512:
        raise UsageError(f"a queue's name is text of 1 to 512 characters, not {given.name!r}")
    limit = given.concurrency_limit
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise UsageError(f"the concurrency_limit of the queue {given.name!r} is a whole number from 1, not {limit!r}")
    return QueueRule(name=given.name, concurrency_limit=limit)


def name_of(given: QueueRef) -> str | None:
    """Returns the name of the queue of one start. Raises `UsageError`: limits are declared, not given at a start."""
    return None if given is None else rule_of(given).name
