"""Named points at which a test may kill the process. In production every point is a no-op."""

from __future__ import annotations

from collections.abc import Callable


def _pass_by(name: str) -> None:
    """Does nothing."""


reached: Callable[[str], None] = _pass_by
installed = False
"""True once a test watches: names of points are only made then."""


def install(on_point: Callable[[str], None]) -> None:
    """Calls `on_point` with the name of each point that is reached from now on."""
    global installed, reached
    reached, installed = on_point, True
