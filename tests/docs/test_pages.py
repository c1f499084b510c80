"""The README and the pages of docs/: their runnable blocks run, and what they say of commands, codes and rooms is so.

A ```python block after the comment ``<!-- run -->`` is run; the blocks of a page share one namespace. A comment
``<!-- check … -->`` after it holds lines that are run too, but not shown. Both have `result(workflow, payload)`.
"""

import asyncio
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polos import Polos, errors
from polos.authoring.registry import REGISTRY
from polos_cli import errors as cli_errors
from polos_cli.app import COMMANDS, load_command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = re.compile(r"<!-- run -->\n```python\n(.*?)```|<!-- check\n(.*?)-->", re.DOTALL)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
LATER = re.compile(r"^## What comes next$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[tuple[int, str]]:
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(1) if found.group(1) else found.start(2)), found.group(1) or found.group(2))
        for found in RUNNABLE.finditer(text)
    ]


def commands_of(page: Path) -> Iterator[tuple[str, str]]:
    """Yields each ``polos …`` of a page's code: the command and what follows it on the line."""
    text = LATER.sub("", page.read_text(encoding="utf-8"))
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for language, body in fenced if language != "python" for line in body.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines:
        for found in re.finditer(r"(?:^|\$ |&& |\| )polos (\S+)([^|#\n]*)", line.strip()):
            yield found.group(1), re.sub(r"'[^']*'", "", found.group(2))


def options_of(command: str) -> set[str]:
    return {name for parameter in load_command(command).params for name in parameter.opts} | {"--help", "-h"}


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A module of its own in a folder of its own; what it declares is forgotten afterwards."""
    module = types.ModuleType("page_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLOS_URL", raising=False)
    monkeypatch.setenv("POLOS_DURABILITY", "relaxed")  # what the pages show does not depend on it; a busy disk would
    known = dict(REGISTRY._by_id)
    REGISTRY._by_id.clear()

    def result(workflow: Any, payload: Any = None, **options: Any) -> Any:
        async def run() -> Any:
            async with Polos(f"sqlite:///{tmp_path}/page.db", echo=False) as polos:
                return await workflow.run(polos, payload, timeout=20, **options)

        return asyncio.run(run())

    module.__dict__.update(result=result, asyncio=asyncio)
    yield module.__dict__
    REGISTRY._by_id.clear()
    REGISTRY._by_id.update(known)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.name)
def test_runnable_blocks_run_as_they_stand(page: Path, namespace: dict[str, Any]) -> None:
    for line, block in blocks_of(page):
        exec(compile("\n" * line + block, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_named_exists_with_its_options(page: Path) -> None:
    for command, rest in commands_of(page):
        if command.startswith("-"):
            assert command in {"--help", "-h", "--version"}, f"polos {command}"
            continue
        if not re.fullmatch(r"[a-z][a-z-]*", command):
            continue  # a placeholder such as COMMAND or …
        assert command in COMMANDS, f"polos {command}{rest}"
        used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest))
        assert used <= options_of(command), f"polos {command}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_page_names_a_path_of_one_machine(page: Path) -> None:
    assert not re.findall(r"(?:/home/|/root/|/Users/|/work/)\S+", page.read_text(encoding="utf-8"))


def test_the_reference_has_every_command_with_every_option() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### polos ([a-z-]+)$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert sections.keys() == COMMANDS.keys()
    for command, section in sections.items():
        missing = {name for name in options_of(command) if name.startswith("--") and f"`{name}" not in section}
        assert missing <= {"--help"}, f"polos {command}: {missing}"


def test_the_reference_has_every_error_with_its_code_and_exit_code() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `(POLOS\d+)` \| `(\w+)` \| (\d+) \|", text, re.MULTILINE))
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PolosError)]
    so = {(kind.code, kind.__name__, str(_exit_code(kind))) for kind in classes}
    assert written == so
    assert len({code for code, _, _ in so}) == len(classes), "a code is used twice"


def _exit_code(kind: type[errors.PolosError]) -> int:
    return cli_errors.exit_code(kind.__new__(kind))


def test_the_exit_codes_of_the_reference_are_those_of_the_command_line() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert written == {value for name, value in vars(cli_errors).items() if name.isupper() and isinstance(value, int)}


def test_the_layers_of_the_page_are_those_that_the_linter_checks() -> None:
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = (ROOT / "docs/internals/architecture.md").read_text(encoding="utf-8")
    drawn = re.search(r"```layers\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    assert [line.partition("  ")[0].strip() for line in drawn.group(1).splitlines()] == layers


def test_every_room_above_the_measure_has_its_reason() -> None:
    text = (ROOT / "docs/internals/exceptions.md").read_text(encoding="utf-8")
    rooms = [path for package in ("polos", "polos_cli") for path in (ROOT / package).rglob("*.py")]
    large = {str(room.relative_to(ROOT)) for room in rooms if len(room.read_text(encoding="utf-8").splitlines()) > 350}
    assert large <= set(re.findall(r"`(polos\S*\.py)`", text))


def test_the_promise_stands_word_for_word_where_people_look_for_it() -> None:
    promise = "outcomes are recorded exactly once; step bodies run at least once, and never again once their outcome is recorded."
    for name in ("README.md", "docs/concepts/durability.md"):
        words = " ".join((ROOT / name).read_text(encoding="utf-8").replace(">", " ").split()).replace("**", "")
        assert promise in words, name
