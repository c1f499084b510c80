"""Guards switched off, one at a time, in a running program: the checks must see each (planted bugs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polos.store.sql import commit
from polos.store.sql.statements import statements
from polos.store.sqlite.committer import Committer
from polos.store.sqlite.store import SqliteStore


def _rewrite(name: str, old: str, new: str) -> None:
    texts: Any = statements()
    assert old in texts[name], f"the statement {name} has no {old!r} to switch off"
    texts[name] = texts[name].replace(old, new)


def no_epoch_check() -> None:
    """Whoever once held an execution may write."""
    _rewrite("fence", "AND epoch = :epoch", "AND :epoch = :epoch")


def overwrite() -> None:
    """A second outcome takes the place of the first."""
    _rewrite("insert_entry", "INSERT INTO journal", "INSERT OR REPLACE INTO journal")


def event_outside() -> None:
    """What happened is told in a transaction of its own, after the commit of what happened."""
    own_lifecycle, own_commit = commit.lifecycle, SqliteStore.commit
    later: list[tuple[Any, ...]] = []

    def put_off(*told: Any) -> Any:
        later.append((told[0], list(told[1]), told[2]))
        return
        yield

    def committed(self: SqliteStore, *args: Any) -> Any:
        future = own_commit(self, *args)

        def tell(_: Any) -> None:
            while later:
                told = later.pop(0)
                self.committer.submit(lambda told=told: own_lifecycle(*told), "lifecycle")

        future.add_done_callback(tell)
        return future

    commit.lifecycle = put_off
    SqliteStore.commit = committed  # type: ignore[method-assign]


def answer_before_sync() -> None:
    """What is committed is answered at once, whether it is on disk or not."""
    own = Committer._request_sync

    def request_sync(self: Any) -> None:
        self._release(list(self._unsynced))
        own(self)

    Committer._request_sync = request_sync  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "no_epoch_check": no_epoch_check,
    "overwrite": overwrite,
    "event_outside": event_outside,
    "answer_before_sync": answer_before_sync,
}
