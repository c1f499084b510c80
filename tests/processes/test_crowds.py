"""Many processes at one file at once: one owns it at a time, and nobody ever hears of a lock."""

from __future__ import annotations

import itertools
import json
import signal
from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.processes.checks import wrong
from tests.processes.place import Place

STARTERS, READERS = 20, 16
CROWDED = "polos: the event loop has stood still"
"""Said, and rightly, where so many processes share two processors."""
pytestmark = pytest.mark.timeout(300)  # a bound on hanging


def test_twenty_processes_start_at_once_on_a_new_database(place: Place, tell: Callable[[str], None]) -> None:
    processes = [place.act("once") for _ in range(STARTERS)]
    place.until(lambda: len(place.noted("ready")) == STARTERS, "all are there")
    place.open_gate("start")
    for process in processes:
        assert [line for line in process.ends().splitlines() if not line.startswith(CROWDED)] == []
    got = {int(pid): json.loads(result) for pid, result in place.noted("got")}
    assert set(got) == {process.pid for process in processes}
    assert wrong(place, {"quick": STARTERS}) == []

    owned: dict[str, list[int]] = defaultdict(list)
    for pid, at in place.noted("owns"):
        owned[pid].append(int(at))
    spans = sorted((min(times), max(times)) for times in owned.values())
    assert spans
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end < begin, f"two processes owned the database at once: {spans}"
    own = sum(result["pid"] == pid for pid, result in got.items())
    tell(f"{STARTERS} processes at once: {len(spans)} owned the database in turn, {own} ran their own execution")


def test_sixteen_readers_beside_a_writer_hear_of_no_lock(
    place: Place, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    enough = 2_000 if request.config.getoption("--long") else 500
    writer = place.act("write")
    place.until(lambda: place.noted("written"), "something is written", writer)
    readers = [place.act("read") for _ in range(READERS)]
    place.until(lambda: len(place.noted("reads")) == READERS, "all read", writer, *readers)
    before = int(place.noted("written")[-1][1])
    place.until(lambda: int(place.noted("written")[-1][1]) >= before + enough, "enough is written", writer, *readers)
    for process in readers:
        process.signal(signal.SIGTERM)
    for process in readers:
        assert [line for line in process.ends().splitlines() if not line.startswith(CROWDED)] == []
    writer.signal(signal.SIGTERM)
    assert writer.ends() == ""
    turns = [int(turn) for _, turn, _ in place.noted("read")]
    written = int(place.noted("written")[-1][1])
    tell(f"{READERS} readers beside a writer of {written} executions: {min(turns)} to {max(turns)} rounds each")
    assert wrong(place, {"quick": written}) == []
