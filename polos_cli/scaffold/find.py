"""Where the templates are: beside the packages in a checkout, else in `polos_cli`. Reads no file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from polos.errors import UsageError

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "templates", _PACKAGE.parent / "templates")


def template_names() -> tuple[str, ...]:
    """Returns the names of the templates, the first one first."""
    folder = _folder()
    names = (entry.name for entry in folder.iterdir() if (entry / "pyproject.toml.tmpl").is_file())
    return tuple(sorted(names, key=lambda name: (name != "hello", name)))


def template_folder(name: str) -> Path:
    """Returns the folder of a template.

    Raises:
        UsageError: there is no such template; it names the nearest.
    """
    names = template_names()
    if name in names:
        return _folder() / name
    near = get_close_matches(name, names, 1)
    asked = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no template {name!r}", hint=f"{asked}the templates are {', '.join(names)}")


def _folder() -> Path:
    for place in _PLACES:
        if place.is_dir():
            return place
    raise UsageError("the templates are missing from this installation", hint="install polos-engine again")
