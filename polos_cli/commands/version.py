"""`polos version`: the versions of polos and of what it runs on. Opens no project and no database."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from polos_cli.output import stdout

DISTRIBUTION = "polos-engine"


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show the versions of polos and what it runs on."""
    import sqlite3

    versions = {
        "polos": polos_version(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(terse=True),
    }
    if as_json:
        stdout.document({"kind": "version", "v": 1, **versions})
        return
    for name, version in versions.items():
        stdout.data(f"{name:<9} {version}")


def polos_version() -> str:
    """Returns the version of polos: the installed one, or the checkout's."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return _checkout_version()


def _checkout_version() -> str:
    import tomllib

    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    try:
        return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
