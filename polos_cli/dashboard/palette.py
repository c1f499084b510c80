"""The command palette: every action of the page, every page, an execution by its number. Does nothing itself."""

from __future__ import annotations

from collections.abc import Iterator

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from polos_cli.dashboard.pages.page import NAMES, OpenExecution, Tell
from polos_cli.dashboard.widgets.lines import Lines


class Palette(Provider):
    """Finds what can be done by what is typed."""

    def _found(self) -> Iterator[tuple[str, IgnoreReturnCallbackType, str]]:
        """Yields (name, what it does, its key)."""
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            is_move = isinstance(active.node, Lines) or binding.action in ("command_palette", "app.focus_next")
            is_own = binding.description[:1].islower()  # Textual's own are written with capitals
            if is_move or not is_own or binding.action in seen or not active.enabled:
                continue
            seen.add(binding.action)
            yield binding.description, _acting(self, binding.action, active.node), self.app.get_key_display(binding)
        for at, name in enumerate(NAMES, 1):
            yield f"go to {name}", _acting(self, f"app.page('{name}')", None), str(at)

    async def discover(self) -> Hits:
        """See `Provider`."""
        for name, does, key in self._found():
            yield DiscoveryHit(name, does, help=key)

    async def search(self, query: str) -> Hits:
        """See `Provider`."""
        matcher = self.matcher(query)
        word = query.strip()
        if word.isdigit() or word == "last":
            yield Hit(1.0, f"open execution {word}", lambda: self.app.post_message(OpenExecution(word)), help="show it")
        hits = [Hit(score, matcher.highlight(name), does, help=key) for name, does, key in self._found()
                if (score := matcher.match(name)) > 0]  # fmt: skip
        for hit in hits:
            yield hit
        if not hits and not word.isdigit() and word != "last":
            told = f"no action is called {word!r}; ? shows all keys"
            yield Hit(0.01, told, lambda: self.app.post_message(Tell(told, is_error=True)), help="esc leaves")


def _acting(palette: Palette, action: str, node: object) -> IgnoreReturnCallbackType:
    async def acts() -> None:
        await palette.app.run_action(action, node if node is not None else palette.app)  # type: ignore[arg-type]  # a widget

    return acts
