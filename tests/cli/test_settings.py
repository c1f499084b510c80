"""Settings: which folder is the project, and which of four places decides."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from polos.errors import NoProject, UsageError
from polos.settings import (
    database_path,
    database_url,
    find_project,
    load_env_file,
    load_settings,
    make_project,
)


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a current folder of the test's own, and no variable of the machine's."""
    for name in (
        "POLOS_URL",
        "POLOS_DURABILITY",
        "POLOS_PORT",
        "POLOS_LEASE_SECONDS",
        "POLOS_TOKEN",
        "POLOS_PUBLIC_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def write(project: Path, table: str, name: str = "pyproject.toml") -> None:
    head = "[tool.polos]\n" if name == "pyproject.toml" else ""
    (project / name).write_text(head + table)


def test_the_nearest_folder_upwards_is_the_project(project: Path) -> None:
    write(project, "")
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == project
    (project / "a" / "polos.toml").touch()
    assert find_project(inner) == project / "a"
    (inner / ".polos").mkdir()
    assert find_project(inner) == inner


def test_a_pyproject_of_somebody_else_is_no_project(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["polos-engine"]\n')
    (project / "inner").mkdir()
    (project / "inner" / "pyproject.toml").write_text("not TOML, and not ours")
    assert find_project(project / "inner") is None


def test_the_home_folder_is_never_the_project(tmp_path: Path) -> None:
    inner = tmp_path / "home" / "work"
    inner.mkdir()
    (tmp_path / "home" / ".polos").mkdir()
    assert find_project(inner) is None


def test_defaults(project: Path) -> None:
    write(project, "")
    settings = load_settings(project)
    assert settings.project_root == project
    assert settings.name == "shop"
    assert settings.modules == ("workflows/",)
    assert settings.database_path() == project / ".polos" / "polos.db"
    assert (settings.durability, settings.port, settings.lease_seconds) == ("full", 4747, 30.0)
    assert settings.environment() == {}


def test_flags_win_over_environment_over_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, 'durability = "relaxed"\nport = 1\nlease_seconds = 5')
    monkeypatch.setenv("POLOS_PORT", "2")
    monkeypatch.setenv("POLOS_LEASE_SECONDS", "0.5")
    monkeypatch.setenv("POLOS_DURABILITY", "")
    settings = load_settings(project, {"port": "3", "durability": None})
    assert (settings.port, settings.lease_seconds, settings.durability) == (3, 0.5, "relaxed")
    assert settings.sources["port"] == "the command line"
    assert settings.sources["lease_seconds"] == "POLOS_LEASE_SECONDS"


def test_polos_toml_needs_no_table(project: Path) -> None:
    write(project, 'modules = ["flows", "one.py"]\nname = "till"', "polos.toml")
    settings = load_settings(project)
    assert (settings.name, settings.modules) == ("till", ("flows", "one.py"))


def test_two_settings_files_are_refused(project: Path) -> None:
    write(project, "")
    write(project, "", "polos.toml")
    with pytest.raises(UsageError, match="two places"):
        load_settings(project)


def test_a_relative_database_starts_where_it_was_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, 'database = "sqlite:///data/a.db"')
    assert load_settings(project).database_path() == project / "data" / "a.db"
    write(project, 'database = "data/a.db"')
    assert load_settings(project).database_path() == project / "data" / "a.db"
    monkeypatch.setenv("POLOS_URL", "sqlite:///b.db")
    assert load_settings(project).database == database_url(tmp_path / "home" / "b.db")


def test_an_absolute_database_url_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    assert database_path(f"sqlite:///{path}") == path
    assert database_path(database_url(path)) == path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:secret@db/x", "PostgreSQL is not supported yet: postgresql://ada:\\*\\*\\*@db"),
        ("mysql://x", "not a SQLite file"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_other_databases_are_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        database_path(url)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('durability = "ful"', ["durability", "'ful'", '"full"', "pyproject.toml"]),
        ("port = true", ["port", "True", "65535"]),
        ("port = 70000", ["port", "70000"]),
        ("modules = []", ["modules", "[]"]),
        ("modules = [1]", ["modules", "[1]"]),
        ("lease_seconds = nan", ["lease_seconds", "nan"]),
        ('database = "mysql://x"', ["database", "mysql://x"]),
        ("durabilty = 1", ["durabilty", "did you mean durability?"]),
    ],
)
def test_a_wrong_value_names_place_key_value_and_what_is_allowed(project: Path, line: str, said: list[str]) -> None:
    write(project, line)
    with pytest.raises(UsageError) as caught:
        load_settings(project)
    assert all(part in str(caught.value) for part in said)


def test_a_wrong_variable_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_PORT", "many")
    with pytest.raises(UsageError, match="POLOS_PORT: port cannot be 'many'"):
        load_settings(project)


def test_broken_toml_is_named_with_its_file(project: Path) -> None:
    write(project, "port = ")
    with pytest.raises(UsageError, match=r"pyproject\.toml is not valid TOML"):
        load_settings(project)


def test_without_a_project_there_is_no_database_unless_one_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(project)
    assert settings.project_root is None
    with pytest.raises(NoProject, match="polos init"):
        settings.database_path()
    monkeypatch.setenv("POLOS_URL", f"sqlite:///{project}/x.db")
    assert load_settings(project).database_path() == project / "x.db"


def test_the_token_is_not_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_TOKEN", "s3cret")
    assert "s3cret" not in repr(load_settings(project))


@pytest.mark.parametrize("url", ["https://polos.example.org", "http://h:8080", "HTTPS://H/", "http://[::1]:5"])
def test_the_public_address_is_a_host(project: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("POLOS_PUBLIC_URL", url)
    assert load_settings(project).public_url == url.lower().rstrip("/")


@pytest.mark.parametrize(
    "url", ["polos.example.org", "ftp://h", "https://h/path", "https://u:p@h", "http://h:x", "https://", "http://h?q"]
)
def test_another_public_address_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("POLOS_PUBLIC_URL", url)
    with pytest.raises(UsageError, match="POLOS_PUBLIC_URL: public_url cannot be") as refused:
        load_settings(project)
    assert "https://host" in refused.value.hint


def test_a_made_project_is_private_ignored_and_found(project: Path) -> None:
    made = make_project(project)
    assert stat.S_IMODE((project / ".polos").stat().st_mode) == 0o700
    assert (project / ".polos" / ".gitignore").read_text() == "*\n"
    assert made == make_project(project) == load_settings(project)


def test_env_files_know_quotes_comments_and_export(project: Path) -> None:
    file = project / ".env"
    file.write_text(
        "# a comment\n\nPLAIN=a b # said\nexport KEY = v#1\nSINGLE='a # \\n'\n"
        'DOUBLE="a\\n\\"b\\"" # said\nEMPTY=\nURL=http://x/?a=b\nPLAIN=last\n'
    )
    assert load_env_file(file) == {
        "PLAIN": "last",
        "KEY": "v#1",
        "SINGLE": "a # \\n",
        "DOUBLE": 'a\n"b"',
        "EMPTY": "",
        "URL": "http://x/?a=b",
    }


@pytest.mark.parametrize("line", ["no equals", "1X=2", 'A="open'])
def test_a_wrong_line_of_an_env_file_is_named(project: Path, line: str) -> None:
    (project / ".env").write_text(f"OK=1\n{line}\n")
    with pytest.raises(UsageError, match="line 2"):
        load_env_file(project / ".env")


def test_an_env_file_that_is_named_must_exist(project: Path) -> None:
    write(project, 'env_file = "prod.env"')
    with pytest.raises(UsageError, match=r"prod\.env"):
        load_settings(project).environment()
