"""What durability is in force where a database is owned: checked, not assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polos import Polos


def watch(polos: Polos) -> Callable[[], dict[str, Any]]:
    """Counts the syncs of an owner, and returns a function that tells what durability is in force."""
    committer = polos.host.store.owner.store.committer  # type: ignore[union-attr]  # an owner has both
    syncs = [0]
    if committer._sync is not None:
        request = committer._sync.request

        def counting() -> None:
            syncs[0] += 1
            request()

        committer._sync.request = counting

    def told() -> dict[str, Any]:
        execute = committer._connection.execute
        mode, level = (execute(f"PRAGMA {n}").fetchone()[0] for n in ("journal_mode", "synchronous"))
        helped = committer._helped
        how = f"journal_mode={mode} synchronous={level}"
        if committer._durability == "full":
            how += " + fdatasync of the log awaited before each answer" if helped else ""
            how += f" ({committer.commits} commits, {syncs[0]} fdatasyncs)"
        equal = committer._durability == "relaxed" or (helped and syncs[0] > 0) or level == 2
        return {"durability": how, "durability_ok": bool(equal)}

    return told
