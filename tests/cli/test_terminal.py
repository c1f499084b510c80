"""`polos run` on a real pseudo-terminal: it asks, is answered, and goes on."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import shlex
import subprocess
import time
from pathlib import Path

from tests.cli.shell import POLOS, Shell


class Terminal:
    """A command on a pseudo-terminal of 24 rows and 80 columns."""

    def __init__(
        self, shell: Shell, *arguments: str, is_its_own: bool = False, command: list[str] | None = None, **env: str
    ) -> None:
        """`is_its_own`: the terminal that its session has, as a shell gives it; `command`: another one than polos."""
        self._ours, theirs = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command or [*POLOS, *arguments], cwd=shell.folder, env={**shell.env, "TERM": "xterm-256color", **env},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)) if is_its_own else None,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, text: str | None) -> None:
        """Reads until `text` was shown; None: until the end."""
        deadline = time.monotonic() + 30
        while text is None or text not in self.seen:
            ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"never showed {text!r}: {self.seen}")
            try:
                data = os.read(self._ours, 4096)
            except OSError:
                data = b""  # Linux's way to say that the other side has closed
            if not data:
                assert text is None, self.seen
                return
            self.seen += self._decoder.decode(data)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> int:
        """Waits for the end, and returns the exit code."""
        code = self.process.wait(30)
        os.close(self._ours)
        return code

    def hang_up(self) -> int:
        """Takes the terminal away, and returns the exit code."""
        os.close(self._ours)
        return self.process.wait(30)


def test_a_wait_for_a_person_is_asked_right_there_and_goes_on(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    terminal = Terminal(shell, "run", "approval", "amount:=1200")
    terminal.until("item")  # a missing field is asked for
    terminal.type("Laptop\n")
    terminal.until("approve?")
    assert "Buy Laptop for 1200.00 EUR?" in terminal.seen
    terminal.type("perhaps\n")
    terminal.until("write y, n, s")
    terminal.type("y\n")
    terminal.until(None)
    assert terminal.close() == 0
    assert '"approved": true' in terminal.seen and "order of Laptop" in terminal.seen
    assert "\x1b[" in terminal.seen  # live, on a terminal
    assert shell.polos("show", "last", "--json").json["result"]["approved"] is True


FORM = """
from polos import WorkflowContext, workflow

@workflow
async def ask(ctx: WorkflowContext, count: int) -> dict:
    form = {"properties": {"size": {"type": "integer"}, "note": {"type": "string"}}, "required": ["size"]}
    return await ctx.step.suspend("check", {"order": count, "form": form})
