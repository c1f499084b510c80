"""The identity of the code that a process has loaded (S8.3): a hash of the modules that are the user's. Imports none."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from polos.authoring.workflow import Workflow
from polos.worker.frames import is_ours
from polos.worker.sources import FOREIGN, digest_of


def code_identity(workflows: Iterable[Workflow], root: Path | None = None) -> str:
    """Returns 12 hexadecimal digits that change when a module of the user's does.

    Args:
        workflows: what is run: the modules beside theirs count, as far as they are loaded.
        root: the project's folder; its modules count, too.
    """
    hashed = blake2b(digest_size=6)
    for name, path in user_modules(workflows, root):
        hashed.update(name.encode() + b"\0" + (digest_of(str(path)) or _digest_on_disk(path)) + b"\0")
    return hashed.hexdigest()


def changed_on_disk(workflows: Iterable[Workflow], root: Path | None = None) -> list[Path]:
    """Returns the files of the user's modules that are other ones now, or gone, than what this process has loaded."""
    changed = []
    for _, path in user_modules(workflows, root):
        loaded = digest_of(str(path))
        if loaded is not None and loaded != _digest_on_disk(path):
            changed.append(path)
    return changed


def user_modules(workflows: Iterable[Workflow], root: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yields the loaded modules that are the user's, by name, with their files."""
    folders = {str(Path(one.fn.__code__.co_filename).resolve().parent) for one in workflows}
    if root is not None:
        folders.add(str(root.resolve()))
    library = sysconfig.get_path("stdlib")
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py") or file.startswith(library) or is_ours(file):
            continue
        path = Path(file)
        if FOREIGN.isdisjoint(path.parts) and any(path.resolve().is_relative_to(folder) for folder in folders):
            yield name, path


def _digest_on_disk(path: Path) -> bytes:
    try:
        return blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return b""  # it was loaded, and is gone
