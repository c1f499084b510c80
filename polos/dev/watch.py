"""Watches a project's sources and settings for saves. Loads nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from hashlib import blake2b
from pathlib import Path

from polos.clock import Clock
from polos.worker.sources import FOREIGN

STEP_MS = 40
"""Milliseconds of quiet after which what was saved is told."""
DEBOUNCE_MS = 400
"""Milliseconds after which it is told, however busy it is."""
REMEMBERS_WITHIN = 1.0
BEGINS_WITHIN = 0.05
"""Seconds in which the operating system begins to tell of changes."""
LOOK_EVERY = 1.0
"""Seconds after which folders that came or went are noticed."""
SETTINGS = frozenset({"pyproject.toml", "polos.toml"})
_SKIPPED = FOREIGN | {".mypy_cache", ".ruff_cache", ".pytest_cache", ".tox", ".nox", ".idea", ".vscode"}


class Sources:
    """The files that count, by what is in them: a save that changes nothing is none.

    Args:
        root: the project's folder.
        env_file: the file of variables, wherever it is.
    """

    def __init__(self, root: Path, env_file: Path | None, clock: Clock) -> None:
        self.root = root.resolve()
        self.env_file = env_file.resolve() if env_file is not None else None
        self._clock = clock
        self._digests: dict[Path, bytes] = {}
        self._is_too_large = False

    def counts(self, path: Path) -> bool:
        """Tells whether a change of this file may change what the code does."""
        if path == self.env_file:
            return True
        try:
            parts = path.relative_to(self.root).parts
        except ValueError:
            return False
        if len(parts) == 1 and path.name in SETTINGS:
            return True
        return path.suffix == ".py" and _SKIPPED.isdisjoint(parts)

    def remember(self) -> None:
        """Takes the files as they are now for known, as far as they are read in a second. Blocking."""
        until = self._clock.monotonic() + REMEMBERS_WITHIN
        for path in self._all():
            digest = _digest(path)
            if digest is not None:
                self._digests[path] = digest
            if self._clock.monotonic() > until:
                self._is_too_large = True  # a save is told by the operating system all the same
                return

    def changed(self, paths: Iterable[Path]) -> list[Path]:
        """Returns those of these files whose content is another than it was, sorted. Blocking."""
        changed = []
        for path in sorted(set(paths)):
            before, now = self._digests.get(path), _digest(path)
            if before == now:
                continue
            if now is None:
                del self._digests[path]
            else:
                self._digests[path] = now
            changed.append(path)
        return changed

    def changed_of_all(self) -> list[Path]:
        """Returns those of all files that are not as they were, sorted. Blocking."""
        if self._is_too_large:
            return []
        return self.changed([*self._digests, *self._all()])

    def folders(self) -> list[Path]:
        """Returns the folders of the project to be watched with all that is in them: not `.venv` and the like."""
        try:
            return sorted(one for one in self.root.iterdir() if one.is_dir() and one.name not in _SKIPPED)
        except OSError:
            return []

    def _all(self) -> Iterable[Path]:
        if self.env_file is not None:
            yield self.env_file
        yield from (path for path in self.root.glob("*") if path.is_file() and self.counts(path))
        for folder in self.folders():
            for place, names, files in os.walk(folder):
                names[:] = [name for name in names if name not in _SKIPPED]
                yield from (Path(place, file) for file in files if file.endswith(".py"))


def _digest(path: Path) -> bytes | None:
    try:
        return blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return None


async def saves(sources: Sources) -> AsyncIterator[list[Path]]:
    """Yields the files of each save, or of several in a row; ends when it is closed.

    The project's folder is watched by itself, and each folder in it that may hold code with all that is in it: a
    ``.venv`` of ten thousand folders costs nothing.
    """
    found: asyncio.Queue[set[Path]] = asyncio.Queue()
    while True:
        folders = sources.folders()
        stop = asyncio.Event()
        watching = [asyncio.create_task(_watch([sources.root], False, sources.counts, found.put_nowait, stop))]
        if sources.env_file is not None and not sources.counts(sources.env_file.parent / "x.py"):
            watching.append(
                asyncio.create_task(_watch([sources.env_file.parent], False, sources.counts, found.put_nowait, stop))
            )
        if folders:
            watching.append(asyncio.create_task(_watch(folders, True, sources.counts, found.put_nowait, stop)))
        try:
            await asyncio.sleep(BEGINS_WITHIN)
            # What was saved while nobody watched: at the start, or in a folder that has just come.
            changed = await asyncio.to_thread(sources.changed_of_all)
            if changed:
                yield changed
            while sources.folders() == folders:
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        paths = await found.get()
                except TimeoutError:
                    for watcher in watching:
                        if watcher.done():
                            watcher.result()  # raises what ended it
                    continue
                while not found.empty():
                    paths |= found.get_nowait()
                changed = await asyncio.to_thread(sources.changed, paths)
                if changed:
                    yield changed
        finally:
            stop.set()
            await asyncio.gather(*watching, return_exceptions=True)


async def _watch(
    places: list[Path], deeply: bool, counts: Callable[[Path], bool], tell: Callable[[set[Path]], None],
    stop: asyncio.Event,
) -> None:  # fmt: skip
    from watchfiles import awatch  # takes a moment, while the code is imported in another process

    async for changes in awatch(
        *places, watch_filter=lambda change, path: counts(Path(path)), debounce=DEBOUNCE_MS, step=STEP_MS,
        recursive=deeply, stop_event=stop, ignore_permission_denied=True,
    ):  # fmt: skip
        tell({Path(path) for _, path in changes})