"""


def test_a_form_is_asked_field_by_field_until_each_fits(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flow.py").write_text(FORM)
    terminal = Terminal(shell, "run", "flow.py:ask")
    terminal.until("count (integer): ")
    terminal.type("many\n")
    terminal.until("not so: a whole number. count (integer): ")
    terminal.type("7\n")
    terminal.until("size (integer): ")
    terminal.type("\n")
    terminal.until("size: is needed")
    terminal.type("3\n")
    terminal.until("note (string, optional): ")
    terminal.type("\n")
    terminal.until(None)
    assert terminal.close() == 0 and "completed" in terminal.seen
    assert shell.polos("show", "last", "--json").json["result"]["data"] == {"size": 3}


def test_a_background_job_asks_nobody_and_is_not_stopped(tmp_path: Path) -> None:
    """`polos run ... &`: a read would stop it, and with it the database that it owns."""
    shell = Shell(tmp_path)
    (tmp_path / "flow.py").write_text(FORM)
    script = f"set -m; {shlex.join([*POLOS, 'run', 'flow.py:ask', '7'])} & wait"
    terminal = Terminal(shell, is_its_own=True, command=["bash", "-c", script])
    terminal.until("From another terminal: polos resume 1 check")
    answered = shell.polos("resume", "1", '{"size": 4}')
    assert answered.code == 0, answered.err
    terminal.until("completed")
    terminal.close()


def test_an_answer_that_does_not_fit_its_form_is_refused(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flow.py").write_text(FORM)
    assert shell.polos("run", "flow.py:ask", "7", "--timeout", "0.3").code == 5
    for words, said in (
        (['{"approved": true}'], "'size' is needed"), (["size=large"], "'size': a whole number"), (["true"], "an object"),
    ):  # fmt: skip
        refused = shell.polos("resume", "1", "check", *words)
        assert refused.code == 2 and said in refused.err, refused.err
        assert """polos resume 1 check '{"size": 1, "note": "..."}'""" in refused.err
    assert shell.polos("resume", "1", "check", "size=3", "note=4").code == 0
    assert shell.polos("run", "flow.py:ask", "--attach", "1").json["data"] == {"size": 3, "note": "4"}


def test_a_question_left_open_can_be_answered_later(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    terminal = Terminal(shell, "run", "approval", "item=Pen", "amount:=3")
    terminal.until("approve?")
    terminal.type("s\n")
    terminal.until("answer later")
    os.kill(terminal.process.pid, 2)
    terminal.until(None)
    assert terminal.close() == 130
    assert shell.polos("resume", "last", "await_approval", "approved:=false").code == 0
    assert shell.polos("run", "--attach", "last").json == {"approved": False, "reason": None}


def test_a_question_that_is_answered_elsewhere_goes_away(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    terminal = Terminal(shell, "run", "approval", "item=Pen", "amount:=3")
    terminal.until("approve?")
    answered = shell.polos("resume", "last", "await_approval", '{"approved": true}')
    assert answered.code == 0
    terminal.until("answered elsewhere")
    terminal.until(None)
    assert terminal.close() == 0 and "order of Pen" in terminal.seen


def test_the_dev_server_lends_the_terminal_to_the_dashboard(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    terminal = Terminal(shell, "dev", "--port", "0", is_its_own=True)
    terminal.until("d dashboard")
    terminal.type("d")
    terminal.until("\x1b[?1049h")  # the other screen
    terminal.until("no executions yet")
    shell.polos("invoke", "approval", "item=Pen", "amount:=3")
    terminal.until("waiting")
    terminal.seen = ""
    terminal.type("q")
    terminal.until("\x1b[?1049l")
    terminal.until("approval #1")  # what was said meanwhile
    terminal.seen = ""
    terminal.type("p")
    terminal.until("schedules are paused")
    os.kill(terminal.process.pid, 2)
    terminal.until(None)
    assert terminal.close() == 0


def test_the_dashboard_keeps_to_no_color_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    shell.polos("invoke", "approval", "item=Pen", "amount:=3")
    terminal = Terminal(shell, "dashboard", NO_COLOR="1")
    terminal.until("queued")
    terminal.type("q")
    terminal.until(None)
    assert terminal.close() == 0
    styles = {code for found in re.findall(r"\x1b\[([0-9;]+)m", terminal.seen) for code in found.split(";")}
    assert not {code for code in styles if re.fullmatch(r"3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48", code)}, styles
    assert terminal.seen.rindex("\x1b[?1049l") > terminal.seen.rindex("\x1b[?1049h")
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l"), "the cursor is back"


def test_the_dashboard_says_where_it_cannot_be_shown(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".").code == 0
    refused = shell.polos("dashboard")
    assert (
        refused.code == 2 and "needs a terminal that can move its cursor" in refused.err and "polos ps" in refused.err
    )
    terminal = Terminal(shell, "dashboard", TERM="dumb")
    terminal.until("needs a terminal that can move its cursor")
    terminal.until(None)
    assert terminal.close() == 2 and "\x1b[" not in terminal.seen
    wrong = Terminal(shell, "dashboard", "--theme", "pink")
    wrong.until("there is no theme 'pink'")
    wrong.until(None)
    assert wrong.close() == 2


def test_the_dashboard_ends_when_its_terminal_goes_away(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".").code == 0
    terminal = Terminal(shell, "dashboard")  # no controlling terminal: no SIGHUP tells it
    terminal.until("no executions yet")
    assert terminal.hang_up() == 129


def test_the_dev_server_goes_on_in_the_background_and_comes_back(tmp_path: Path) -> None:
    """``^Z``, ``bg``, ``fg``: what it owns is needed by all others."""
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "hello").code == 0
    script = f"set -m; {shlex.join([*POLOS, 'dev', '--port', '0'])}; echo stopped; bg; read -r _; fg"
    terminal = Terminal(shell, is_its_own=True, command=["bash", "-c", script])
    terminal.until("d dashboard")
    terminal.type("\x1a")
    terminal.until("stopped")
    assert shell.polos("run", "hello", "name=Ada").code == 0, "it serves on"
    terminal.until("completed")
    terminal.seen = ""
    terminal.type("\n")
    terminal.until("--port 0\r\n")  # fg says the command
    terminal.type("?")
    terminal.until("pause or resume schedules")
    terminal.type("\x03")
    terminal.until("stopped")
    terminal.close()


def test_the_dashboard_that_is_ended_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "hello").code == 0
    assert shell.polos("run", "hello", "name=Ada").code == 0
    terminal = Terminal(shell, "dashboard", is_its_own=True)
    terminal.until("no engine is up")
    os.kill(terminal.process.pid, 15)
    terminal.until("\x1b[?1049l")
    terminal.until(None)
    terminal.close()


def test_an_editor_that_is_not_there_is_said_and_hangs_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "hello").code == 0
    assert shell.polos("run", "hello", "name=Ada").code == 0
    terminal = Terminal(shell, "dashboard", is_its_own=True, EDITOR="nonesuch", VISUAL="")
    terminal.until("hello")
    terminal.type("f")
    terminal.until("edit the values first")
    terminal.type("e")
    terminal.until("nonesuch cannot be run")
    terminal.seen = ""
    terminal.type("\x1b")
    terminal.until("edit the values first")  # back where it was asked
    terminal.type("n")
    terminal.type("q")
    terminal.until("\x1b[?1049l")
    terminal.until(None)
    terminal.close()
