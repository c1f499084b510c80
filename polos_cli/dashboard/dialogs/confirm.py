"""Asks whether to do it, or which of a few things to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from polos_cli.dashboard.dialogs.box import Dialog, told


class Confirm(Dialog[str | None]):
    """Says what will be done, and closes with the key that was pressed: ``y``, or another one of `keys`; None for no.

    Args:
        keys: each key with what it does.
    """

    def __init__(self, what: Sequence[str], keys: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._what, self._keys = what, {"y": "yes"} if keys is None else keys

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with VerticalScroll(classes="box"):
            yield told("\n".join(self._what))
            keys = "   ".join([*(f"{key} {does}" for key, does in self._keys.items()), "n no"])
            yield told(f"\n{keys}", classes="keys")

    def on_key(self, event: events.Key) -> None:
        """Takes the answer."""
        if event.key in self._keys:
            event.stop()
            self.answer(event.key)
        elif event.key == "n":
            event.stop()
            self.answer(None)
