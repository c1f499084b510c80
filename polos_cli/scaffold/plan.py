"""What `polos init` will write, and the writing. Overwrites nothing: a conflict refuses the whole plan."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from polos.errors import UsageError
from polos_cli.scaffold.find import template_folder
from polos_cli.scaffold.render import project_name, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A project to be written.

    Attributes:
        folder: where, absolute.
        template: of what.
        files: the path in the folder and the text of each file.
    """

    folder: Path
    template: str
    files: tuple[tuple[PurePosixPath, str], ...]

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The paths that are in the way: files that exist, and files where a folder must be."""
        return tuple(sorted({str(way) for path, _ in self.files for way in self._in_the_way(path)}))

    def _in_the_way(self, path: PurePosixPath) -> list[PurePosixPath]:
        # lexists: a dangling link is somebody's too.
        found = [path] if os.path.lexists(self.folder / path) else []
        return found + [p for p in path.parents if self._is_no_folder(self.folder / p)]

    @staticmethod
    def _is_no_folder(place: Path) -> bool:
        return os.path.lexists(place) and not place.is_dir()


def plan_project(folder: Path, template: str) -> Plan:
    """Returns the plan of a new project in `folder`, which need not exist.

    Raises:
        UsageError: there is no such template, or the folder is the home folder, which is never a project.
    """
    target = folder.expanduser().absolute()
    if target.resolve() == Path.home().resolve():
        raise UsageError("the home folder cannot be a project", hint="name a folder in it: polos init DIR")
    files = tuple(render(template_folder(template), project_name(target)))
    return Plan(folder=target, template=template, files=files)


def write_project(plan: Plan) -> None:
    """Writes the planned files, all or none of them.

    Raises:
        UsageError: something is in the way, or the folder cannot be written; nothing was written.
    """
    conflicts = plan.conflicts
    if conflicts:
        raise UsageError(
            "\n".join([f"nothing was written: {plan.folder} has these already", *conflicts]),
            hint="name another folder: polos init DIR",
        )
    written: list[Path] = []
    try:
        for path, text in plan.files:
            place = plan.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x", encoding="utf-8", newline="\n") as file:
                written.append(place)
                file.write(text)
    except OSError as error:
        for place in written:
            place.unlink(missing_ok=True)
        raise UsageError(
            f"cannot write {error.filename or plan.folder}: {error.strerror}",
            hint="name a folder that you may write to: polos init DIR",
        ) from error
