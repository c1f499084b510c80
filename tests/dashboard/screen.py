"""An engine on a real database with the dashboard beside it, driven by keys. Tests nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

import polos
from polos import Polos, PolosClient, WorkflowContext
from polos.authoring.workflow import Workflow
from polos.client.client import Client
from polos.clock import SystemClock
from polos_cli.dashboard.actions import Actions, CommandLine
from polos_cli.dashboard.app import Dashboard
from polos_cli.dashboard.reading import Reading
from polos_cli.dashboard.widgets.listing import ExecutionList
from polos_cli.dashboard.widgets.standing import StandingLine

W = TypeVar("W", bound=Widget)


class Order(BaseModel):
    order_id: str
    amount: int = 10
    express: bool = False


async def approval(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    """Asks a person."""
    await ctx.step.run("look", lambda: {"text": input.get("text", "")})
    answer = await ctx.step.suspend("ask", {"question": input.get("text", "ok?")})
    return answer.data


async def waits(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    return (await ctx.step.wait_for_event("paid [/]", topic="dash.paid", match={"n": 1})).data


async def fails(ctx: WorkflowContext, input: dict[str, Any]) -> None:
    await ctx.step.run("first", str)
    await ctx.step.run("divide", lambda: 1 // 0, max_retries=1, base_delay=0.01)


async def quick(ctx: WorkflowContext, input: int) -> int:
    return input


async def order(ctx: WorkflowContext, input: Order) -> Any:
    """Takes an order."""
    total = await ctx.step.run("total", lambda: {"sum": input.amount})
    ctx.logger.info("the total is %s", total["sum"])
    child = await ctx.step.invoke_and_wait("check", FLOWS["quick"], total["sum"])
    return {"order": input.order_id, "checked": child}


async def report(ctx: WorkflowContext, input: Any) -> None:
    """The daily report."""


async def mail(ctx: WorkflowContext, input: Any) -> None:
    async def hold() -> None:
        await HELD.wait()

    await ctx.step.run("send", hold)


HELD = asyncio.Event()


def flow(fn: Callable[..., Any], **options: Any) -> Workflow:
    return Workflow(fn, id=fn.__name__, description=fn.__doc__, run_timeout_seconds=None, **options)


FLOWS = {
    one.id: one
    for one in (
        flow(approval), flow(waits), flow(fails), flow(quick), flow(order), flow(report, schedule="0 9 * * *"),
        flow(mail, queue=polos.queue("dash-mail", 1)),
    )
}  # fmt: skip


@dataclass
class Shown:
    """The dashboard on a screen of its own."""

    app: Dashboard
    pilot: Pilot[None]

    @property
    def text(self) -> str:
        """Everything on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def page(self) -> Screen[Any]:
        return self.app.screen_stack[0]

    @property
    def listed(self) -> list[tuple[int, str]]:
        return [(row.number, row.status) for row in self.page.query_one(ExecutionList).rows]

    @property
    def standing(self) -> str:
        return self.page.query_one(StandingLine).text.strip()

    @property
    def title(self) -> str:
        return str(self.page.query_one("#title", Static).content)

    @property
    def said(self) -> list[str]:
        """What was said at the edge of the screen, so far."""
        return [one.message for one in self.app._notifications]

    def one(self, kind: type[W]) -> W:
        """The widget of that kind, on the page or in the dialog above it."""
        return self.app.screen.query_one(kind)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Types into the field that has the keys."""
        field = self.app.screen.focused
        if isinstance(field, TextArea):
            field.text = text
        else:
            assert isinstance(field, Input), field
            field.value = text
        await self.pilot.pause()

    async def until(self, holds: Callable[[], Any], what: str = "") -> None:
        """Lets the app go on until something holds."""
        try:
            async with asyncio.timeout(20):
                while not holds():
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"{what or holds} never came:\n{self.text}\nsaid: {self.said}") from None

    async def sees(self, *texts: str) -> None:
        """Lets the app go on until all these are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"{texts}")

    async def asked(self, dialog: type[Screen[Any]]) -> None:
        """Lets the app go on until a dialog is there, with its fields."""
        await self.until(lambda: isinstance(self.app.screen, dialog) and self.app.screen.is_mounted, dialog.__name__)
        await self.pilot.pause()


@asynccontextmanager
async def seen(
    client: Client, size: tuple[int, int] = (140, 40), line: CommandLine | None = None, **options: Any
) -> AsyncIterator[Shown]:
    """The dashboard of a client."""
    app = Dashboard(Reading(client, SystemClock()), Actions(client, line or CommandLine()), "test", **options)
    async with app.run_test(size=size) as pilot:
        yield Shown(app, pilot)


@asynccontextmanager
async def opened(
    folder: Path, size: tuple[int, int] = (140, 40), workflows: Sequence[str] = (), **options: Any
) -> AsyncIterator[tuple[Polos, Shown]]:
    """An engine on a database, and the dashboard beside it."""
    url = f"sqlite:///{folder}/polos.db"
    flows = [FLOWS[name] for name in workflows or FLOWS]
    async with Polos(url, workflows=flows, durability="relaxed", echo=False, complete=True) as engine:
        client = PolosClient(url)
        async with seen(client, size, CommandLine(database=url), **options) as shown:
            yield engine, shown
        await client.close()
