"""A project's workflows, imported in this process. Opens no database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from polos.authoring.registry import REGISTRY, Registry
from polos.authoring.workflow import Workflow
from polos.errors import LoadError, NoProject
from polos.settings import Settings, load_env_file
from polos.worker.loader import files_of, find_workflow, load_file, load_modules, load_only

Broken: TypeAlias = Callable[[LoadError], None]


def load_project(settings: Settings) -> Registry:
    """Imports the project's modules, and returns what they declare. Raises `LoadError`."""
    if settings.project_root is None:
        return REGISTRY
    return load_modules(settings.project_root, settings.modules)


def load_if_there(settings: Settings, on_broken: Broken | None = None) -> Registry:
    """Imports the project's modules as far as there are any: a folder with a database alone has none.

    Args:
        on_broken: hears of each module that could not be imported; None: such a one ends it.

    Raises:
        LoadError: a module could not be imported.
    """
    root = settings.project_root
    if root is None or not any(files_of(root, module) for module in settings.modules):
        return REGISTRY
    broken: list[LoadError] | None = None if on_broken is None else []
    registry = load_modules(root, settings.modules, broken)
    for error in broken or ():
        assert on_broken is not None
        on_broken(error)
    return registry


def load_environment(settings: Settings) -> list[str]:
    """Sets the variables of the project's ``.env`` that are not set yet, and returns their names."""
    if settings.env_file is None or not settings.env_file.is_file():
        return []
    new = {name: value for name, value in load_env_file(settings.env_file).items() if name not in os.environ}
    os.environ.update(new)
    return sorted(new)


def workflow_named(settings: Settings, name: str, on_broken: Broken | None = None) -> Workflow:
    """Returns the workflow that people call `name`: its id, ``file.py:name``, or ``file.py`` where that has just one.

    Args:
        on_broken: hears of each module that could not be imported, where the workflow is in another one; None: such a one
            ends it.

    Raises:
        LoadError: modules could not be imported, and the others have no such workflow.
        UnknownWorkflow: no workflow is called that.
        NoProject: an id is given, and there is no project.
    """
    file, colon, variable = name.rpartition(":")
    if colon and file.endswith(".py"):
        return load_file(Path(file), variable)
    if name.endswith(".py"):
        return load_only(Path(name))
    if settings.project_root is None:
        raise NoProject(
            f"there is no polos project here or in a folder above, so {name!r} cannot be found",
            hint="start one: polos init; or name the file: polos run FILE.py:WORKFLOW",
        )
    broken: list[LoadError] = []
    registry = load_modules(settings.project_root, settings.modules, broken)
    if broken and (on_broken is None or registry.get(name) is None):
        raise broken[0]
    for error in broken:
        assert on_broken is not None
        on_broken(error)
    return find_workflow(registry, name)
