"""What users, events and errors say on the screen: it steers nothing, is cut where it is long, and fits any size."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from polos import WorkflowContext
from polos_cli.dashboard.widgets.detail import Detail
from polos_cli.dashboard.widgets.payload import PayloadTree, Section
from polos_cli.dashboard.widgets.texts import Text, Texts
from tests.dashboard.screen import FLOWS, flow, opened

HOSTILE = "\x1b[31mred [/] [bold]\u202eabc\x07 \x9b2J 漢字 " + "x" * 100_000


async def hostile(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    ctx.logger.info(HOSTILE)

    def breaks() -> None:
        raise ValueError(HOSTILE)

    await ctx.step.run("key [/] \u202e " + "k" * 60, lambda: {"\x1b]0;title\x07 [red]": HOSTILE, "list": [HOSTILE] * 3})
    try:
        await ctx.step.run("fails", breaks, max_retries=1, base_delay=0.01)
    except Exception:
        pass
    return (
        await ctx.step.suspend(
            "ask [/]", {"question": HOSTILE, "form": {"n [/]": {"type": "string", "description": HOSTILE}}}
        )
    ).data


FLOWS.setdefault("hostile", flow(hostile))


def harmless(text: str) -> bool:
    return not any(sign in text for sign in ("\x1b", "\u202e", "\x07", "\x9b"))


@pytest.mark.parametrize("size", [(140, 40), (20, 5)])
async def test_hostile_texts_steer_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as (engine, shown):
        await engine.invoke(FLOWS["hostile"], {"text": HOSTILE})
        await engine.publish("topic [/] \x1b[2J", {"data": HOSTILE}, event_type="\u202etype")
        await shown.until(lambda: shown.listed == [(1, "waiting")])
        await shown.until(lambda: shown.page.query_one(Detail).whole is not None)
        await shown.press("enter", "j")
        for _ in range(6):
            await shown.press("right_square_bracket", "tab", "enter", "down", "left")
            assert harmless(shown.text)
        for keys in (("escape", "escape", "a"), ("escape", "f"), ("n", "c"), ("n", "i"), ("escape", "question_mark")):
            await shown.press(*keys)
            await shown.pilot.pause()
            assert harmless(shown.text), keys
        await shown.press("escape")
        for page in "23456":
            await shown.press(page)
            await shown.pilot.pause(0.05)
            await shown.press("enter")
            await shown.pilot.pause()
            assert harmless(shown.text), page
            await shown.press("escape")
        assert shown.app.is_running


async def test_any_size_fits(tmp_path: Path) -> None:
    """Fifty random sizes, over all pages: every line is as wide as the screen, and nothing breaks."""
    dice = random.Random(7)
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["hostile"], {"text": HOSTILE})
        await engine.invoke(FLOWS["approval"], {"text": "ok?"})
        await shown.until(lambda: [status for _, status in shown.listed] == ["waiting", "waiting"])
        await shown.press("enter")
        for turn in range(50):
            width, height = dice.randint(1, 250), dice.randint(1, 70)
            if turn % 8 == 0:
                await shown.press(str(turn // 8 % 6 + 1))
            await shown.pilot.resize_terminal(width, height)
            await shown.press(dice.choice(["j", "k", "G", "tab", "right_square_bracket", "left"]))
            strips = shown.app.screen._compositor.render_strips()
            assert len(strips) == height and {strip.cell_length for strip in strips} <= {width}, (turn, width, height)
        await shown.pilot.resize_terminal(140, 40)
        await shown.press("1")
        await shown.sees("approval", "hostile")


async def test_long_texts_and_values_are_cut_and_say_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, shown):
        detail = shown.one(Detail)
        logs = detail.query_one("#logs", Texts)
        logs.show([Text(HOSTILE), Text("last")], is_other=True)
        assert logs.count() <= 402
        values = detail.query_one("#value", PayloadTree)
        values.show([Section("deep", _deep(200)), Section("wide", {str(at): at for at in range(100_000)})], "these")
        for _ in range(300):
            values.action_move(1)
            values.action_unfold()
        assert 200 < values.count() < 1_500


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"in": value}
    return value
