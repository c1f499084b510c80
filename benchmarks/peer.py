"""The peer's virtual environment, made when it is not there."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = Path(__file__).with_name("constraints-dbos.txt")
HOME = ROOT / ".benchmarks"


def pinned(name: str) -> str:
    """Returns ``name==version`` as the constraints pin it."""
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.strip()
    raise LookupError(f"{CONSTRAINTS.name} does not pin {name}")


def dbos_python(say: Callable[[str], None]) -> Path:
    """Returns the interpreter that has the pinned dbos, and installs it first if need be."""
    home = HOME / "dbos"
    python = home / "bin" / "python"
    wanted = pinned("dbos")
    check = [str(python), "-c", "from importlib.metadata import version; print('dbos==' + version('dbos'))"]
    if python.exists():
        found = subprocess.run(check, capture_output=True, text=True, check=False)
        if found.stdout.strip() == wanted:
            return python
    say(f"installing {wanted} into {home.relative_to(ROOT)}, once")
    venv.create(home, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-c", str(CONSTRAINTS), wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install {wanted}:\n{done.stderr[-1000:]}")
    return python
