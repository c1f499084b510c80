"""Settings files: which folder is a project, and what its file says. Judges no value."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from polos.errors import UsageError

STATE_FOLDER = ".polos"


def is_project(folder: Path) -> bool:
    if (folder / "polos.toml").is_file() or (folder / STATE_FOLDER).is_dir():
        return True
    pyproject = folder / "pyproject.toml"
    return pyproject.is_file() and _tool_table(pyproject) is not None


def file_settings(root: Path) -> tuple[Mapping[str, object], str, str]:
    """Returns the settings in `root`'s file, the file in words, and the name `[project]` gives."""
    own, pyproject = root / "polos.toml", root / "pyproject.toml"
    table = _tool_table(pyproject) if pyproject.is_file() else None
    name = _project_name(pyproject) if table is not None else ""
    if own.is_file():
        if table is not None:
            raise UsageError(
                f"{root} has its settings in two places: polos.toml and [tool.polos] of pyproject.toml",
                hint="keep one of them",
            )
        return _toml(own), str(own), name
    return table or {}, f"[tool.polos] of {pyproject}", name


def _tool_table(pyproject: Path) -> Mapping[str, object] | None:
    text = read_text(pyproject)
    if "polos" not in text:
        return None  # most folders on the way up: not parsed, and no complaint about a file that is not ours
    tool = _toml(pyproject).get("tool")
    table = tool.get("polos") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{pyproject}: tool.polos is {table!r}, not a table", hint="write [tool.polos]")
    return table


def _project_name(pyproject: Path) -> str:
    project = _toml(pyproject).get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else ""


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint="correct the file") from error


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
