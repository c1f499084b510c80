"""The rules of the house that can be checked: imports, sizes, statements, errors, names (architecture.md)."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import polos
from polos import errors
from polos.core.status import TRANSITIONS, Status
from polos.store.sql.statements import statements

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path for name in ("polos", "polos_cli") for path in (ROOT / name).rglob("*.py"))
EXCEPTIONS = ROOT / "docs" / "internals" / "exceptions.md"
ROOM_LIMIT = 350
FUNCTION_LIMIT = 60


def python(program: str) -> str:
    """Runs a program in a fresh interpreter and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(program: str) -> set[str]:
    return set(python(program + "\nimport sys; print('\\n'.join(sys.modules))").split())


def test_the_contracts_of_the_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


HEAVY = {"pydantic", "aiosqlite", "sqlite3", "_sqlite3", "typer", "rich", "click", "textual", "croniter", "polos_cli"}


def test_importing_polos_and_declaring_a_workflow_stays_light() -> None:
    modules = loaded_by(
        "import polos\nfrom polos import WorkflowContext, workflow\n"
        "@workflow\nasync def order(ctx: WorkflowContext, input: dict) -> dict: ..."
    )
    assert HEAVY.isdisjoint(modules), sorted(HEAVY & modules)
    assert not [name for name in modules if name.startswith(("polos.worker", "polos.store.sqlite", "polos.local"))]


def test_help_loads_no_engine() -> None:
    modules = loaded_by("from polos_cli import app\nassert app.main(['--help']) == 0")
    rooms = [
        name for name in modules if name.startswith(("polos.worker", "polos.store", "polos.local", "polos.client"))
    ]
    assert rooms == []
    assert {"pydantic", "sqlite3", "aiosqlite"}.isdisjoint(modules)


@pytest.mark.parametrize("command", ["ps", "show", "events", "logs"])
def test_commands_that_only_read_load_no_worker(command: str) -> None:
    modules = loaded_by(f"import polos_cli.commands.{command}")
    assert not [name for name in modules if name.startswith(("polos.worker", "polos.local", "polos.engine"))]


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────────


def excepted() -> str:
    return EXCEPTIONS.read_text(encoding="utf-8") if EXCEPTIONS.exists() else ""


def test_rooms_are_small_or_their_size_has_a_reason() -> None:
    large = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in ROOMS
        if len(path.read_text(encoding="utf-8").splitlines()) > ROOM_LIMIT
    }
    listed = excepted()
    assert {name: size for name, size in large.items() if name not in listed} == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_functions_are_small_or_their_size_has_a_reason() -> None:
    listed = excepted()
    large = {
        f"{path.relative_to(ROOT)}:{name}": size
        for path in ROOMS
        for name, size in functions(path)
        if size > FUNCTION_LIMIT
    }
    assert {name: size for name, size in large.items() if name not in listed} == {}


def test_no_exception_outlives_its_reason() -> None:
    for name in re.findall(r"`(polos(?:_cli)?/[\w/]+\.py)(?::(\w+))?`", excepted()):
        path = ROOT / name[0]
        assert path.exists(), name
        if name[1]:
            assert name[1] in dict(functions(path)), name


def test_every_room_says_first_what_it_is() -> None:
    without = [
        str(path.relative_to(ROOT)) for path in ROOMS if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert without == []


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────


def strings(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def sources() -> Iterator[tuple[Path, ast.AST]]:
    for path in (ROOT / "polos" / "store").rglob("*.py"):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_every_statement_is_used() -> None:
    used = set().union(*(strings(tree) for _, tree in sources()))
    assert set(statements()) - used == set()


def test_every_statement_that_a_transaction_yields_exists() -> None:
    unknown = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
                first = node.value.elts[0]
                if isinstance(first, ast.Constant) and first.value not in statements():
                    unknown.append(f"{path.name}:{node.lineno} {first.value}")
    assert unknown == []


def test_statements_name_only_the_parameters_they_are_given() -> None:
    """A dict written beside the name of its statement has exactly the statement's parameters."""
    wrong = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)):
                continue
            name, params = node.value.elts
            if not (isinstance(name, ast.Constant) and isinstance(params, ast.Dict)) or None in params.keys:
                continue  # a dict that takes another one in cannot be read here
            given = {key.value for key in params.keys if isinstance(key, ast.Constant)}
            wanted = set(re.findall(r"(?<!:):(\w+)", statements()[name.value]))
            if not wanted <= given:
                wrong.append(f"{path.name}:{node.lineno} {name.value}: {sorted(wanted - given)}")
    assert wrong == []


