"""All keys that mean something where a person stands, from what they are bound to. Binds none."""

from __future__ import annotations

from textual.app import App

from polos_cli.dashboard.dialogs.output import Output
from polos_cli.dashboard.widgets.texts import Text


def keys_of(app: App[None]) -> Output:
    """Returns the dialog that shows them."""
    bindings: dict[tuple[str, str], list[str]] = {}
    for active in app.screen.active_bindings.values():
        one = active.binding
        if one.description[:1].islower() and active.enabled:  # Textual's own are written with capitals
            keys = bindings.setdefault((one.description, one.action), [])
            keys.append(app.get_key_display(one))
    lines = [Text(what, f"{' '.join(keys):>22}") for (what, _), keys in bindings.items()]
    return Output("Keys", lines)
