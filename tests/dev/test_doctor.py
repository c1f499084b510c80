"""`polos doctor` finds what is wrong with an installation, and says what to do."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from polos.dev.doctor import Finding, examine, filesystem_of, of_sqlite
from polos.settings import Settings, load_settings
from tests.cli.shell import POLOS, Shell
from tests.conformance.acts import SetClock


def settings(folder: Path) -> Settings:
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text('[tool.polos]\nname = "shop"\n')
    return load_settings(folder)


def found(folder: Path, about: str, clock: SetClock | None = None) -> list[Finding]:
    return [one for one in examine(settings(folder), clock or SetClock()) if one.about == about]


def project_with_database(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "hello").code == 0
    assert shell.polos("run", "hello", "name=Ada").code == 0
    return shell


def test_a_healthy_project_has_nothing_wrong(tmp_path: Path) -> None:
    shell = project_with_database(tmp_path)
    done = shell.polos("doctor", "--json")
    assert done.code == 0, done.out
    levels = {one["about"]: one["level"] for one in done.lines if one["kind"] == "finding"}
    assert levels.pop("sqlite") in ("ok", "warning")
    assert set(levels.values()) == {"ok"}, done.out
    assert {"python", "project", "disk", "engine", "database"} <= set(levels)


def test_a_damaged_database_is_an_error_and_says_so_by_its_exit(tmp_path: Path) -> None:
    shell = project_with_database(tmp_path)
    path = tmp_path / ".polos" / "polos.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    done = shell.polos("doctor")
    assert done.code == 7 and "restore" in done.out


def test_a_file_that_is_no_database_of_ours(tmp_path: Path) -> None:
    (tmp_path / ".polos").mkdir(mode=0o700)
    path = tmp_path / ".polos" / "polos.db"
    sqlite3.connect(path).close()
    path.write_bytes(b"not a database at all, and longer than a header" * 10)
    path.chmod(0o600)
    (finding,) = found(tmp_path, "database")
    assert finding.level == "error" and "is it a polos database?" in finding.fix


def test_what_others_may_read_is_said_with_the_command(tmp_path: Path) -> None:
    project_with_database(tmp_path)
    (tmp_path / ".polos").chmod(0o755)
    (tmp_path / ".polos" / "polos.db").chmod(0o644)
    (tmp_path / ".env").write_text("SECRET=1\n")
    (tmp_path / ".env").chmod(0o644)
    fixes = [one.fix for one in found(tmp_path, "permissions")]
    assert fixes == [f"chmod 700 {tmp_path}/.polos", f"chmod 600 {tmp_path}/.polos/polos.db"]
    assert found(tmp_path, "env file")[0].fix == f"chmod 600 {tmp_path}/.env"


def test_missing_modules_and_leftovers(tmp_path: Path) -> None:
    project_with_database(tmp_path)
    (tmp_path / ".polos" / "server.json").write_text('{"url": "http://127.0.0.1:1", "token": "t", "pid": 4194300}')
    assert "process 4194300" in found(tmp_path, "leftovers")[0].text
    (tmp_path / "workflows").rename(tmp_path / "flows")
    assert [one.level for one in examine(load_settings(tmp_path), SetClock()) if one.about == "modules"] == ["error"]


def test_a_clock_that_went_back(tmp_path: Path) -> None:
    project_with_database(tmp_path)
    past = SetClock()
    past.at = 1_000_000_000 * 1_000_000
    (finding,) = found(tmp_path, "clock", past)
    assert finding.level == "warning" and "went back" in finding.text


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 34, 1), "error"), ((3, 40, 1), "warning"), ((3, 51, 2), "warning"), ((3, 51, 3), "ok"), ((4, 0, 0), "ok")],
)
def test_versions_of_sqlite(version: tuple[int, int, int], level: str) -> None:
    assert of_sqlite(version).level == level


def test_the_kind_of_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\ntmpfs {tmp_path}x tmpfs rw 0 0\n"
    assert filesystem_of(tmp_path / "a" / "b", mounts) == "nfs4"
    assert filesystem_of(Path("/etc"), mounts) == "ext4"
    assert filesystem_of(tmp_path, "") == ""


def test_an_owner_that_is_stopped_is_found_by_asking_it(tmp_path: Path) -> None:
    """Its socket takes connections all the same: a job that the shell has stopped is the usual case."""
    shell = project_with_database(tmp_path)
    worker = subprocess.Popen([*POLOS, "worker"], cwd=tmp_path, env=shell.env, text=True, stderr=subprocess.PIPE)
    try:
        assert worker.stderr is not None and "worker of" in worker.stderr.readline()
        assert [one.level for one in found(tmp_path, "engine")] == ["ok"]
        worker.send_signal(signal.SIGSTOP)
        (finding,) = found(tmp_path, "engine")
        assert finding.level == "error" and f"kill -CONT {worker.pid}" in finding.fix
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        worker.communicate(timeout=30)
