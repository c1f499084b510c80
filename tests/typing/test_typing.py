"""What users' type checkers see of the public names, as mypy in strict mode says it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_mypy_infers_what_users_rely_on_and_finds_their_mistakes() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version=3.11",
         "--cache-dir", str(ROOT / ".mypy_cache" / "users"), str(Path(__file__).with_name("users.py"))],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
