"""A folder in which `polos` is typed, as real processes. Asserts nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
POLOS = [sys.executable, "-W", "error", "-m", "polos_cli"]

PROJECT = '[tool.polos]\nmodules = ["workflows/"]\ndurability = "relaxed"\n'
SHOP = '''
import asyncio
import os
from pydantic import BaseModel
from polos import WorkflowContext, workflow


class Order(BaseModel):
    id: int
    note: str = ""


@workflow
async def order(ctx: WorkflowContext, order: Order) -> dict:
    """Buys something."""
    print("ordering", order.id)
    await ctx.step.run("charge", charge, order)
    return {"order": order.id, "note": order.note}


def charge(order: Order) -> int:
    print("charging", order.id)
    return order.id


@workflow
async def asks(ctx: WorkflowContext) -> dict:
    answer = await ctx.step.suspend("ask", {"question": "Go on?"})
    return {"answer": answer.data}


@workflow
async def listens(ctx: WorkflowContext) -> dict:
    event = await ctx.step.wait_for_event("event", "shop.news")
    return {"heard": event.data}


@workflow
async def fails(ctx: WorkflowContext) -> None:
    await ctx.step.run("break", breaks, max_retries=1, base_delay=0)


def breaks() -> None:
    raise LookupError("the shelf is empty")


@workflow
async def slow(ctx: WorkflowContext) -> str:
    return await ctx.step.run("slow", slowly)


async def slowly() -> str:
    if os.environ.get("SLOW"):
        print("in the body", flush=True)
        await asyncio.sleep(60)
    return "done"


@workflow
async def versions(ctx: WorkflowContext) -> str:
    await ctx.step.run("first", str)
    await ctx.step.wait_for_event("event", "shop.news")
    return "end"


HOSTILE = "\\x1b]0;title\\x07\\x1b[31mred\\x9b2J\\u202eevil\\r\\n[bold]x[/bold]"


@workflow
async def hostile(ctx: WorkflowContext) -> dict:
    print(HOSTILE)
    await ctx.step.run("key " + HOSTILE, str, HOSTILE)
    try:
        await ctx.step.run("raises", raises, max_retries=0)
    except Exception:
        pass
    return {HOSTILE: HOSTILE}


def raises() -> None:
    raise ValueError(HOSTILE)
'''


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The error of `--json`, the last line of stderr."""
        return json.loads(self.err.splitlines()[-1])["error"]


class Shell:
    """One folder and its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("POLOS_")}
        self.env |= {"PYTHONPATH": str(ROOT), "HOME": str(folder / "home"), "POLOS_DURABILITY": "relaxed", "TZ": "UTC"}

    def polos(self, *arguments: str, input: str | None = None, **env: str) -> Done:
        """Types a command and returns how it ended."""
        done = subprocess.run(
            [*POLOS, *arguments], cwd=self.folder, env={**self.env, **env}, input=input, text=True, capture_output=True,
            timeout=60, check=False, stdin=subprocess.DEVNULL if input is None else None,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Types a command and leaves it running."""
        return subprocess.Popen(
            [*POLOS, *arguments], cwd=self.folder, env={**self.env, **env}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip


def shop(folder: Path) -> Shell:
    """A project with the shop's workflows."""
    (folder / "workflows").mkdir(parents=True)
    (folder / "workflows" / "__init__.py").write_text("")
    (folder / "workflows" / "shop.py").write_text(SHOP)
    (folder / "pyproject.toml").write_text(PROJECT)
    return Shell(folder)


def until_said(process: subprocess.Popen[str], text: str) -> str:
    """Reads a process's stderr until it has said `text`, and returns what was read."""
    assert process.stderr is not None
    said = ""
    deadline = time.monotonic() + 20
    while text not in said:
        line = process.stderr.readline()
        if not line or time.monotonic() > deadline:
            raise AssertionError(f"never said {text!r}: {said}")
        said += line
    return said


def end(process: subprocess.Popen[str]) -> Done:
    """Waits for a process's end and returns what was left to read."""
    out, err = process.communicate(timeout=30)
    return Done(process.returncode, out, err)
