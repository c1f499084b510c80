"""The names of agents, so that programs which import them run; using one says that agents are not built yet."""

from __future__ import annotations

from typing import Any, NoReturn

from polos.errors import UsageError


def _not_yet(name: str) -> NoReturn:
    raise UsageError(
        f"{name} needs agents, which this version of polos does not have yet", hint="call the model in a step"
    )


class Agent:
    """An agent; not built yet. Raises `UsageError`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        _not_yet("Agent")


async def batch_agent_invoke(client: Any, inputs: Any) -> list[Any]:
    """Starts several agents; not built yet. Raises `UsageError`."""
    _not_yet("batch_agent_invoke")
