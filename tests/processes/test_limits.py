"""Queues keep their limits at every instant, and what is cancelled clears up, whatever process is killed."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from polos import BatchWorkflowInput, PolosClient
from polos.core.status import Status
from polos.errors import ExecutionCancelled
from tests.crash import invariants
from tests.processes import checks
from tests.processes.place import Place, Process

LIMITS = {"single": 1, "triple": 3}
KEYS = {"single": ["a", "b", "c"], "triple": ["a", "b"]}
LINES = [(queue, key) for queue in LIMITS for key in KEYS[queue]]
WAVES = 4
"""A part of the executions is woken at a time: one for each kill, and the last."""
pytestmark = pytest.mark.timeout(600)  # a bound on hanging


def serving(place: Place, works: bool = True, **options: Any) -> Process:
    name = "worker" if works else "owner"
    options = {"url": place.url, "works": works, **options}
    return place.start(name, "-m", "tests.processes.limits_program", "serve", json.dumps(options))


def an_owner(place: Place) -> Process:
    process = serving(place, works=False)
    place.until(lambda: place.owner_pid() == process.pid, "it owns the database", process)
    return process


def a_worker(place: Place, **options: Any) -> Process:
    return place.working(serving(place, **options))


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Body:
    """A run of a body: from when, until when, and whether its process was killed under it."""

    queue: str
    key: str
    number: int
    part: int
    pid: int
    begin: int
    end: int | None


def bodies(place: Place, killed: dict[int, int]) -> list[Body]:
    """Returns the runs in the order of their begin. One that a kill ended is over when its process was killed."""
    ends = {(pid, queue, number, part): int(at) for pid, queue, _, number, part, at in place.noted("end")}
    found = []
    for pid, queue, key, number, part, begin in place.noted("begin"):
        end = ends.get((pid, queue, number, part))
        if end is None and int(pid) in killed:
            end = max(killed[int(pid)], int(begin))
        found.append(Body(queue, key, int(number), int(part), int(pid), int(begin), end))
    return sorted(found, key=lambda one: one.begin)


def too_many(ran: list[Body]) -> tuple[list[str], dict[tuple[str, str], int]]:
    """Returns where more ran at once than may, and the most that ran at once of each line."""
    changes: dict[tuple[str, str], list[tuple[int, int, Body]]] = defaultdict(list)
    for one in ran:
        assert one.end is not None, f"this body has no end: {one}"
        changes[one.queue, one.key] += [(one.begin, 1, one), (one.end, -1, one)]
    said, most = [], dict.fromkeys(LINES, 0)
    for (queue, key), these in changes.items():
        running: list[Body] = []
        # An end comes before a begin of the same instant, but not before its own.
        for at, change, one in sorted(
            these, key=lambda this: (this[0], this[1] if this[2].begin != this[2].end else 2)
        ):
            if change > 0:
                running.append(one)
                if len(running) > LIMITS[queue]:
                    said.append(f"{len(running)} bodies of {queue}/{key} run at {at}: {running}")
            elif one in running:
                running.remove(one)
            most[queue, key] = max(most[queue, key], len(running))
    return said, most


def out_of_turn(ran: list[Body]) -> list[str]:
    """Returns who began before its turn.

    Those of a line are admitted in the order of their start, and whoever was admitted and has not begun holds a place:
    so at a first begin, fewer than the limit allows of those before it have still to begin.
    """
    said = []
    begun: dict[tuple[str, str], set[int]] = defaultdict(set)
    numbers = {line: sorted({one.number for one in ran if (one.queue, one.key) == line}) for line in LINES}
    for one in ran:
        line = (one.queue, one.key)
        if one.part != 1 or one.number in begun[line]:
            continue
        passed = [number for number in numbers[line] if number < one.number and number not in begun[line]]
        if len(passed) >= LIMITS[one.queue]:
            said.append(f"{one.number} of {line} began before {passed}")
        begun[line].add(one.number)
    return said


def test_the_limits_hold_while_workers_and_the_owner_are_killed(
    place: Place, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    size = 500 if request.config.getoption("--long") else 120
    owner = an_owner(place)
    workers = [a_worker(place) for _ in range(2)]
    killed: dict[int, int] = {}

    async def start(client: PolosClient) -> None:
        inputs, of_wave = [], defaultdict(int)
        for number in range(size):
            queue, key = LINES[number % len(LINES)]
            wave = number * WAVES // size
            of_wave[wave, queue, key] += 1
            # The second of each wave in each line but the first lines of the queues is held up.
            held = of_wave[wave, queue, key] == 2 and key != "a" and wave < WAVES - 1
            given = {"key": key, "number": number, "wave": wave, "is_held": held}
            inputs.append(BatchWorkflowInput(queue, given, concurrency_key=key))
        await client.batch_invoke(inputs)

    def publish(wave: int) -> None:
        place.client(lambda client: client.publish(f"wave-{wave}", {}))

    def ended(part: int) -> int:
        return sum(line[4] == str(part) for line in place.noted("end"))

    def open_bodies(wave: int) -> dict[int, int]:
        """Returns, by process, the number of bodies of that wave that have begun and not ended."""
        counts: dict[int, int] = defaultdict(int)
        for one in bodies(place, killed):
            if one.end is None and one.part == 2 and one.number * WAVES // size == wave:
                counts[one.pid] += 1
        return counts

    def kill(process: Process) -> None:
        killed[process.pid] = time.monotonic_ns()
        process.kill()

    place.client(start)
    for wave in range(WAVES - 1):
        # Half of the wave waits at least: they are woken where they are, the others find the event there.
        place.until(lambda wave=wave: ended(1) >= (2 * wave + 1) * size // (2 * WAVES), "half of it waits", *workers)
        publish(wave)
        lines = sum(key != "a" for _, key in LINES)
        place.until(
            lambda wave=wave: sum(open_bodies(wave).values()) >= lines, "a body of each line is held up", *workers
        )
        if wave == 1:
            kill(owner)
            place.open_gate(f"wave-{wave}")
            place.until(lambda: place.owner_pid() in {one.pid for one in workers}, "a worker owns it", *workers)
        else:
            held = open_bodies(wave)
            victim = max(workers, key=lambda one: (held[one.pid], one.pid != place.owner_pid()))
            assert held[victim.pid] > 0
            kill(victim)
            place.open_gate(f"wave-{wave}")
            workers = [one for one in workers if one is not victim]
            workers.append(a_worker(place))
    publish(WAVES - 1)
    place.until_counted(lambda counts: counts.get(Status.COMPLETED, 0) == size, "all complete", *workers)
    for process in workers:
        process.stop()
    for process in place.processes:
        process.check()

    ran = bodies(place, killed)
    said, most = too_many(ran)
    assert said == []
    assert out_of_turn(ran) == []
    assert (
        checks.wrong(place, {queue: sum(LINES[n % len(LINES)][0] == queue for n in range(size)) for queue in LIMITS})
        == []
    )
    assert most == {line: LIMITS[line[0]] for line in LINES}  # the limits were reached
    cut = sum(one.end == max(killed.get(one.pid, 0), one.begin) for one in ran)
    assert cut >= 2
    entered: dict[tuple[str, str], int] = defaultdict(int)
    for _, queue, number in place.noted("enter"):
        entered[queue, number] += 1
    hot = sum(count == 1 for count in entered.values())
    assert hot >= size // 10
    tell(f"{size} executions in {len(LINES)} lines, {len(killed)} kills: {len(ran)} bodies, {cut} of them cut off; "
         f"{hot} executions went on where they were, {size - hot} were entered again")  # fmt: skip


# ── compensation ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_cancelled_clears_up_though_its_worker_is_killed(place: Place) -> None:
    an_owner(place)
    workers = [a_worker(place) for _ in range(2)]
    size = 3

    async def start(client: PolosClient) -> list[str]:
        return [(await client.invoke("booking")).id for _ in range(size)]

    bookings = place.client(start)

    async def are_under_way(client: PolosClient) -> bool:
        waiting = await client.list(status=Status.WAITING, workflow="never")
        return len(waiting) == size and len(place.ran("busy")) == size

    place.until_true(are_under_way, "all children are under way", *workers)

    async def cancel(client: PolosClient) -> None:
        for booking in bookings:
            await client.cancel(booking)

    place.client(cancel)
    place.until(lambda: len(place.ran("undo-1")) == size, "they clear up", *workers)
    first = place.ran("undo-1", bookings[0])[0].pid
    victim = next(one for one in workers if one.pid == first)
    (other,) = [one for one in workers if one is not victim]
    suffered = {one.execution for one in place.ran("undo-1") if one.pid == victim.pid}
    victim.kill()
    place.until(lambda: len(place.ran("undo-1")) == size + len(suffered), "the other goes on", other)
    place.open_gate("undo")

    async def outcomes(client: PolosClient) -> None:
        for booking in bookings:
            with pytest.raises(ExecutionCancelled):
                await client.result(booking, timeout=60)

    place.client(outcomes)
    place.until_counted(lambda counts: counts == {Status.CANCELLED: 4 * size}, "all are cancelled", other)
    for process in place.processes:
        if process.is_up:
            process.stop()
        process.check()

    undone = ["undo-1", "undo-2", "undo-3", "undo-4"]
    for booking in bookings:
        ran = [(one.key, one.pid, one.attempt) for one in place.facts().ran if one.execution == booking]
        if booking in suffered:
            assert ran[1] == ("undo-1", victim.pid, 1)
            assert [(key, attempt) for key, _, attempt in ran[2:]] == [("undo-1", 2), *[(key, 1) for key in undone[1:]]]
            assert {pid for _, pid, _ in ran[2:]} == {other.pid}
        else:
            assert ran[1:] == [(key, other.pid, 1) for key in undone]
    found = checks._copied(place)
    assert {row["status"] for row in found.executions} == {"cancelled"}
    assert {row["worker_id"] for row in found.executions} == {None}
    assert found.waits == []
    for row in found.executions:
        journal = sorted(
            (one for one in found.journal if one["execution"] == row["number"]), key=lambda one: one["seq"]
        )
        keys = [(one["key"], one["outcome"]) for one in journal if one["kind"] == "run"]
        if row["workflow_id"] == "booking":
            assert keys == [("book", "completed"), *[(key, "completed") for key in undone]]
            stops = [one["seq"] for one in journal if one["kind"] == "stop"]
            assert len(stops) == 1 and all(one["seq"] > stops[0] for one in journal if one["key"] in undone)
    assert checks._journal(found) == []
    assert invariants._events(found, place.facts()) == []
    assert invariants._checksums(found) == []
