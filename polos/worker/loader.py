"""Imports a project's workflow modules (R3: nobody else imports user code). Starts nothing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from polos.authoring.registry import REGISTRY, Registry, unknown
from polos.authoring.workflow import Workflow
from polos.errors import DuplicateWorkflow, LoadError, PolosError, UnknownWorkflow
from polos.worker.frames import is_ours
from polos.worker.sources import FOREIGN, compile_from_source

_SKIPPED = FOREIGN | {"tests"}


def load_modules(root: Path, modules: Sequence[str], broken: list[LoadError] | None = None) -> Registry:
    """Imports modules, packages recursively, and returns the workflows that are declared then.

    Args:
        root: the project's folder; it goes to the front of ``sys.path``.
        modules: names (``shop.flows``), folders or files relative to `root`.
        broken: is given the errors of modules that raised at their import, and the others are imported; None: the first
            such error ends it.

    Raises:
        LoadError: a module is missing, or raised at its import.
        DuplicateWorkflow: two workflows have one id.
    """
    _put_on_path(root)
    for name in [found for module in modules for found in _names(root, module)]:
        try:
            _import(name, root)
        except LoadError as error:
            if broken is None:
                raise
            broken.append(error)
    if broken:
        _forget_half()
    return REGISTRY


def _forget_half() -> None:
    """Forgets workflows of modules that raised further down: what they use may not be there."""
    for workflow in REGISTRY:
        if workflow.fn.__module__ not in sys.modules:
            REGISTRY.discard(workflow)


def load_file(path: Path, name: str) -> Workflow:
    """Imports one file and returns its workflow of that id or variable name.

    Raises:
        LoadError: the file is missing, or raised at its import.
        UnknownWorkflow: it declares no such workflow.
    """
    declared = _declared(path)
    module = sys.modules[path.stem]
    found = getattr(module, name, None)
    if isinstance(found, Workflow):
        return found
    for workflow in declared:
        if workflow.id == name:
            return workflow
    raise unknown(name, [workflow.id for workflow in declared])


def _declared(path: Path) -> list[Workflow]:
    if not path.is_file():
        raise LoadError(f"there is no file {path}", hint="write file.py:workflow")
    _put_on_path(path.resolve().parent)
    module = _import(path.stem, path.parent)
    found = [value for value in vars(module).values() if isinstance(value, Workflow)]
    return list({workflow.id: workflow for workflow in found}.values())


def load_only(path: Path) -> Workflow:
    """Imports one file and returns its workflow, where it has just one. Raises as `load_file`, or that it has several."""
    declared = _declared(path)
    if len(declared) == 1:
        return declared[0]
    names = ", ".join(sorted(workflow.id for workflow in declared)) or "none"
    raise UnknownWorkflow(
        f"which workflow of {path}? it has {names}",
        hint=f"name it: {path}:{declared[0].id}" if declared else "declare one with @workflow",
    )


def files_of(root: Path, module: str) -> Path | None:
    """Returns the file or the folder of a module, a package or a path below the project's folder; None: it is not there."""
    inner = root.joinpath(*module.split("."))
    return next((one for one in (root / module, inner, inner.with_suffix(".py")) if one.exists()), None)


def _put_on_path(folder: Path) -> None:
    text = str(folder.resolve())
    compile_from_source(folder)
    if text not in sys.path:
        sys.path.insert(0, text)


def _names(root: Path, module: str) -> Iterator[str]:
    path = root / module
    if path.is_file():
        yield ".".join(path.relative_to(root).with_suffix("").parts)
    elif path.is_dir():
        for file in sorted(path.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if _SKIPPED.isdisjoint(parts) and not any(part.startswith(".") for part in parts):
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    elif module.endswith((".py", "/")) or "/" in module:
        raise LoadError(
            f"there is no {module} in {root}",
            hint="name your workflow modules in [tool.polos] modules = [...], or make it",
        )
    else:
        yield module
        spec = importlib.util.find_spec(module)
        for place in spec.submodule_search_locations or () if spec else ():
            for file in sorted(Path(place).rglob("*.py")):
                parts = file.relative_to(place).with_suffix("").parts
                if parts[-1] != "__init__" and _SKIPPED.isdisjoint(parts):
                    yield ".".join((module, *parts))


def _import(name: str, root: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (DuplicateWorkflow, LoadError):
        raise  # of two workflows with one id nobody can tell which is meant
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
        lines = traceback.format_list(frames) + traceback.format_exception_only(type(error), error)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        said = error.message if isinstance(error, PolosError) else f"{type(error).__name__}: {error}"
        raise LoadError(
            f"{name} could not be imported: {said}{where}",
            hint=error.hint if isinstance(error, PolosError) else "mend it and try again; nothing was started",
            traceback_text="".join(lines),
        ) from error


def _is_users(filename: str) -> bool:
    return not (is_ours(filename) or filename.startswith("<frozen") or "importlib" in filename)


def find_workflow(registry: Registry, workflow_id: str) -> Workflow:
    """Returns a workflow by its id. Raises `UnknownWorkflow` with what may have been meant."""
    found = registry.get(workflow_id)
    if found is None:
        raise unknown(workflow_id, [workflow.id for workflow in registry])
    return found