def test_no_sql_stands_in_code_that_has_a_place_for_it() -> None:
    writes = re.compile(r"\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")
    # The table of migrations itself, before any statement can run; and whole tables, copied as they are.
    allowed = {"polos/store/sqlite/opening.py", "polos/store/sqlite/bundling.py"}
    found = [
        str(path.relative_to(ROOT))
        for path in ROOMS
        if str(path.relative_to(ROOT)) not in allowed
        and any(writes.search(text) for text in strings(ast.parse(path.read_text())))
    ]
    assert found == []


def test_a_status_is_written_only_as_a_transition_of_the_table_says() -> None:
    """SQL names statuses in conditions only; what is written comes as a parameter."""
    for name, text in statements().items():
        for written in re.findall(r"\bSET\b(.*?)(?:\bWHERE\b|\bRETURNING\b|$)", text, re.DOTALL):
            for status in Status:
                assert f"'{status.value}'" not in written, f"{name} writes {status.value}"
    params = {"status", "running", "queued", "asleep", "awake"}
    stray = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)):
                continue
            name, given = node.value.elts
            if not (isinstance(name, ast.Constant) and isinstance(given, ast.Dict)):
                continue
            for key, value in zip(given.keys, given.values, strict=True):
                if (
                    isinstance(key, ast.Constant)
                    and key.value in params
                    and isinstance(value, ast.Constant)
                    and value.value
                ):
                    stray.append(f"{path.name}:{node.lineno} {key.value}={value.value!r}")
    assert stray == []


def test_every_status_can_be_reached_and_terminal_ones_cannot_be_left() -> None:
    from polos.core.status import TERMINAL, Change

    assert set(TRANSITIONS.values()) | {Status.QUEUED} == set(Status)
    assert {change for before, change in TRANSITIONS if before in TERMINAL} == {Change.RETRY}  # S9.3


# ── errors and names ─────────────────────────────────────────────────────────────────────────────────────


def error_classes() -> list[type[errors.PolosError]]:
    return [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.PolosError)
    ]  # fmt: skip


def test_every_error_has_a_code_of_its_own() -> None:
    codes = {kind: kind.__dict__.get("code") for kind in error_classes()}
    assert [kind for kind, code in codes.items() if code is None] == []
    assert len(set(codes.values())) == len(codes)
    assert all(re.fullmatch(r"POLOS\d{3}", str(code)) for code in codes.values())


def test_every_error_stands_in_the_drawn_tree_under_its_branch() -> None:
    assert errors.__doc__ is not None
    branches = {
        "POLOS1": errors.UsageError, "POLOS2": errors.WorkflowError, "POLOS3": errors.EngineError,
    }  # fmt: skip
    for kind in error_classes():
        assert re.search(rf"\b{kind.__name__}\b", errors.__doc__), kind
        if kind is not errors.PolosError:
            assert issubclass(kind, branches[kind.code[:6]]), kind
    drawn = set(re.findall(r"\b[A-Z]\w+(?:Error|ed|Key|Workflow|Execution|Input|Conflict|Project|Large|Value|Result|Step"
                           r"|Mismatch|Record|Lost|Engine|Unavailable|InUse|Timeout)\b", errors.__doc__))  # fmt: skip
    assert drawn <= {kind.__name__ for kind in error_classes()}


def test_errors_are_raised_by_no_other_room() -> None:
    stray = []
    for path in ROOMS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and any("PolosError" in ast.unparse(base) for base in node.bases):
                stray.append((path.name, node.name))
    assert {name for name, _ in stray} <= {"errors.py"}


def test_every_public_name_can_be_imported_and_is_documented() -> None:
    for name in polos.__all__:
        value = getattr(polos, name)
        assert inspect.getdoc(value), name
    assert len(set(polos.__all__)) == len(polos.__all__)
    assert set(polos.__all__) <= set(dir(polos))
    with pytest.raises(AttributeError):
        polos.no_such_name


def test_every_public_name_is_there_for_type_checkers_too() -> None:
    tree = ast.parse((ROOT / "polos" / "__init__.py").read_text("utf-8"))
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(polos.__all__) <= typed


def test_the_real_clock_and_chance_are_read_in_one_room() -> None:
    """What ruff's ban cannot see: names imported from the banned modules."""
    banned = {"time": {"time", "time_ns", "monotonic"}, "random": None, "secrets": None}
    stray = []
    for path in ROOMS:
        if path.name == "clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in banned:
                stray.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.Import) and any(alias.name in ("random", "secrets") for alias in node.names):
                stray.append(f"{path.name}:{node.lineno}")
    assert stray == []
