"""INPUT and EXECUTION as people type them (cli.md, "Rules for all commands")."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polos.core.codec import encode
from polos.core.model import NewExecution
from polos.errors import UsageError
from polos_cli import app
from polos_cli.options import read_input

SCHEMA = {
    "properties": {
        "id": {"type": "integer"}, "name": {"type": "string"}, "ok": {"type": "boolean"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "tags": {"type": "array"}, "sub": {"$ref": "#/$defs/Sub"},
    },
    "required": ["id"],
    "$defs": {"Sub": {"type": "object"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        (['{"id": 1}'], {"id": 1}),
        (["[1, 2]"], [1, 2]),
        (["null"], None),
        (['"text"'], "text"),
        (['{"n": 1000000000000000000000000000001}'], {"n": 10**30 + 1}),
        (["id=1000000000000000000000000000001"], {"id": 10**30 + 1}),
        (["id=1"], {"id": 1}),
        (["name=1"], {"name": "1"}),
        (["name:=1"], {"name": 1}),
        (["name="], {"name": ""}),
        (["name=a=b"], {"name": "a=b"}),
        (["maybe=null"], {"maybe": None}),
        (["maybe=nil"], {"maybe": "nil"}),
        (["ok=yes"], {"ok": True}),
        (["ok=false"], {"ok": False}),
        (["tags:=[1]", "sub={\"a\": 1}"], {"tags": [1], "sub": {"a": 1}}),
        (["free=3", "other=three"], {"free": 3, "other": "three"}),
        ([], None),
    ],
)  # fmt: skip
def test_pairs_are_read_by_the_workflows_schema_and_json_as_it_is(words: list[str], payload: Any) -> None:
    assert read_input(words, SCHEMA) == payload


def test_a_schema_behind_a_reference_is_looked_up() -> None:
    assert read_input(["name=1"], {"$ref": "#/$defs/Order", "$defs": {"Order": SCHEMA}}) == {"name": "1"}


def test_input_comes_from_a_file_or_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.json").write_text('{"id": 2}')
    assert read_input([f"@{tmp_path}/in.json"]) == {"id": 2}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"id": 3}'))
    assert read_input(["-"]) == {"id": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{id: 1}"], "not JSON"),
        (["plain"], "not JSON"),
        (["id=1", "plain"], "'plain' is not a name=value pair"),
        (["id=1", "id=2"], "'id' is given twice"),
        (["id:=one"], "id:= is not JSON"),
        (["@/absent/file.json"], "cannot be read"),
        (['{"n": NaN}'], "not JSON"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_forms_that_can(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read_input(words, SCHEMA)
    assert "name=value" in refused.value.hint


def test_missing_required_fields_are_asked_for_where_somebody_is_there() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "7"

    assert read_input(["name=x"], SCHEMA, ask) == {"name": "x", "id": 7}
    assert read_input([], SCHEMA, ask) == {"id": 7}
    assert asked == ["id (integer): ", "id (integer): "]


# ── EXECUTION ────────────────────────────────────────────────────────────────────────────────────────────

IDS = ["exec_aaaaaaaaaaaaaaaaaaaaaaax1z", "exec_bbbbbbbbbbbbbbbbbbbbbbbx1z", "exec_cccccccccccccccccccccccq2w"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    from polos.clock import SystemClock
    from polos.store import open_store

    url = f"sqlite:///{tmp_path_factory.mktemp('executions')}/polos.db"

    async def make() -> None:
        store = await open_store(url, SystemClock(), "relaxed", for_one_call=True)
        new = NewExecution(id="", workflow_id="order", input=encode({"id": 1}))
        await store.start(
            [replace(new, id=IDS[0]), replace(new, id=IDS[1], workflow_id="other"), replace(new, id=IDS[2])]
        )
        await store.close()

    asyncio.run(make())
    return url


def shown(database: str, capsys: pytest.CaptureFixture[str], reference: str) -> tuple[int, Any]:
    code = app.main(["show", reference, "--json", "--database", database])
    out, err = capsys.readouterr()
    return code, json.loads(out)["number"] if code == 0 else json.loads(err)["error"]


@pytest.mark.parametrize(
    ("reference", "number"),
    [("1", 1), (IDS[1], 2), ("ax1z", 1), ("q2w", 3), ("last", 3), ("last:other", 2), ("last:order", 3)],
)
def test_an_execution_is_named_by_number_id_unique_end_or_last(
    database: str, capsys: pytest.CaptureFixture[str], reference: str, number: int
) -> None:
    assert shown(database, capsys, reference) == (0, number)


@pytest.mark.parametrize(
    "reference", ["4", "0", "-1", "nothing", "exec_aaa", "last:absent", "%", "_1z", "99999999999999999999"]
)
def test_a_name_that_nothing_answers_to_is_not_found(
    database: str, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    code = app.main(["show", "--json", "--database", database, "--", reference])
    _, err = capsys.readouterr()
    assert code == 3 and reference in json.loads(err)["error"]["message"]


def test_an_end_that_several_ids_share_names_them(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = shown(database, capsys, "x1z")
    assert code == 3 and "1 (" in error["message"] and "2 (" in error["message"] and error["hint"]


@pytest.mark.parametrize(
    ("options", "numbers", "reason"),
    [
        ([], [3, 2, 1], "complete"),
        (["--limit", "2"], [3, 2], "limit"),
        (["--workflow", "other"], [2], "complete"),
        (["--status", "queued"], [3, 2, 1], "complete"),
        (["--status", "failed"], [], "complete"),
        (["--since", "1h"], [3, 2, 1], "complete"),
        (["--until", "1h"], [], "complete"),
    ],
)
def test_listings_filter_alike(
    database: str, capsys: pytest.CaptureFixture[str], options: list[str], numbers: list[int], reason: str
) -> None:
    assert app.main(["ps", "--json", "--database", database, *options]) == 0
    *found, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ([e["number"] for e in found], last["reason"]) == (numbers, reason)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ps", "--status", "lost"], "no status"),
        (["ps", "--since", "yesterday"], "neither a span of time nor a date"),
        (["logs", "--level", "loud"], "no level"),
        (["ps", "--no-such-option"], "--no-such-option"),
        (["show"], "Missing argument 'execution'"),
    ],
)
def test_wrong_options_exit_2_and_are_told(
    database: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert app.main([*arguments, "--database", database]) == 2
    assert said in capsys.readouterr().err


def test_a_topic_with_a_star_takes_all_that_start_so(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["events", "--topic", "workflow/order/*", "--json", "--database", database]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e.get("data", {}).get("execution") for e in found[:-1]] == [1, 3]


def test_a_database_that_is_none_exits_7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.db").write_text("no database " * 500)
    assert app.main(["show", "1", "--database", f"sqlite:///{tmp_path}/text.db"]) == 7
    assert "cannot be read" in capsys.readouterr().err
    assert app.main(["ps", "--database", "postgresql://u:secret@host/db"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_plain_value_may_be_named() -> None:
    schema = {"title": "count", "type": "integer"}
    assert read_input(["count=3"], schema) == 3 and read_input(["count:=4"], schema) == 4
    assert read_input(["other=3"], schema) == {"other": 3}, "which the workflow refuses"
    assert read_input(["name=3"], {"title": "name", "type": "string"}) == "3"


def test_a_plain_value_is_asked_for_by_its_name_until_it_fits() -> None:
    answers = iter(["many", "", "3"])
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    assert read_input([], {"title": "count", "type": "integer"}, ask) == 3
    assert asked == [
        "count (integer): ", "not so: a whole number. count (integer): ", "not so: is needed. count (integer): ",
    ]  # fmt: skip
    assert read_input([], {"title": "count", "type": "integer", "default": 3}, ask) is None, "it has one already"
