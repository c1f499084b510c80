"""A web application starts workflows and awaits their results, whatever becomes of the engine meanwhile."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from polos.core.status import Status
from tests.processes.checks import wrong
from tests.processes.place import WITHIN, Place, Process


class OverSocket(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Web:
    """The application in its own process, and requests under way."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._path = folder / "web"
        self.process: Process = place.start(
            "web", "-m", "uvicorn", "tests.processes.web:app", "--uds", str(self._path), "--log-level", "warning",
        )  # fmt: skip
        self._pool = ThreadPoolExecutor(8)
        place.until(self._answers, "the application answers", self.process)

    def _answers(self) -> bool:
        connection = OverSocket(self._path)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 404
        except OSError:
            return False
        finally:
            connection.close()

    def _post(self, gate: str) -> Any:
        connection = OverSocket(self._path)
        try:
            connection.request("POST", "/orders", json.dumps({"gate": gate}))
            response = connection.getresponse()
            told = response.read()
            assert response.status == 200, (response.status, told, self.process.said)
            return json.loads(told)["result"]
        finally:
            connection.close()

    def post(self, gate: str) -> Future[Any]:
        return self._pool.submit(self._post, gate)

    def stop(self) -> None:
        """Ctrl-C: it ends without a word."""
        self.process.signal(signal.SIGINT)
        assert self.process.ends() == ""

    def close(self) -> None:
        self.process.popen.kill()
        self._pool.shutdown()


@pytest.fixture
def web(place: Place) -> Iterator[Web]:
    folder = Path(tempfile.mkdtemp(prefix="polos-web-"))  # (a socket's path is short)
    web = Web(place, folder)
    try:
        yield web
    finally:
        web.close()
        shutil.rmtree(folder)


def test_a_request_is_answered_with_the_result_of_its_workflow(place: Place, web: Web) -> None:
    engine = place.polos_worker()
    place.open_gate("open")
    answers = [web.post("open") for _ in range(8)]
    for answer in answers:
        assert answer.result(WITHIN) == {"held": engine.pid, "attempt": 1, "after": engine.pid}
    web.stop()
    engine.stop()
    assert wrong(place, {"held": 8}) == []


def test_a_request_waits_for_an_engine_that_is_down(place: Place, web: Web) -> None:
    place.open_gate("open")
    answers = [web.post("open") for _ in range(4)]
    place.until_counted(lambda counts: counts == {Status.QUEUED: 4}, "they are stored", web.process)
    assert not any(answer.done() for answer in answers)
    engine = place.polos_worker()
    for answer in answers:
        assert answer.result(WITHIN) == {"held": engine.pid, "attempt": 1, "after": engine.pid}
    web.stop()
    engine.stop()
    assert wrong(place, {"held": 4}) == []


def test_a_request_outlives_the_engine(place: Place, web: Web) -> None:
    engine = place.polos_worker()
    answers = [web.post("later") for _ in range(4)]
    place.until(lambda: len(place.ran("held")) == 4, "their bodies run", engine, web.process)
    engine.kill()
    late = web.post("later")  # with no engine at all
    place.until_counted(lambda counts: sum(counts.values()) == 5, "it is stored", web.process)
    again = place.polos_worker()
    place.until(lambda: len(place.ran("held")) == 9, "their bodies run again", again, web.process)
    place.open_gate("later")
    for answer in answers:
        assert answer.result(WITHIN) == {"held": again.pid, "attempt": 2, "after": again.pid}
    assert late.result(WITHIN) == {"held": again.pid, "attempt": 1, "after": again.pid}
    web.stop()
    again.stop()
    assert wrong(place, {"held": 5}) == []
