"""A project's modules are compiled from their source, whatever bytecode lies beside them (S8.3)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from polos.worker.identity import code_identity
from polos.worker.loader import load_modules
root = Path(sys.argv[1])
registry = load_modules(root, ["workflows"])
import workflows.one
if len(sys.argv) > 2:
    (root / "workflows" / "one.py").write_text("changed after it was loaded")
print(workflows.one.VALUE, code_identity(registry, root))
"""


def load(root: Path, *more: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), *more], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()


def project(root: Path, value: str) -> Path:
    (root / "workflows").mkdir(exist_ok=True)
    one = root / "workflows" / "one.py"
    one.write_text(f"VALUE = '{value}'\n")
    return one


def test_stale_bytecode_of_the_same_size_and_second_is_not_run(tmp_path: Path) -> None:
    one = project(tmp_path, "old")
    os.utime(one, (1_000_000, 1_000_000))
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(one.parent)], check=True, timeout=60)
    assert list(one.parent.rglob("*.pyc")), "the bytecode is there"
    project(tmp_path, "new")
    os.utime(one, (1_000_000, 1_000_000))
    plain = subprocess.run(
        [sys.executable, "-c", "import workflows.one; print(workflows.one.VALUE)"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True,
    )  # fmt: skip
    assert plain.stdout.strip() == "old", "Python itself takes the stale one"
    assert load(tmp_path)[0] == "new"


def test_no_bytecode_is_written_for_them(tmp_path: Path) -> None:
    project(tmp_path, "one")
    load(tmp_path)
    assert not list(tmp_path.rglob("*.pyc"))


def test_the_identity_is_that_of_what_was_compiled(tmp_path: Path) -> None:
    project(tmp_path, "one")
    before = load(tmp_path)
    assert load(tmp_path, "edited under it") == before
    project(tmp_path, "two")
    assert load(tmp_path)[1] != before[1]


def test_what_is_installed_within_the_project_is_left_to_python(tmp_path: Path) -> None:
    from polos.worker.sources import is_within

    assert is_within(str(tmp_path / "shop"), tmp_path)
    assert not is_within(str(tmp_path / ".venv" / "lib" / "site-packages"), tmp_path)
    assert not is_within(str(tmp_path.parent), tmp_path)
