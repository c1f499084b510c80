"""The floor of W2: one bare commit of SQLite per step, one row each, and nothing else."""

from __future__ import annotations

import sqlite3
import sys
import time

from benchmarks.side import answer, arguments, step_figures


def main() -> None:
    args = arguments()
    connection = sqlite3.connect(args.database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = " + ("FULL" if args.durability == "full" else "NORMAL"))
    connection.execute(
        "CREATE TABLE step (execution INTEGER, key TEXT, seq INTEGER, value TEXT, at INTEGER,"
        " PRIMARY KEY (execution, key))"
    )
    connection.execute("INSERT INTO step VALUES (0, 'warm', 0, '0', 0)")
    stamps = [time.perf_counter()]
    for i in range(max(10, round(1000 * args.scale))):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO step VALUES (1, ?, ?, ?, ?)", (f"s{i}", i, str(i), time.time_ns()))
        connection.execute("COMMIT")
        stamps.append(time.perf_counter())
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    answer(
        figures=step_figures(stamps), durability=f"journal_mode=wal synchronous={level}",
        durability_ok=level == (2 if args.durability == "full" else 1),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
