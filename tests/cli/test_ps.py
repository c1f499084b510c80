"""`polos ps`: children stand under their parent, the family with the newest one first."""

from __future__ import annotations

from pathlib import Path

from tests.cli.shell import Shell

FAMILY = """
from polos import WorkflowContext, workflow

@workflow
async def leaf(ctx: WorkflowContext, n: int = 0) -> int:
    return n

@workflow
async def branch(ctx: WorkflowContext, n: int = 0) -> int:
    return await ctx.step.invoke_and_wait("leaf", leaf, n)

@workflow
async def tree(ctx: WorkflowContext) -> list:
    return [await ctx.step.invoke_and_wait(f"branch {n}", branch, n) for n in range(2)]
"""


def test_children_stand_under_their_parent(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flow.py").write_text(FAMILY)
    assert shell.polos("run", "flow.py:leaf").code == 0
    assert shell.polos("run", "flow.py:tree").code == 0
    assert shell.polos("run", "flow.py:leaf").code == 0
    rows = [line.split("\t") for line in shell.polos("ps").out.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [
        ("7", "leaf"), ("2", "tree"), ("3", "└ branch"), ("4", "  └ leaf"), ("5", "└ branch"), ("6", "  └ leaf"), ("1", "leaf"),
    ]  # fmt: skip
    cut = [line.split("\t")[2] for line in shell.polos("ps", "--limit", "2").out.splitlines()]
    assert cut == ["leaf", "↳ leaf"], "one whose parent is not shown"
    assert [one.get("number") for one in shell.polos("ps", "--json").lines] == [7, 6, 5, 4, 3, 2, 1, None]
