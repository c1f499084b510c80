"""A power meter: notes how much of the write-ahead log is surely on disk, so that a test can cut off the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polos.store.sqlite.committer import Committer
from polos.store.sqlite.disksync import DiskSync

HELD_FOR = 0.05
"""Seconds for which the last sync is held before the power fails: whoever does not wait for it, shows it."""


def install_meter(meter: Path, cut_at_sync: int, power_fails: Callable[[], None]) -> None:
    """Wraps the disk sync: at each acknowledgement the size that the log had at its request is noted.

    The `cut_at_sync`-th acknowledgement never comes: the power fails instead.
    """
    tape = os.open(meter, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    own_init, own_request, own_release = DiskSync.__init__, DiskSync.request, Committer._release
    acknowledged = 0

    def note(size: int) -> None:
        os.write(tape, f"{size}\n".encode())

    def init(self: Any, wal: Path, on_done: Callable[[OSError | None], None]) -> None:
        def done(error: OSError | None) -> None:
            nonlocal acknowledged
            acknowledged += 1
            if acknowledged == cut_at_sync:
                self._loop.call_later(HELD_FOR, power_fails)
                return
            if error is None:
                note(self.asked_at)
            on_done(error)

        self.log = wal
        own_init(self, wal, done)

    def request(self: Any) -> None:
        self.asked_at = self.log.stat().st_size
        own_request(self)

    def release(self: Any, group: Any) -> None:
        # Without the helper (yet), SQLite itself synced the log before COMMIT returned.
        if not self._helped and self._sync is not None and self.broken is None:
            note(self._sync.log.stat().st_size)
        own_release(self, group)

    DiskSync.__init__ = init  # type: ignore[method-assign]
    DiskSync.request = request  # type: ignore[method-assign]
    Committer._release = release  # type: ignore[method-assign]


def cut(database: Path, meter: Path) -> None:
    """Does to the files what the power cut did: what was not acknowledged as synced is gone."""
    wal = database.with_name(database.name + "-wal")
    database.with_name(database.name + "-shm").unlink(missing_ok=True)
    if not wal.exists():
        return
    sizes = meter.read_text().split() if meter.exists() else []
    os.truncate(wal, min(int(sizes[-1]) if sizes else 0, wal.stat().st_size))
    meter.unlink(missing_ok=True)
