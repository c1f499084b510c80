"""`polos check`: reads workflow code for what does not replay. Imports and runs nothing of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from polos.dev.lint import CannotRead, Finding, lint
from polos.dev.lint_rules import RULES
from polos.errors import NoProject, UsageError
from polos.worker.loader import files_of
from polos.worker.sources import FOREIGN
from polos_cli.output import stderr, stdout, style
from polos_cli.output.sanitize import join, sanitize
from polos_cli.session import settings_for


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; default: the project's modules.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List what is looked for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> int:
    """Read workflow code for what does not replay: clocks, chance, blocking calls, un-awaited steps, keys used twice.

    Ends with 1 where something is found. A line is waived by a comment on it: # polos: ignore[PC101]
    """
    if rules:
        for rule in RULES:
            stdout.data(f"{rule.code}  {rule.name:<16} {rule.why}; {rule.instead}")
        return 0
    found, files = _lint(paths or _modules())
    for one in found:
        if as_json:
            stdout.line({"kind": "finding", "v": 1, "path": one.path, "line": one.line, "column": one.column,
                         "code": one.rule.code, "name": one.rule.name, "message": one.message})  # fmt: skip
            continue
        where = style.paint(f"{sanitize(one.path)}:{one.line}:{one.column}", "bold", sys.stdout)
        stdout.data(join((where, " ", style.paint(one.rule.code, "yellow", sys.stdout), " ", sanitize(one.message))))
    if as_json:
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    else:
        noun = "file" if files == 1 else "files"
        told = f"{len(found)} to look at, in {files} {noun}" if found else f"nothing to say of {files} {noun}"
        stderr.say(told, "yellow" if found else "green")
    return int(bool(found))


def _modules() -> list[Path]:
    settings = settings_for()
    root = settings.project_root
    if root is None:
        raise NoProject("there is no polos project here or in a folder above", hint="name files: polos check FILE.py")
    found = [path for module in settings.modules if (path := files_of(root, module)) is not None]
    if not found:
        raise UsageError(f"none of the project's modules is there: {', '.join(settings.modules)}")
    return list(dict.fromkeys(found))


def _lint(paths: Sequence[Path]) -> tuple[list[Finding], int]:
    found, files = [], 0
    for file in _files(paths):
        files += 1
        try:
            found += lint(file.read_text(encoding="utf-8-sig"), _named(file))
        except (CannotRead, UnicodeDecodeError) as error:
            raise UsageError(f"{_named(file)} cannot be read: {error}", hint="mend it first") from error
    return found, files


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file
                for file in path.rglob("*.py")
                if FOREIGN.isdisjoint(file.relative_to(path).parts) and file.is_file()
            )
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"there is no {path}")


def _named(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
