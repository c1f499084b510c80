"""What a forked child must not keep: copies of our sockets, by which the others would not notice that we died."""

from __future__ import annotations

import contextlib
import os

_open: set[int] = set()


def opened(descriptor: int) -> None:
    """A socket was opened in this process."""
    _open.add(descriptor)


def closed(descriptor: int) -> None:
    """It was closed."""
    _open.discard(descriptor)


def _in_child() -> None:
    """Closes the copies: no goodbye is said, and the loop they belong to does not run in a child."""
    for descriptor in _open:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _open.clear()


os.register_at_fork(after_in_child=_in_child)
