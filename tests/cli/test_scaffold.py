"""`polos init`: what it writes, and that it never overwrites."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polos.settings import load_settings
from polos_cli import app
from polos_cli.commands.init import FIRST_RUN
from polos_cli.scaffold.find import template_folder, template_names
from polos_cli.scaffold.plan import plan_project
from polos_cli.scaffold.render import project_name


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLOS_URL", raising=False)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_templates_are_found_and_each_has_a_first_command() -> None:
    assert set(template_names()) == set(FIRST_RUN)
    assert template_names()[0] == "hello"


@pytest.mark.parametrize("template", ["hello", "approval", "schedule"])
def test_a_written_project_is_whole(here: Path, template: str) -> None:
    assert app.main(["init", "My Shop", "--template", template]) == 0
    folder = here / "My Shop"
    assert files(folder) == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"tests/test_{template}.py",
        "workflows/__init__.py",
        f"workflows/{template}.py",
    }
    settings = load_settings(folder)
    assert (settings.project_root, settings.name) == (folder, "my-shop")
    for path in folder.rglob("*"):
        if path.is_file():
            assert "{{" not in path.read_text()
        if path.suffix == ".py":
            ast.parse(path.read_text())


@pytest.mark.parametrize("template", ["hello", "approval", "schedule"])
def test_the_tests_of_a_written_project_pass(here: Path, template: str) -> None:
    assert app.main(["init", "shop", "--template", template]) == 0
    checkout = str(Path(app.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=here / "shop",
        env={**os.environ, "PYTHONPATH": checkout},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_written_and_what_comes_next_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["init", "shop"]) == 0
    out, err = capsys.readouterr()
    assert set(out.splitlines()) == {f"shop/{path}" for path in files(here / "shop")}
    assert [line.strip() for line in err.splitlines()][-2:] == ["cd shop", "polos run hello name=Ada"]


def test_in_the_current_folder_there_is_nowhere_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["init", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["next"] == ["polos run hello name=Ada"]
    assert "pyproject.toml" in told["files"]


def test_conflicts_are_listed_and_nothing_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "README.md").write_text("mine")
    (here / "tests").write_text("a file where a folder must be")
    (here / ".gitignore").symlink_to("nowhere")
    assert app.main(["init"]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ("README.md", "tests", ".gitignore"))
    assert "workflows" not in err
    assert (here / "README.md").read_text() == "mine"
    assert not (here / "workflows").exists()


def test_files_that_are_not_in_the_way_stay(here: Path) -> None:
    (here / "workflows").mkdir()
    (here / "workflows" / "other.py").write_text("kept")
    assert app.main(["init"]) == 0
    assert (here / "workflows" / "other.py").read_text() == "kept"


def test_a_failed_write_leaves_nothing_behind(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("")
    assert app.main(["init", "file"]) == 2
    assert app.main(["init", "file/inner"]) == 2
    assert files(here) == {"file"}


def test_an_unknown_template_gets_a_suggestion(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["init", "--template", "aproval"]) == 2
    assert "did you mean approval?" in capsys.readouterr().err
    assert not any(here.iterdir())


def test_the_home_folder_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["init", "home"]) == 2
    assert "home folder" in capsys.readouterr().err


def test_leftovers_in_a_template_are_not_copied(here: Path) -> None:
    plan = plan_project(here / "x", "hello")
    assert not [path for path, _ in plan.files if "__pycache__" in path.parts or path.suffix == ".tmpl"]
    assert template_folder("hello").is_dir()


@pytest.mark.parametrize(("folder", "name"), [("My Shop!", "my-shop"), ("日本", "polos-project"), ("a_b", "a-b")])
def test_a_folder_gives_a_valid_project_name(folder: str, name: str) -> None:
    assert project_name(Path("/x") / folder) == name
