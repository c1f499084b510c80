"""What leaves the command line: safe text, tables, errors and exit codes."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from polos import errors as tree
from polos_cli import app, errors
from polos_cli.output import stderr, stdout, style, tables
from polos_cli.output.sanitize import Clean, clip, join, json_safe, pad, sanitize, width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")
    return Terminal()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\x00b\x7fc\x9b31m", "a\\x00b\\x7fc\\x9b31m"),
        ("user\u202egnp.exe\u2066", "user\\u202egnp.exe\\u2066"),
        ("pay\u200bpal\ufeff\u00ad", "pay\\u200bpal\\ufeff\\xad"),
        ("a\tb\r\nc", "a    b\\r\\nc"),
        ("\ud800\u2028\U000e0041", "\\ud800\\u2028\\U000e0041"),
        ("naïve 日本 Ελλ ok", "naïve 日本 Ελλ ok"),
        ("👩\u200d👧 👩🏽\u200d🚀 x\u200dy", "👩\u200d👧 👩🏽\u200d🚀 x\\u200dy"),
        ("[bold]not markup[/]", "[bold]not markup[/]"),
    ],
)
def test_what_steers_or_hides_is_spelled_out(text: str, shown: str) -> None:
    assert sanitize(text) == shown
    assert sanitize(sanitize(text)) == shown


def test_line_ends_stay_only_where_lines_are_wanted() -> None:
    assert sanitize("a\r\nb\n\rc", multiline=True) == "a\nb\n\\rc"


def test_joining_sanitizes_only_what_is_not_clean() -> None:
    assert join([Clean("\x1b[1mok\x1b[0m"), "\x1b"], " ") == "\x1b[1mok\x1b[0m \\x1b"


def test_widths_count_columns() -> None:
    assert width("日本e\u0301") == 5
    assert clip("日本語です", 6) == "日本…"
    assert clip("abc", 3) == "abc"
    assert pad("日", 4) == "日  "
    assert pad("7", 3, right=True) == "  7"


@pytest.mark.parametrize(
    "value", ["\x9b\u202e\x7f\U000e0041", 2**80, {"a": [1, None, "é\x1b"]}, Path("/x"), "\u2028\n\t"]
)
def test_json_decodes_to_the_same_without_a_harmful_sign(value: object) -> None:
    text = stdout.to_json(value)
    assert json.loads(text) == (str(value) if isinstance(value, Path) else value)
    assert sanitize(str(text)) == text
    assert json_safe(text) == text


def test_a_document_is_one_line_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    stdout.document({"a": [1, 2]})
    assert capsys.readouterr().out == '{"a":[1,2]}\n'


def test_data_is_sanitized_and_written_whatever_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline=""))
    stdout.data("é\x1b\nb")
    assert raw.getvalue() == b"\\xe9\\x1b\nb\n"


def test_a_reader_that_left_ends_the_command_quietly() -> None:
    code = "from polos_cli.output import stdout\nwhile True: stdout.line({'a': 'x' * 1000})\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_no_colour_without_a_terminal_or_against_the_wish(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert style.paint("x", "red", terminal) == "\x1b[31mx\x1b[0m"
    assert style.paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert style.paint("x", "red", terminal) == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert style.paint("x", "red", terminal) == "x"


def test_every_state_has_a_word_and_a_sign_in_any_encoding(terminal: Terminal) -> None:
    from polos.core.model import Outcome
    from polos.core.status import Status

    for state in (*Status, *Outcome):
        assert state in style.LOOKS
        assert style.word(state) in style.status_text(state, terminal)
        assert style.glyph(state, Terminal("ascii")).isascii()


def test_a_piped_table_is_tab_separated_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    tables.table(["number", "status"], [["1", tables.status_cell("failed")], ["2", "a\tb\x1b"]])
    assert capsys.readouterr().out == "1\tfailed\n2\ta    b\\x1b\n"


def test_a_table_on_a_terminal_is_aligned_and_fits(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    columns: list[str | tables.Column] = [
        tables.Column(head="no", right=True, fits=False),
        "status",
        "workflow",
    ]
    tables.table(columns, [["1", tables.status_cell("completed"), "日本" * 20], ["1234", "x", "w"]])
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "  NO  STATUS       WORKFLOW"
    assert lines[1].startswith("   1  ✓ completed  日本日本") and lines[1].endswith("…")
    assert lines[2] == "1234  x            w"
    assert all(width(line) <= 40 for line in lines)


def test_live_lines_are_rewritten_in_place(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    with stderr.Live() as live:
        live.update(["a\x1b", "b"])
        live.update(["c"])
    assert terminal.getvalue() == "a\\x1b\nb\n\x1b[2F\x1b[0Jc\n\x1b[1F\x1b[0Jc\n"


def test_live_lines_elsewhere_are_said_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with stderr.Live() as live:
        live.update(["a"])
        live.update(["b", "c"])
    assert capsys.readouterr().err == "b\nc\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tree.UsageError("x"), 2),
        (tree.InvalidInput("x"), 2),
        (tree.NoProject("x"), 2),
        (tree.UnknownWorkflow("x"), 3),
        (tree.UnknownExecution("x"), 3),
        (tree.ExecutionFailed("x"), 1),
        (tree.StepExecutionError("x"), 1),
        (tree.ExecutionCancelled("x"), 4),
        (tree.ResultTimeout("x"), 5),
        (tree.Diverged("x"), 6),
        (tree.NoEngine("x"), 7),
        (tree.DatabaseInUse("x"), 7),
    ],
)
def test_exit_codes(error: tree.PolosError, code: int) -> None:
    assert errors.exit_code(error) == code


def test_an_error_says_what_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    error = tree.InvalidInput(
        "input for \x1b is not valid",
        hint="polos run x a=1",
        errors=(("a", "missing"), ("long", "not a number")),
    )
    assert errors.report(error) == 2
    assert capsys.readouterr() == (
        "",
        "error[POLOS103]: input for \\x1b is not valid\n"
        "  why:  a     missing\n"
        "        long  not a number\n"
        "  fix:  polos run x a=1\n",
    )


def test_an_error_as_json_is_one_document_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(tree.UnknownWorkflow("no x", hint="y"), as_json=True) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {"error": {"code": "POLOS102", "message": "no x", "hint": "y", "exit_code": 3}}


def test_help_lists_the_commands_without_importing_them() -> None:
    code = (
        "import sys; from polos_cli.app import main; code = main(['--help'])\n"
        "heavy = {'rich', 'pydantic', 'asyncio', 'sqlite3', 'orjson', 'polos_cli.commands.init'}\n"
        "print(sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "init " in done.stdout and "version " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_whose_module_is_missing_breaks_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**app.COMMANDS, "gone": ("polos_cli.commands.gone", "Is not there.")}
    monkeypatch.setattr(app, "COMMANDS", table)
    assert app.main(["--help"]) == 0
    assert "gone" not in capsys.readouterr().out
    assert app.main(["gone"]) == 2


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["versoin"]) == 2
    assert "did you mean version?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["version", "--bogus"], ["--bogus"], ["version", "one"]])
def test_a_wrong_option_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and "--help" in err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (tree.ResultTimeout("too slow"), 5, "error[POLOS308]: too slow"),
        (KeyboardInterrupt(), 130, ""),
        (PermissionError(13, "Permission denied", "/x"), 7, "Permission denied: /x"),
        (ZeroDivisionError("oops"), 70, "this is a bug in polos"),
    ],
)
def test_what_a_command_raises_becomes_an_exit_code(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def command() -> None:
        raise raised

    import polos_cli.commands.version

    monkeypatch.setattr(polos_cli.commands.version, "command", command)
    assert app.main(["version"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert ("Traceback" in err) is (code == 70)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("polos ")
    assert app.main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "version"


def test_help_on_a_terminal_works_too() -> None:
    main_end, its_end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "polos_cli", "--help"], stdout=its_end, stderr=its_end, timeout=30, check=False
    )
    shown = os.read(main_end, 65536)
    os.close(main_end)
    os.close(its_end)
    assert done.returncode == 0 and b"version" in shown
