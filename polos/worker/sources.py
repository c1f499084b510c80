"""A project's modules, always compiled from their source (never from stale bytecode), and what was read of them.

Two edits of one size within a second leave bytecode that looks fresh and is not; the identity of loaded code (S8.3) must
be that of the text that was compiled, not of whatever lies on the disk a moment later. Imports nothing itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import blake2b
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

FOREIGN = frozenset(
    {"site-packages", "dist-packages", "node_modules", ".venv", "venv", ".git", ".polos", "__pycache__"}
)
"""Folders within a project that hold other people's files, or none to import."""

_read: dict[str, bytes] = {}
_roots: list[Path] = []


class _FromSource(SourceFileLoader):
    """Compiles the source each time, and notes its digest."""

    def path_stats(self, path: Any) -> Any:
        """Refuses: without it, the import system neither looks for bytecode nor writes any."""
        raise OSError("the modules of a project are compiled from their source")

    def get_data(self, path: Any) -> bytes:
        data = super().get_data(path)
        if str(path).endswith(".py"):
            _read[str(path)] = blake2b(data, digest_size=16).digest()
        return data


def compile_from_source(root: Path) -> None:
    """Lets modules below `root` be imported from their source alone, from now on; repeating it changes nothing."""
    root = root.resolve()
    if root in _roots:
        return
    _roots.append(root)
    if len(_roots) == 1:
        sys.path_hooks.insert(0, _hook)
    for place in list(sys.path_importer_cache):
        if is_within(place, root):
            del sys.path_importer_cache[place]  # made before, by the ordinary finder


def is_within(place: str, root: Path) -> bool:
    """Tells whether a path is the project's own: below its folder, and not among what was installed there."""
    try:
        parts = Path(place).resolve().relative_to(root).parts
    except ValueError:
        return False
    return FOREIGN.isdisjoint(parts)


def digest_of(file: str) -> bytes | None:
    """Returns the digest of a module's source as it was compiled in this process; None: it came in another way."""
    return _read.get(file)


def _hook(place: str) -> Any:
    if not any(is_within(place or ".", root) for root in _roots):
        raise ImportError("not a project's folder", path=place)
    return _finder(place)


_finder: Callable[[str], Any] = FileFinder.path_hook((_FromSource, [".py"]))
