"""`polos doctor`: examines the installation and the project. Changes nothing."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from polos.dev.doctor import examine
from polos_cli import errors
from polos_cli.output import stdout, style
from polos_cli.output.sanitize import join, sanitize
from polos_cli.session import clock, settings_for

_LOOKS = {"ok": "completed", "warning": "blocked", "error": "failed"}


def command(
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> int:
    """Check Python, SQLite, permissions, who has the database, the clock, the disk, and the database itself.

    Ends with 7 where something is wrong, with 0 where there are warnings at most.
    """
    is_wrong = False
    for finding in examine(settings_for(database), clock):
        is_wrong |= finding.level == "error"
        if as_json:
            stdout.line({"kind": "finding", "v": 1, **asdict(finding)})
            continue
        look = _LOOKS[finding.level]
        sign = style.paint(style.glyph(look, sys.stdout), style.look(look).style, sys.stdout)
        stdout.data(
            join((sign, " ", style.paint(f"{finding.about:<12}", "bold", sys.stdout), " ", sanitize(finding.text)))
        )
        if finding.fix:
            stdout.data(join(("    ", style.paint("fix:", "dim", sys.stdout), " ", sanitize(finding.fix))))
    if as_json:
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    return errors.UNUSABLE if is_wrong else errors.DONE
