"""A template's files made a project's: names and placeholders. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_SUFFIX = ".tmpl"
_SKIPPED = frozenset({"__pycache__", ".pytest_cache", ".polos"})


def render(template: Path, project: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Yields the path in the project and the text of each file of a template, in order of the paths.

    In a file that ends in `.tmpl`, `{{project}}` becomes the project's name, and the ending goes: tools
    would act on a `pyproject.toml` or a `.gitignore` inside this repository.

    Args:
        template: its folder.
        project: the project's name, as `project_name` makes it.
    """
    for path in sorted(template.rglob("*")):
        inside = path.relative_to(template)
        if not path.is_file() or _SKIPPED.intersection(inside.parts):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == _SUFFIX:
            text = text.replace("{{project}}", project)
        yield _renamed(PurePosixPath(inside.as_posix())), text


def project_name(folder: Path) -> str:
    """Returns a valid name of a Python project for a folder: ``My Shop!`` becomes ``my-shop``."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
    return name or "polos-project"


def _renamed(path: PurePosixPath) -> PurePosixPath:
    if path.suffix != _SUFFIX:
        return path
    name = path.name.removesuffix(_SUFFIX)
    return path.with_name(f".{name}" if name == "gitignore" else name)
