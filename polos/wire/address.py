"""Where the owner of a database listens: a socket beside the file, or elsewhere when that path is too long. Opens nothing."""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b
from pathlib import Path

LONGEST = 100
"""Bytes of a socket's path that every Unix takes (104 on macOS, 108 on Linux)."""


def socket_path(database: Path) -> Path:
    """Returns the path of the owner's socket for a database file; the same for every process of this user."""
    beside = database.with_name(database.name + ".sock")
    if len(os.fsencode(beside)) <= LONGEST:
        return beside
    name = blake2b(os.fsencode(database.resolve()), digest_size=10).hexdigest() + ".sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "polos" if runtime else Path(tempfile.gettempdir()) / f"polos-{os.getuid()}"
    if len(os.fsencode(folder / name)) > LONGEST:
        folder = Path("/tmp") / f"polos-{os.getuid()}"
    return folder / name


def own_folder(folder: Path) -> None:
    """Makes the folder of a socket, for this user alone.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(13, "belongs to another user", str(folder))
    folder.chmod(0o700)
