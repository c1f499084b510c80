"""Events keep their order and are stored once, and who waits sees each, though the owner is killed again and again."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from polos import BatchWorkflowInput, PolosClient
from polos.core.status import Status
from tests.crash import invariants
from tests.processes import checks
from tests.processes.place import Place
from tests.processes.test_limits import a_worker

PROCESSES, EACH, TOPICS, WAITING, KILLS = 4, 5, 3, 50, 3
pytestmark = pytest.mark.timeout(900)  # a bound on hanging


class Lines:
    """A file that grows, read on from where it was read to."""

    def __init__(self, place: Place, name: str) -> None:
        self._path = place.folder / name
        self._read = 0
        self.lines: list[list[str]] = []

    def look(self) -> list[list[str]]:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            self._read += len(new)
            self.lines += [line.split("\t") for line in new.decode().splitlines()]
        return self.lines

    def facts(self, fact: str) -> list[list[str]]:
        return [[pid, *parts] for pid, name, *parts in self.look() if name == fact]


def test_events_are_gapless_and_seen_in_order_while_owners_are_killed(
    place: Place, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    events = 500 if request.config.getoption("--long") else 40
    total = PROCESSES * EACH * events
    workers = [a_worker(place) for _ in range(3)]
    topics = [f"topic-{number}" for number in range(TOPICS)]
    acknowledged = Lines(place, "acknowledged")

    async def wait(client: PolosClient) -> list[str]:
        inputs = [BatchWorkflowInput("follows", topics[number % TOPICS]) for number in range(WAITING // 2)]
        return [started.id for started in await client.batch_invoke(inputs)]

    early = place.client(wait)
    place.until_counted(lambda counts: counts == {Status.WAITING: WAITING // 2}, "half of them wait", *workers)
    publishers = [
        place.start(
            "publish", "-m", "tests.processes.limits_program", "publish",
            json.dumps({"url": place.url, "first": number * EACH, "publishers": EACH, "events": events}),
        )
        for number in range(PROCESSES)
    ]  # fmt: skip

    def until_acknowledged(count: int) -> None:
        needed = [one for one in publishers if one.is_up or one.popen.returncode] if count < total else []
        place.until(lambda: len(acknowledged.facts("ack")) >= count, f"{count} are acknowledged", *needed)

    def bounds() -> Counter[str]:
        """Returns the last sequence of each topic that is known to be acknowledged."""
        last: Counter[str] = Counter()
        for _, topic, _, sequence in acknowledged.facts("ack"):
            last[topic] = max(last[topic], int(sequence))
        return last

    owners = []
    late: list[str] = []
    before: Counter[str] = Counter()
    for turn in range(1, KILLS + 1):
        until_acknowledged(turn * total // (KILLS + 1))
        if turn == 2:
            before = bounds()
            late = place.client(wait)
        pid = place.owner_pid()
        (owner,) = [one for one in workers if one.pid == pid]
        owner.kill()
        owners.append(pid)
        workers.remove(owner)
        place.until(lambda: place.owner_pid() in {one.pid for one in workers}, "another one owns it", *workers)
        workers.append(a_worker(place))
    until_acknowledged(total)
    for process in publishers:
        assert process.ends() == ""

    async def end(client: PolosClient) -> None:
        for topic in topics:
            await client.publish(topic, {"last": True}, event_id=f"last of {topic}")

    place.client(end)
    place.until_counted(lambda counts: counts == {Status.COMPLETED: WAITING}, "all complete", *workers)
    for process in workers:
        process.stop()
    for process in place.processes:
        process.check()

    # The log: gapless, each event once, as it was acknowledged.
    found = checks._copied(place)
    assert found.integrity == ["ok"]
    names = {row["id"]: row["name"] for row in found.topics}
    log: dict[str, list[str]] = defaultdict(list)
    for row in found.events:  # in the order of the whole log
        assert row["sequence"] == len(log[names[row["topic"]]]) + 1
        log[names[row["topic"]]].append(row["id"])
    assert sum(len(log[topic]) for topic in topics) == total + TOPICS
    stored = {(topic, id): number for topic in topics for number, id in enumerate(log[topic], 1)}
    assert len(stored) == total + TOPICS
    acks = acknowledged.facts("ack")
    assert len(acks) == len({id for _, _, id, _ in acks}) == total
    again = acknowledged.facts("again")
    assert again
    for _, topic, id, sequence in acks + again:
        assert stored[topic, id] == int(sequence)
    by_publisher: dict[tuple[str, str], list[int]] = defaultdict(list)
    for (topic, id), sequence in stored.items():
        if not id.startswith("last"):
            by_publisher[topic, id.split("-")[0]].append(int(id.split("-")[1]))
    assert all(
        numbers == sorted(numbers) for numbers in by_publisher.values()
    )  # one after the other, as they were sent

    # What was seen: by code as it is recorded, in order, from the start to the end without a gap.
    saw: dict[tuple[str, str], set[tuple[int, str]]] = defaultdict(set)
    for _, execution, key, sequence, id in Lines(place, "seen").facts("saw"):
        saw[execution, key].add((int(sequence), id))
    recorded: dict[str, list[int]] = defaultdict(list)
    for row in found.journal:
        execution = found.ids[row["execution"]]
        value = json.loads(row["value"])
        assert row["key"] == f"event-{len(recorded[execution])}"
        assert saw[execution, row["key"]] == {(value["sequence_id"], value["id"])}
        recorded[execution].append(value["sequence_id"])
    assert len(saw) == len(found.journal)
    for number, execution in enumerate([*early, *late]):
        topic = topics[number % (WAITING // 2) % TOPICS]
        sequences = recorded[execution]
        assert sequences == list(range(sequences[0], len(log[topic]) + 1))
        assert (sequences[0] == 1) if execution in early else (before[topic] < sequences[0])
    lifecycle = Counter(row["type"] for row in found.events if names[row["topic"]].startswith("workflow/"))
    assert lifecycle["workflow_finish"] == lifecycle["workflow_start"] == WAITING
    assert lifecycle["wait_finish"] == len(found.journal)
    assert found.waits == []
    assert invariants._checksums(found) == []
    refused = len(acknowledged.facts("refused"))
    tell(f"{total} events on {TOPICS} topics, {WAITING} executions saw {len(found.journal)}, {len(owners)} owners killed; "
         f"{refused} calls were refused and made again")  # fmt: skip
