"""Takes the disk sync of the write-ahead log off the loop: a small process calls fdatasync (S9.5). Never retries a sync."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

# The helper opens the log in a process of its own: closing such a descriptor in the owner would drop SQLite's locks.
_HELPER = """
import fcntl, os, signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
path = sys.argv[1]
channel = socket.socket(fileno=0)
folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
os.fsync(folder)
log = os.open(path, os.O_RDWR)
full = getattr(fcntl, "F_FULLFSYNC", None)
channel.sendall(b"r")
while channel.recv(1):
    try:
        if full is not None:
            fcntl.fcntl(log, full)
        else:
            os.fdatasync(log)
        if os.fstat(log).st_nlink == 0:
            raise OSError(2, "the log was replaced")
    except OSError as error:
        channel.sendall(b"e" + str(error).encode()[:200])
        sys.exit(1)
    channel.sendall(b"k")
"""


class DiskSync:
    """Asks the helper for one sync at a time, and calls back when it is on disk, or with the error."""

    def __init__(self, wal: Path, on_done: Callable[[OSError | None], None]) -> None:
        self._on_done = on_done
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.is_ready = False
        self._waiting = False
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _HELPER, str(wal)], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True, close_fds=True,
            )  # fmt: skip
        finally:
            theirs.close()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours.fileno(), self._answered)
        _asking.add(self)

    def request(self) -> None:
        """Starts a sync; it covers everything committed before this call."""
        self._waiting = True
        try:
            self._ours.send(b"s")
        except OSError as error:
            self._failed(OSError(f"the sync helper is gone: {error}"))

    def _answered(self) -> None:
        try:
            answer = self._ours.recv(512)
        except BlockingIOError:
            return
        except OSError as error:
            answer = b"e" + f"the sync helper is gone: {error}".encode()
        if answer[:1] == b"r":
            self.is_ready = True
            answer = answer[1:]
            if not answer:
                return
        if answer == b"k":
            self._waiting = False
            self._on_done(None)
            return
        self._failed(OSError(answer[1:].decode(errors="replace") if answer else "the sync helper died"))

    def _failed(self, error: OSError) -> None:
        self.close()
        was_ready, self.is_ready = self.is_ready, False
        if was_ready or self._waiting:
            self._on_done(error)

    def close(self) -> None:
        """Ends the helper."""
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours.fileno())
            self._ours.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def leave_to_parent(self) -> None:
        """Closes a forked child's copy of the channel, so that the helper ends with the parent. Leaves the loop alone."""
        self._ours.close()


_asking: weakref.WeakSet[DiskSync] = weakref.WeakSet()


def _in_child() -> None:
    for sync in list(_asking):
        sync.leave_to_parent()


os.register_at_fork(after_in_child=_in_child)


def sync_folder(path: Path) -> None:
    """Makes the names of a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
