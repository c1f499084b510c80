"""`polos check` finds what does not replay where it stands, and says nothing of code that does."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from polos.dev.lint import CannotRead, lint
from polos.dev.lint_rules import RULES
from tests.cli.shell import Shell

ROOT = Path(__file__).parents[2]
HEAD = """
import asyncio, os, random, time
import datetime as dt
import requests
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import uuid4 as fresh
import polos
from polos import WorkflowContext, workflow

@workflow
async def flow(ctx: WorkflowContext, items: list):
"""


def codes(body: str, head: str = HEAD) -> list[str]:
    """The codes found in a workflow of this body, in the order of its lines."""
    source = head.lstrip() + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
    return [one.rule.code for one in lint(source, "flow.py")]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("time.time()", "PC101"), ("x = datetime.now()", "PC101"), ("dt.datetime.utcnow()", "PC101"), ("dt.date.today()", "PC101"),
        ("random.choice(items)", "PC102"), ("x = fresh()", "PC102"), ("os.urandom(4)", "PC102"),
        ("time.sleep(1)", "PC103"), ("requests.get('https://x')", "PC103"), ("open('x')", "PC103"),
        ("ctx.step.run('a', print)", "PC104"), ("ctx.step.wait_for('a', days=1)", "PC104"),
        ("await asyncio.to_thread(print)", "PC107"), ("await asyncio.get_running_loop().run_in_executor(None, print)", "PC107"),
        ("ThreadPoolExecutor()", "PC108"), ("os.environ['A']", "PC109"), ("os.getenv('A')", "PC109"),
        ("for item in set(items): pass", "PC110"), ("x = [i for i in {1, 2}]", "PC110"),
    ],
)  # fmt: skip
def test_each_is_found_in_a_workflow(line: str, code: str) -> None:
    assert codes(line) == [code]


@pytest.mark.parametrize(
    "body",
    [
        "await ctx.step.run('a', time.time)",
        "await ctx.step.run('a', lambda: time.time())",
        "def body():\n    return time.time()\nawait ctx.step.run('a', body)",
        "def body():\n    return time.time()\nawait ctx.step.run('a', fn=body)",
        "first = ctx.step.run('a', print)\nawait asyncio.gather(first, ctx.step.run('b', print))",
        "await asyncio.gather(*(ctx.step.run(f'a-{i}', print) for i in items))",
        "for item in items:\n    await ctx.step.run(f'a-{item}', print)",
        "for item in sorted(set(items)):\n    await ctx.step.run(f'a-{item}', print)",
        "if items:\n    await ctx.step.run('a', print)\nelse:\n    await ctx.step.run('a', print)",
        "if items:\n    await ctx.step.run('a', print)\n    return 1\nawait ctx.step.run('a', print)",
        "for item in items:\n    if item:\n        await ctx.step.run('a', print)\n        break",
        "match items:\n    case []:\n        await ctx.step.run('a', print)\n    case _:\n        await ctx.step.run('a', print)",
        "try:\n    pass\nexcept KeyError:\n    await ctx.step.run('a', str)\nexcept TypeError:\n    await ctx.step.run('a', str)",
        "try:\n    await ctx.step.run('a', print)\nexcept BaseException:\n    raise",
        "with ctx.step.trace('span'):\n    pass",
        "await asyncio.sleep(3)\nasync with asyncio.timeout(3):\n    pass",
        "x = await ctx.step.now('now')\ntime.time  # not called",
    ],
)
def test_nothing_is_said_of_what_replays(body: str) -> None:
    assert codes(body) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("for item in items:\n    await ctx.step.run('a', print)", ["PC105"]),
        ("while True:\n    await ctx.step.wait_for(key='a', days=1)", ["PC105"]),
        ("await asyncio.gather(*(ctx.step.run('a', print, i) for i in items))", ["PC105"]),
        ("await ctx.step.run('a', print)\nawait ctx.step.run('a', print)", ["PC106"]),
        ("try:\n    await ctx.step.run('a', print)\nexcept ValueError:\n    await ctx.step.run('a', print)", ["PC106"]),
        ("if items:\n    await ctx.step.run('a', print)\nawait ctx.step.run('a', print)", ["PC106"]),
        ("try:\n    pass\nexcept:\n    pass", ["PC111"]),
        ("try:\n    pass\nexcept (ValueError, asyncio.CancelledError):\n    return 1", ["PC111"]),
        ("async def chain(name):\n    time.sleep(1)\nawait chain(1)", ["PC103"]),
        ("async def chain(name):\n    return await ctx.step.run('a', lambda: time.sleep(1))\nawait chain(1)", []),
    ],
)
def test_keys_handlers_and_inner_functions(body: str, found: list[str]) -> None:
    assert codes(body) == found


def test_what_is_workflow_code() -> None:
    outside = "import time\ndef free():\n    time.sleep(1)\nasync def also(ctx):\n    time.sleep(1)\n"
    assert lint(outside, "x.py") == []
    helper = "import time\nasync def helper(c, n):\n    time.sleep(n)\n    await c.step.run('a', print)\n"
    assert [one.rule.code for one in lint(helper, "x.py")] == ["PC103"]
    for decorator in ("@polos.workflow", "@polos.workflow(id='x')", "@workflow(queue='q')"):
        assert codes("time.time()", HEAD.replace("@workflow", decorator)) == ["PC101"]
    assert codes("time.time()", HEAD.replace("@workflow", "@other")) == []


def test_waivers() -> None:
    assert codes("time.time()  # polos: ignore[PC101]") == []
    assert codes("time.time()  # polos: ignore[clock, PC102]") == []
    assert codes("time.time()  # polos: ignore") == []
    assert codes("time.time()  # polos: ignore[PC102]") == ["PC100", "PC101"]
    assert codes("x = 1  # polos: ignore") == ["PC100"]
    assert codes("x = '# polos: ignore'") == []


def test_what_is_no_python_is_said() -> None:
    with pytest.raises(CannotRead, match=r"x\.py:2"):
        lint("a = 1\ndef (:\n", "x.py")


def test_our_own_examples_and_templates_are_clean() -> None:
    files = [*ROOT.glob("templates/**/*.py"), *ROOT.glob("examples/**/*.py")]
    assert (
        files
        and {str(file): lint(file.read_text(), file.name) for file in files if lint(file.read_text(), file.name)} == {}
    )


def test_typed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    assert shell.polos("check").code == 0
    (tmp_path / "workflows" / "more.py").write_text(HEAD + "    time.sleep(1)\n")
    found = shell.polos("check")
    assert found.code == 1 and found.out.startswith("workflows/more.py:13:5 PC103 time.sleep(): "), found.out
    told = shell.polos("check", "workflows/more.py", "--json").lines
    assert (told[0]["code"], told[0]["line"], told[0]["column"]) == ("PC103", 13, 5)
    assert len(shell.polos("check", "--rules").out.splitlines()) == len(RULES)
    (tmp_path / "workflows" / "more.py").write_text("def (")
    assert shell.polos("check").code == 2 and shell.polos("check", "absent.py").code == 2
