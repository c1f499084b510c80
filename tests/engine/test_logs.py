"""What workflows and steps print and log: stored once, by step and attempt (S10)."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from pathlib import Path

import pytest

from polos import Polos, WorkflowContext, workflow
from polos.ports import LogFilter
from polos.worker.capture import Scope
from tests.engine.conftest import Engine
from tests.engine.looks import waits

Lines = list[tuple[str | None, int, str, str, str]]


async def lines(polos, handle) -> Lines:
    found = await polos.access().read(lambda store: store.logs(LogFilter(execution_id=handle.id)))
    return [(line.step_key, line.attempt, line.stream, line.level, line.text) for _, _, line in found]


async def test_everything_that_is_said_is_stored_with_its_place(engine: Engine) -> None:
    def body() -> None:
        print("printed in a thread")
        print("to stderr", file=sys.stderr)
        logging.getLogger("shop").warning("logged %d", 7)
        warnings.warn("careful", RuntimeWarning, stacklevel=1)
        sys.stdout.write("in ")
        sys.stdout.write("pieces\nand without an end")

    async def async_body() -> None:
        print("printed on the loop")

    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        print("workflow begins")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            await ctx.step.run("sync", body)
        await ctx.step.run("async", async_body)
        ctx.logger.error("workflow logs")

    async with engine(talks) as polos:
        handle = await talks.invoke(polos)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            await handle.result(10)
        found = await lines(polos, handle)
    where = [(key, stream, level) for key, _, stream, level, _ in found]
    texts = [text for *_, text in found]
    assert (None, 0, "stdout", "INFO", "workflow begins") in found
    assert ("sync", 1, "stdout", "INFO", "printed in a thread") in found
    assert ("sync", 1, "stderr", "WARNING", "to stderr") in found
    assert ("sync", 1, "log", "WARNING", "logged 7") in found
    assert ("sync", 1, "stdout", "INFO", "in pieces") in found
    assert ("async", 1, "stdout", "INFO", "printed on the loop") in found
    assert (None, 0, "log", "ERROR", "workflow logs") in found
    assert ("sync", "warnings", "WARNING") in where
    assert any("RuntimeWarning: careful" in text for text in texts)


async def test_an_unfinished_line_at_the_end_of_a_body_is_stored_too(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", lambda: sys.stdout.write("no end"))

    async with engine(talks) as polos:
        handle = await talks.invoke(polos)
        await handle.result(10)
        assert [text for *_, text in await lines(polos, handle)] == ["no end"]


async def test_each_attempt_has_its_own_lines(engine: Engine) -> None:
    ran: list[int] = []

    def flaky() -> None:
        ran.append(1)
        print(f"try {len(ran)}")
        if len(ran) < 3:
            raise ValueError

    @workflow
    async def tries(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", flaky, base_delay=0)

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        await handle.result(10)
        assert [(attempt, text) for _, attempt, _, _, text in await lines(polos, handle)] == [
            (1, "try 1"), (2, "try 2"), (3, "try 3"),
        ]  # fmt: skip


@pytest.mark.parametrize("restart", [False, True])
async def test_lines_that_a_replay_repeats_are_stored_once(engine: Engine, restart: bool) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        print("one")
        await ctx.step.run("a", print, "inside")
        logging.getLogger("shop").error("two")
        await ctx.step.wait_for_event("go", "go")
        print("three")
        await ctx.step.wait_for_event("end", "end")
        print("four")

    options = {"max_hot": 100 if restart else 0}
    async with engine(talks, **options) as polos:
        handle = await talks.invoke(polos)
        await waits(polos, handle, "go")
        if not restart:
            await polos.publish("go")
            await waits(polos, handle, "end")
            await polos.publish("end")
            await handle.result(10)
    if restart:
        for topic, then in (("go", "end"), ("end", None)):
            async with engine(talks, **options) as polos:
                await polos.publish(topic)
                if then:
                    await waits(polos, handle, then)
                else:
                    await polos.result(handle.id, 10)
    async with engine(talks) as polos:
        texts = [text for *_, text in await lines(polos, handle)]
    assert sorted(texts) == sorted(["one", "inside", "two", "three", "four"])


async def test_an_attempts_lines_are_bounded_and_that_is_said(engine: Engine) -> None:
    def floods() -> None:
        for n in range(3000):
            print(n)

    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", floods)

    async with engine(talks) as polos:
        handle = await talks.invoke(polos)
        await handle.result(10)
        found = await polos.access().read(lambda store: store.logs(LogFilter(execution_id=handle.id, limit=5000)))
    assert 900 < len(found) <= 1001
    assert any("lines" in line.text and line.level == "WARNING" for _, _, line in found)


async def test_what_other_code_of_the_program_says_is_left_alone(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", print, "captured")

    async with engine(talks) as polos:
        print("the program's own")
        thread = threading.Thread(target=print, args=("another thread's",))
        thread.start()
        thread.join()
        handle = await talks.invoke(polos)
        await handle.result(10)
        assert [text for *_, text in await lines(polos, handle)] == ["captured"]
    assert capsys.readouterr().out == "the program's own\nanother thread's\n"


async def test_captured_lines_are_echoed_when_asked_but_not_again_by_a_replay(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        print("said")
        await ctx.step.wait_for_event("go", "go")

    async with engine(talks, echo=True, max_hot=0) as polos:
        handle = await talks.invoke(polos)
        await waits(polos, handle, "go")
        await polos.publish("go")
        await handle.result(10)
    assert capsys.readouterr().out == "said\n"


async def test_the_streams_and_hooks_are_as_before_when_the_engine_has_gone(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None: ...

    before = (sys.stdout, sys.stderr, warnings.showwarning, list(logging.getLogger().handlers))
    async with engine(talks):
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, warnings.showwarning, list(logging.getLogger().handlers)) == before


# ── the program around it ────────────────────────────────────────────────────────────────────────────────


async def test_the_programs_own_logging_is_as_without_polos(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None: ...

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)
    root.manager._clear_cache()  # type: ignore[attr-defined]  # the level was set past it
    async with engine(talks):
        assert root.handlers == []
        logging.getLogger("shop").warning("by the last resort")
        logging.getLogger("workflow.talks").info("below the level, outside every workflow")
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        logging.getLogger("shop").info("by basicConfig")
    root.manager._clear_cache()  # type: ignore[attr-defined]  # the level is put back past it
    assert capsys.readouterr().err == "by the last resort\nINFO by basicConfig\n"


async def test_logging_is_hooked_only_while_an_engine_runs(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None: ...

    before = (logging.Logger.callHandlers, logging.Logger.isEnabledFor)
    async with engine(talks):
        pass
    assert (logging.Logger.callHandlers, logging.Logger.isEnabledFor) == before


async def test_the_contexts_logger_stores_from_info_on_by_default(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        ctx.logger.debug("too fine")
        ctx.logger.info("told")
        logging.getLogger("shop").info("the program's level leaves it out")

    async with engine(talks) as polos:
        handle = await talks.invoke(polos)
        await handle.result(10)
        assert [(level, text) for _, _, _, level, text in await lines(polos, handle)] == [("INFO", "told")]


async def test_a_level_that_was_chosen_for_the_contexts_logger_holds(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        ctx.logger.info("not wanted")
        ctx.logger.error("wanted")

    logging.getLogger("workflow.talks").setLevel(logging.ERROR)
    try:
        async with engine(talks) as polos:
            handle = await talks.invoke(polos)
            await handle.result(10)
            assert [text for *_, text in await lines(polos, handle)] == ["wanted"]
    finally:
        logging.getLogger("workflow.talks").setLevel(logging.NOTSET)


async def test_what_a_handler_prints_is_not_stored_once_more(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        logging.getLogger("shop").warning("once")

    async with engine(talks) as polos:
        handler = logging.StreamHandler(sys.stderr)  # the stream that is captured
        logging.getLogger("shop").addHandler(handler)
        try:
            handle = await talks.invoke(polos)
            await handle.result(10)
        finally:
            logging.getLogger("shop").removeHandler(handler)
        assert [text for *_, text in await lines(polos, handle)] == ["once"]


async def test_two_engines_in_one_process_store_a_line_once(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        print("said")
        logging.getLogger("shop").warning("logged")

    async with engine(talks) as first:
        async with Polos(f"sqlite:///{tmp_path}/other.db", workflows=[talks], echo=False) as second:
            for polos in (first, second):
                handle = await talks.invoke(polos)
                await handle.result(10)
                assert [text for *_, text in await lines(polos, handle)] == ["said", "logged"]
        handle = await talks.invoke(first)  # the first one's capture outlives the second
        await handle.result(10)
        assert [text for *_, text in await lines(first, handle)] == ["said", "logged"]
    assert capsys.readouterr().out == ""


async def test_the_standard_streams_keep_what_they_are(engine: Engine) -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> list[str | None]:
        return [sys.stdout.encoding, sys.stdout.errors]

    own = [sys.stdout.encoding, sys.stdout.errors]
    async with engine(talks) as polos:
        assert await talks.run(polos, timeout=10) == own
        assert sys.stdout.buffer is not None and not sys.stdout.closed


def test_a_line_without_an_end_is_passed_on_in_pieces() -> None:
    taken: list[str] = []

    def take(scope: Scope, text: str, level: str, stream: str) -> bool:
        taken.append(text)
        return True

    scope = Scope(take, "a", 1)
    for _ in range(100_000):
        scope.write(".", "stdout")
    assert len(taken) == 100_000 // 8192  # not held until its end
    scope.write("\nnext\n", "stdout")
    scope.flush()
    assert "".join(taken[:-1]) == "." * 100_000 and taken[-1] == "next"
    assert max(map(len, taken)) == 8192
