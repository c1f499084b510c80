"""Texts edited in the person's own editor. Leaves the terminal to it meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from polos.errors import UsageError


def editor() -> list[str] | None:
    """Returns the command of the editor: ``$VISUAL``, ``$EDITOR``, else nano or vi where they are; None: there is none."""
    for name in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(name, "")):
            return words
    found = shutil.which("nano") or shutil.which("vi")
    return [found] if found else None


def edit(app: App[None], text: str, name: str = "value.json") -> str | None:
    """Returns the text as it was left in the editor; None: there is no editor.

    Raises:
        UsageError: the editor could not be run, or said that it failed.
    """
    words = editor()
    if words is None:
        return None
    with tempfile.TemporaryDirectory(prefix="polos-") as folder:
        file = Path(folder) / name
        file.write_text(text + "\n", encoding="utf-8")
        command, failed, code = [*words, str(file)], None, 0
        try:
            with app.suspend():  # nothing may be raised in it: the terminal would not be taken back
                try:
                    code = subprocess.run(command, check=False).returncode
                except OSError as error:
                    failed = error
        except SuspendNotSupported:
            try:
                code = subprocess.run(command, check=False).returncode
            except OSError as error:
                failed = error
        if failed is not None:
            raise UsageError(f"{words[0]} cannot be run: {failed.strerror}", hint="set EDITOR to another one")
        if code:
            raise UsageError(f"{words[0]} ended with {code}; nothing was done", hint="set EDITOR to another one")
        try:
            return file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"what {words[0]} has left cannot be read: {error}") from error
