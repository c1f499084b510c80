"""The table at the end, and the same as JSON."""

from __future__ import annotations

import os
import platform
from typing import Any

from benchmarks.runner import Options, Outcome
from benchmarks.workloads import BY_ID, Figures, Row, Target

_HEAD = ("workload", "figure", "polos", "dbos", "ratio", "target", "reached", "verdict", "later")


def table(outcomes: dict[str, Outcome]) -> str:
    """Returns the table as text."""
    lines: list[tuple[str, ...]] = [_HEAD]
    for name, outcome in outcomes.items():
        figures = outcome.medians()
        for row in BY_ID[name].rows:
            lines.extend(_lines(name, row, figures))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    left = {0, 1, 7, 8}

    def text(line: tuple[str, ...]) -> str:
        pairs = enumerate(zip(line, widths, strict=True))
        cells = (cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in pairs)
        return "  ".join(cells).rstrip()

    return "\n".join([text(lines[0]), text(tuple("-" * w for w in widths)), *map(text, lines[1:])])


def _lines(name: str, row: Row, figures: Figures) -> list[tuple[str, ...]]:
    ours, theirs = figures.get(row.side, {}).get(row.figure), figures.get("dbos", {}).get(row.figure)
    ratio = "-"
    if ours and theirs:
        ratio = f"{(ours / theirs if row.more_is_better else theirs / ours):.1f}x"
    first = (name, row.title, _figure(ours, row.unit), _figure(theirs, row.unit), ratio)
    found = [(*_target(target), *_verdict(target, figures)) for target in row.targets] or [("", "", "", "")]
    blank = ("",) * len(first)
    return [(*(first if i == 0 else blank), *one) for i, one in enumerate(found)]


def _target(target: Target) -> tuple[str]:
    sign = ">=" if target.at_least else "<="
    number = f"{target.now:,.10g}"
    unit = target.text if target.text.startswith(("x", "/")) else f" {target.text}"
    return (f"{sign} {number}{unit}",)


def _verdict(target: Target, figures: Figures) -> tuple[str, str, str]:
    value, now, later = target.verdict(figures)
    if value is None:
        return "-", "not measured", ""
    after = ""
    if target.now != target.later:
        after = f"{target.later:,.10g}{target.unit}: {'yes' if later else 'no'}"
    return f"{value:,.1f}{target.unit}", "pass" if now else "FAIL", after


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{shown}{unit}" if unit.startswith("/") else f"{shown} {unit}"


def machine(file_system: str) -> dict[str, Any]:
    """Tells where this was measured."""
    return {
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "file_system": file_system,
    }  # fmt: skip


def as_json(
    outcomes: dict[str, Outcome], options: Options, where: dict[str, Any], failures: list[str]
) -> dict[str, Any]:
    """Returns everything that was measured."""
    return {
        "machine": where,
        "durability": options.durability,
        "dbos_journal": options.journal,
        "rounds": options.rounds,
        "scale": options.scale,
        "failures": failures,
        "workloads": {name: _workload(name, outcome) for name, outcome in outcomes.items()},
    }


def _workload(name: str, outcome: Outcome) -> dict[str, Any]:
    figures = outcome.medians()
    targets = []
    for row in BY_ID[name].rows:
        for target in row.targets:
            value, reached, later = target.verdict(figures)
            targets.append(
                {
                    "figure": row.figure,
                    "target": _target(target)[0],
                    "value": value,
                    "reached": reached,
                    "later": target.later,
                    "later_reached": later,
                }
            )
    return {
        "title": BY_ID[name].title,
        "medians": figures,
        "rounds": outcome.rounds,
        "canary_per_s": outcome.canaries,
        "durability_checked": outcome.durability,
        "targets": targets,
    }
