"""The command line. Ends with 0 whatever the figures are, and with 1 when measuring failed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks import profiling
from benchmarks.report import as_json, machine, table
from benchmarks.runner import Options, Runner, SideFailed
from benchmarks.workloads import WORKLOADS


def main(argv: list[str] | None = None) -> int:
    names = [w.id for w in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument("--against", choices=("dbos",), help="measure a peer too, in turns (installs it once)")
    run.add_argument("--workload", nargs="+", action="extend", choices=names, metavar="W", help=" ".join(names))
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument("--durability", choices=("full", "relaxed"), default="full")
    run.add_argument("--dbos-journal", choices=("default", "wal"), default="default", help="the peer's journal")
    run.add_argument("--scale", type=float, default=1.0, help="a fraction of the sizes, for trying out")
    run.add_argument("--json", action="store_true", help="print JSON on stdout, progress on stderr")
    look = commands.add_parser("profile", help="show where a workload's time goes")
    look.add_argument("--workload", required=True, choices=list(profiling.STEPS))
    look.add_argument("--durability", choices=("full", "relaxed"), default="full")
    look.add_argument("--lines", type=int, default=40)
    look.add_argument("--order", choices=("own", "all"), default="own")
    args = parser.parse_args(argv)
    if args.command == "profile":
        profiling.profile(args.workload, args.durability, args.lines, args.order)
        return 0

    def say(text: str) -> None:
        print(text, file=sys.stderr if args.json else sys.stdout, flush=True)

    options = Options(
        workloads=[n for n in names if (n != "dashboard" if args.workload is None else n in args.workload)],
        against=args.against,
        rounds=max(1, args.rounds),
        durability=args.durability,
        journal=args.dbos_journal,
        scale=args.scale,
        say=say,
    )
    try:
        runner = Runner(options)
        where = machine(runner.file_system)
        facts = where | {"durability": options.durability}
        say("  ".join(f"{name} {value}" for name, value in facts.items()))
        outcomes = runner.run()
    except (SideFailed, OSError, RuntimeError, LookupError, subprocess.SubprocessError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(as_json(outcomes, options, where, runner.failures), indent=2))
    else:
        scale = f", at scale {options.scale:g}" if options.scale != 1 else ""
        print(f"\nmedians of {options.rounds} rounds, durability {options.durability}{scale}")
        print(table(outcomes))
    for failure in runner.failures:
        first, *rest = failure.strip().splitlines()
        print(f"benchmarks: {first} {rest[-1] if rest else ''}".rstrip(), file=sys.stderr)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
