"""Says where an import stands still, once: whoever waits for it sees nothing else. Ends none."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polos.worker.heartbeat import user_lines

AFTER = 5.0


@contextmanager
def watched_import(say: Callable[[str], None]) -> Iterator[None]:
    """Watches this thread import; `say` is called from another one, with the line at which it stands after `AFTER` seconds."""
    done, importing = threading.Event(), threading.get_ident()

    def watch() -> None:
        if not done.wait(AFTER):
            lines = user_lines(sys._current_frames().get(importing))
            where = lines[0] if lines else "outside your modules"
            say(f"the import of your modules has taken {AFTER:g} s by now: {where}")

    threading.Thread(target=watch, name="polos-import", daemon=True).start()
    try:
        yield
    finally:
        done.set()
