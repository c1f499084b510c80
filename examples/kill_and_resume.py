"""The main job, visibly: runs the order workflow, kills it half-way (SIGKILL), resumes it, and counts what ran."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).parent / "orders"
POLOS = [sys.executable, "-m", "polos_cli"]
FINISHED_BEFORE_THE_KILL = {"validate", "charge", "reserve", "notify"}


def main() -> int:
    """Returns 0 if the result came and no finished step ran twice."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger.txt"
        environment = os.environ | {"ORDERS_LEDGER": str(ledger), "POLOS_URL": f"sqlite:///{folder}/polos.db"}

        say("1. polos run order order_id=A1 amount:=1200")
        first = subprocess.Popen([*POLOS, "run", "order", "order_id=A1", "amount:=1200"], cwd=PROJECT, env=environment)
        if not waits(environment, first):
            first.kill()
            say("the first run never came to its wait")
            return 1
        first.send_signal(signal.SIGKILL)
        first.wait()
        say(f"2. kill -9 {first.pid}: the process is gone, in the middle of the wait")
        subprocess.run([*POLOS, "ps"], cwd=PROJECT, env=environment, check=True)

        say("3. polos run --attach last")
        second = subprocess.run(
            [*POLOS, "run", "--attach", "last"],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        print(second.stdout, end="", flush=True)
        if second.returncode:
            say(f"the second run ended with exit code {second.returncode}")
            return 1

        runs = Counter(ledger.read_text().split())
        say("4. how often each body ran, counted in a file outside the database:")
        for key, times in runs.items():
            print(f"   {key:<12} {times}", flush=True)
        twice = [key for key, times in runs.items() if times != 1]
        say("every step ran exactly once" if not twice else f"ran more than once: {', '.join(twice)}")
        return 1 if twice or not runs.keys() >= FINISHED_BEFORE_THE_KILL else 0


def waits(environment: dict[str, str], process: "subprocess.Popen[bytes]") -> bool:
    """Looks at the execution from outside until its timer runs; False if it ends before."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        shown = subprocess.run(
            [*POLOS, "ps", "--status", "waiting", "--json"],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
        )
        if '"cooling_off"' in shown.stdout:
            return True
        time.sleep(0.05)
    return False


def say(text: str) -> None:
    """Says where the demonstration is."""
    print(f"\n── {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
