"""The identity of the code that a process has loaded (S8.3): a hash of the modules that are the user's. Imports none."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from polos.authoring.workflow import Workflow
from polos.worker.frames import is_ours

_FOREIGN = {"site-packages", "dist-packages", "node_modules", ".venv", "venv"}


def code_identity(workflows: Iterable[Workflow], root: Path | None = None) -> str:
    """Returns 12 hexadecimal digits that change when a module of the user's does.

    Args:
        workflows: what is run: the modules beside theirs count, as far as they are loaded.
        root: the project's folder; its modules count, too.
    """
    folders = {str(Path(one.fn.__code__.co_filename).resolve().parent) for one in workflows}
    if root is not None:
        folders.add(str(root.resolve()))
    library = sysconfig.get_path("stdlib")
    hashed = blake2b(digest_size=6)
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py") or file.startswith(library) or is_ours(file):
            continue
        path = Path(file)
        if _FOREIGN.isdisjoint(path.parts) and any(path.resolve().is_relative_to(folder) for folder in folders):
            hashed.update(name.encode() + b"\0" + _source(path) + b"\0")
    return hashed.hexdigest()


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it was loaded, and is gone
