"""A project's settings: flags over `POLOS_*` over the settings file over defaults. Runs no user code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polos.errors import NoProject, UsageError
from polos.settings.envfile import load_env_file
from polos.settings.files import STATE_FOLDER, file_settings, is_project
from polos.settings.readers import READERS, Durability, Given, refuse_unknown
from polos.settings.urls import database_path, database_url

__all__ = [
    "STATE_FOLDER",
    "Durability",
    "Settings",
    "database_path",
    "database_url",
    "find_project",
    "load_env_file",
    "load_settings",
    "make_project",
]

DEFAULT_PORT = 4747
DEFAULT_LEASE_SECONDS = 30.0

ENVIRONMENT: Mapping[str, str] = {
    "database": "POLOS_URL",
    "durability": "POLOS_DURABILITY",
    "port": "POLOS_PORT",
    "lease_seconds": "POLOS_LEASE_SECONDS",
    "token": "POLOS_TOKEN",
    "public_url": "POLOS_PUBLIC_URL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for one project, or for a folder without one.

    Attributes:
        project_root: the project's folder; None where there is no project.
        name: the project's name: `name` of its settings, else of `[project]`, else the folder's.
        modules: packages and files with workflows, as written, relative to `project_root`.
        database: ``sqlite:///`` and an absolute path, or another url as given; empty when there is no project
            and none was named.
        durability: what an acknowledged write survives (S9.5).
        port: where `polos dev` listens first.
        env_file: the file of variables for the worker; it need not exist.
        lease_seconds: how long a silent worker keeps what it runs (S8.2).
        token: what HTTP callers show; None: none was set.
        public_url: the address at which others reach the API, ``https://host`` or ``http://host:port``; None: its own.
        sources: where each setting that is not a default comes from, in words.
    """

    project_root: Path | None
    name: str
    modules: tuple[str, ...] = ("workflows/",)
    database: str = ""
    durability: Durability = "full"
    port: int = DEFAULT_PORT
    env_file: Path | None = None
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    token: str | None = field(default=None, repr=False)
    public_url: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def database_path(self) -> Path:
        """Returns the database's file.

        Raises:
            NoProject: there is no project here and no database was named.
            UsageError: the database is not a SQLite file.
        """
        if not self.database:
            raise NoProject(
                "there is no polos project here or in a folder above",
                hint="start one with `polos init`, change into one, or name a database in POLOS_URL",
            )
        return database_path(self.database)

    def environment(self) -> dict[str, str]:
        """Returns the variables of `env_file`; none if it is absent and was not asked for by name."""
        if self.env_file is None or not ("env_file" in self.sources or self.env_file.is_file()):
            return {}
        return load_env_file(self.env_file)


def find_project(start: Path) -> Path | None:
    """Returns the nearest folder from `start` upwards with `[tool.polos]`, `polos.toml` or `.polos/`.

    The home folder is never a project: a stray `~/.polos` would own everything below it.

    Raises:
        UsageError: a settings file on the way cannot be read.
    """
    home = _home()
    here = start.absolute()
    for folder in (here, *here.parents):
        if folder != home and is_project(folder):
            return folder
    return None


def load_settings(start: Path | None = None, overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Returns the settings that hold in `start`, by default the current folder.

    Args:
        start: where the search for the project begins.
        overrides: settings by key as a command line has them; None values do not count. A relative path in
            one, or in the environment, starts in the current folder, one in a file in the project.

    Raises:
        UsageError: a value or key is wrong; it names the place, the key, the value and what is allowed.
    """
    return _settings_of(find_project(start or Path.cwd()), overrides or {})


def make_project(folder: Path, overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Makes `.polos/` (0700, ignored by git) in `folder` if need be; returns the folder's settings."""
    state = folder.absolute() / STATE_FOLDER
    if not state.is_dir():
        try:
            state.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise UsageError(
                f"cannot make {state}: {error.strerror}",
                hint="run polos where you may write, or name a database in POLOS_URL",
            ) from error
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return _settings_of(folder.absolute(), overrides or {})


def _settings_of(root: Path | None, overrides: Mapping[str, str | None]) -> Settings:
    cwd = Path.cwd()
    table, place, name = file_settings(root) if root else ({}, "", "")
    given = {key: Given(value, place, root or cwd) for key, value in table.items()}
    for key, variable in ENVIRONMENT.items():
        if text := os.environ.get(variable, ""):
            given[key] = Given(text, variable, cwd)
    for key, flag in overrides.items():
        if flag is not None:
            given[key] = Given(flag, "the command line", cwd)
    refuse_unknown(given)
    read = {key: READERS[key](key, value) for key, value in given.items()}
    if root is not None:
        read.setdefault("database", database_url(root / STATE_FOLDER / "polos.db"))
        read.setdefault("env_file", root / ".env")
    read.setdefault("name", name or (root or cwd).name or "polos")
    sources = {key: value.where for key, value in given.items()}
    # The readers have checked every value's type; the keys are those of the dataclass.
    return Settings(project_root=root, sources=sources, **read)  # type: ignore[arg-type]


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
