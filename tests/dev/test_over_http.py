"""Commands that look and drive, typed against a server instead of a file: `POLOS_URL=http://...`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from tests.dev.place import Dev


def test_commands_speak_to_a_server(dev: Callable[..., Dev]) -> None:
    place = dev()
    env = place.env | {"POLOS_URL": place.until("ready")["url"]}

    def typed(*words: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "polos_cli", *words], cwd=place.folder, env=env | more, text=True, timeout=30,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    number = json.loads(typed("invoke", "order", "--json"))["number"]
    place.until("event", type="wait_start")
    assert "approval ← event" in typed("ps")
    assert "waits for an event on 'approval'" in typed("why", str(number))
    typed("send-event", "approval", "7")
    place.until("event", type="workflow_finish")
    shown = json.loads(typed("show", str(number), "--json"))
    assert shown["result"] == "ship one" and [step["step"] for step in shown["steps"]][:2] == ["validate", "charge"]
    forked = json.loads(typed("fork", str(number), "--at", "charge", "--json"))["number"]
    assert "validate" in typed("diff", "--all", str(number), str(forked))
    other = json.loads(typed("invoke", "order", "--json"))["number"]
    typed("cancel", str(other))
    assert json.loads(typed("show", str(other), "--json"))["status"] == "cancelled"
    assert "order" in typed("workflows")
    listed = [json.loads(line) for line in typed("workflows", "--json").splitlines()]
    assert [one.get("id") for one in listed] == ["order", None], "what the server's workers have told of"
    assert json.loads(typed("workflows", "order", "--json"))["input_schema"] == {"type": "null"}
    assert "did you mean 'order'" in typed("workflows", "odrer", code=3)
    # Another program's token is not this project's; and what runs workflows needs the database itself.
    assert "wants its token, and was shown another one" in typed("ps", code=2, POLOS_TOKEN="another")
    for words in (["run", "order"], ["worker"]):
        assert "what runs workflows needs the database itself" in typed(*words, code=2)
