"""`polos export` and `open`: an execution as one file, from one project to another; a bad file is refused, whoever made it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from polos.client.bundle import BundleClient
from polos.errors import BadBundle, PolosError
from polos.store.sqlite.bundle import check
from polos.store.sqlite.bundling import content_checksum
from tests.cli.shell import Shell

FLOW = """
from polos import WorkflowContext, workflow


def charge(total, api_key):
    print("charging with", api_key)
    return {"paid": total, "token": "tok_1234567"}


@workflow
async def child(ctx: WorkflowContext, n: int) -> int:
    return await ctx.step.run("work", lambda: n + 1)


@workflow
async def order(ctx: WorkflowContext, input: dict) -> int:
    total = await ctx.step.invoke_and_wait("child", child, input["n"])
    paid = await ctx.step.run("charge", charge, total, input["api_key"])
    return paid["paid"]
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A project in which `order` has ended."""
    shell = Shell(tmp_path_factory.mktemp("one"))
    (shell.folder / "workflows").mkdir()
    (shell.folder / "workflows" / "order.py").write_text(FLOW)
    (shell.folder / "pyproject.toml").write_text('[tool.polos]\nname = "one"\n')
    (shell.folder / ".env").write_text("STRIPE=sk_live_987654321\n")
    done = shell.polos("run", "order", '{"n": 6, "api_key": "sk_live_987654321"}')
    assert (done.code, done.out.strip()) == (0, "7")
    assert shell.polos("run", "order", '{"n": 1, "api_key": "another key"}').code == 0
    return shell


@pytest.fixture
def bundle(ended: Shell, tmp_path: Path) -> Path:
    path = tmp_path / "bug.polos"
    done = ended.polos("export", "1", "-o", str(path))
    assert done.code == 0 and done.out.strip() == str(path), done.err
    return path


def test_it_is_looked_at_elsewhere(ended: Shell, bundle: Path, tmp_path: Path) -> None:
    elsewhere = Shell(tmp_path)
    opened = elsewhere.polos("open", "bug.polos")
    assert opened.code == 0 and "order 1, completed" in opened.out and "child  completed" in opened.out
    shown = elsewhere.polos("show", "bug.polos")
    assert "result  7" in shown.out and "✓ charge" in shown.out and "child 2" in shown.out
    assert elsewhere.polos("show", "bug.polos:2", "--json").json["result"] == 7
    assert "charging with ***" in elsewhere.polos("logs", "bug.polos").out
    assert "it completed" in elsewhere.polos("why", "bug.polos").out
    assert "workflow_finish" in elsewhere.polos("events", "bug.polos").out
    for changing in ("cancel", "retry"):
        assert elsewhere.polos(changing, "bug.polos").code != 0
    (tmp_path / "flows.py").write_text(FLOW)
    replayed = elsewhere.polos("replay", "bug.polos", "--workflow", "flows.py:order")
    assert replayed.code == 0 and "matches" in replayed.out
    (tmp_path / "flows.py").write_text(FLOW.replace('"charge", charge', '"pay", charge'))
    replayed = elsewhere.polos("replay", "bug.polos", "--workflow", "flows.py:order", "--json")
    assert replayed.code == 6 and replayed.lines[0]["divergence"]["asked"] == "pay"
    assert not (tmp_path / ".polos").exists(), "looking makes no database"
    differ = ended.polos("diff", str(bundle), "3")
    assert differ.code == 0 and "~ .n  6 → 1" in differ.out


def test_secrets_are_masked_and_listed(ended: Shell, bundle: Path) -> None:
    held = bundle.read_bytes()
    assert b"sk_live_987654321" not in held and b"tok_1234567" not in held
    manifest = ended.polos("open", str(bundle), "--json").json
    assert {(one["table"], one["key"], one["path"]) for one in manifest["masked"]} >= {
        ("input", None, "/api_key"), ("journal", "charge", "/token"), ("log", "charge", "")
    }  # fmt: skip
    assert "sk_live_987654321" in ended.polos("show", "1").out, "the database itself is as it was"
    assert manifest["executions"] == 2 and manifest["codes"] and bundle.stat().st_mode & 0o077 == 0
    assert b"another key" not in held, "and of other executions nothing is in it"


def test_secrets_in_edits_keys_and_lines_are_masked_too(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "workflows").mkdir()
    after = 'await ctx.step.run("after", lambda: 1)\n    return paid['
    (tmp_path / "workflows" / "order.py").write_text(FLOW.replace("return paid[", after))
    (tmp_path / "pyproject.toml").write_text('[tool.polos]\nname = "one"\n')
    (tmp_path / ".env").write_text('PEM="first secret line\\nsecond secret line"\nKEY=key_abcdefgh\n')
    done = shell.polos(
        "invoke", "order", '{"n": 6, "api_key": "second secret line"}', "--idempotency-key", "key_abcdefgh"
    )
    assert done.code == 0, done.err
    assert shell.polos("run", "--attach", "1").code == 0
    charge = '{"paid": 7, "token": "tok_ORIGINAL"}'
    assert shell.polos("fork", "1", "--at", "after", "--set", f"charge={charge}").code == 0
    assert shell.polos("run", "--attach", "last:order").code == 0
    again = shell.polos("fork", "last:order", "--at", "after", "--set", 'charge={"paid": 8, "token": "tok_OTHER"}')
    assert again.code == 0, again.err
    for number in ("1", "last:order"):
        path = tmp_path / f"{number[:4]}.polos"
        assert shell.polos("export", number, "-o", str(path)).code == 0
        data = path.read_bytes()
        for secret in (b"tok_ORIGINAL", b"tok_OTHER", b"tok_1234567", b"second secret line", b"key_abcdefgh"):
            assert secret not in data, (number, secret)
        assert BundleClient(path).manifest["masked_count"] > 0


def test_a_file_that_is_there_is_not_overwritten(ended: Shell, bundle: Path) -> None:
    before = bundle.read_bytes()
    assert ended.polos("export", "last:order", "-o", str(bundle)).code == 2
    assert bundle.read_bytes() == before
    assert ended.polos("export", "last:order", "-o", str(bundle), "--force").code == 0
    assert ended.polos("open", str(bundle), "--json").json["number"] == 3
    assert ended.polos("export", "1", "-o", str(bundle.with_suffix(".db"))).code == 2
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name], "nothing half-written is left"


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    return change


def _forged(*statements: str) -> Callable[[Path], None]:
    """As somebody does it who knows how a checksum is made."""

    def change(path: Path) -> None:
        _sql(*statements)(path)
        with sqlite3.connect(path) as connection:
            checksum = content_checksum(connection)
            connection.execute("UPDATE bundle SET value = ? WHERE name = 'checksum'", (checksum,))
        connection.close()

    return change


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (lambda path: path.write_bytes(b"") and None, "no bundle"),
    "text": (lambda path: path.write_text("hello") and None, "no bundle"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]) and None, "damaged"),
    "a trigger": (_sql("CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log; END"), "tables are others"),
    "a view": (_sql("DROP TABLE log", "CREATE VIEW log AS SELECT 1 AS position"), "tables are others"),
    "a table more": (_sql("CREATE TABLE more (a)"), "tables are others"),
    "a column more": (_sql("ALTER TABLE log ADD COLUMN more TEXT"), "tables are others"),
    "another value": (_sql("UPDATE journal SET value = '{\"paid\": 700}' WHERE key = 'charge'"), "checksum"),
    "another execution": (_sql("UPDATE execution SET workflow_id = 'other'"), "checksum"),
    "no manifest": (_sql("DELETE FROM bundle"), "no manifest"),
    "a bad manifest": (_sql("UPDATE bundle SET value = '{\"format\": '"), "no manifest"),
    "a manifest of another sort": (_sql("UPDATE bundle SET value = '[1, 2]'"), "no manifest"),
    "another format": (
        _sql("UPDATE bundle SET value = json_set(value, '$.format', 99) WHERE name = 'manifest'"),
        "format 99",
    ),
    "another name": (
        _sql("UPDATE bundle SET value = json_set(value, '$.workflow', 'x') WHERE name = 'manifest'"),
        "checksum",
    ),
    "a text where a number is": (_forged("UPDATE execution SET run_timeout = 'abc'"), "row of execution"),
    "a status that is none": (_forged("UPDATE execution SET status = 'odd'"), "row of execution"),
    "a kind that is none": (_forged("UPDATE journal SET kind = 'odd'"), "row of journal"),
    "a value that is no JSON": (_forged("UPDATE journal SET value = '{'"), "row of journal"),
    "a failure that is none": (_forged("UPDATE journal SET failure = '{}'"), "failure in journal"),
    "a manifest without its masks": (
        _forged("UPDATE bundle SET value = json_remove(value, '$.masked') WHERE name = 'manifest'"),
        "no manifest",
    ),
    "a database": (lambda path: shutil.copy(path.parent / "other.db", path) and None, "no bundle of this polos"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_bundle_of_ours_is_refused(bundle: Path, name: str) -> None:
    with sqlite3.connect(bundle.parent / "other.db") as other:
        other.execute("CREATE TABLE a (b)")
    other.close()
    change, said = HOSTILE[name]
    change(bundle)
    with pytest.raises(BadBundle, match=said):
        BundleClient(bundle)


def test_any_byte_may_be_wrong(bundle: Path) -> None:
    """Each flip is refused, or was where nothing lies: then the content is what it was."""
    whole, dice = bundle.read_bytes(), random.Random(6)
    manifest, refused = check(bundle), 0
    for _ in range(150):
        place = dice.randrange(len(whole))
        bundle.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << dice.randrange(8))]) + whole[place + 1 :])
        try:
            assert check(bundle) == manifest
        except BadBundle:
            refused += 1
    assert refused > 10


def test_the_debugger_stops_in_the_users_frame_with_the_values_of_that_day(bundle: Path, tmp_path: Path) -> None:
    elsewhere = Shell(tmp_path)
    (tmp_path / "flows.py").write_text(FLOW)
    replay = ("replay", "bug.polos", "--workflow", "flows.py:order", "--pdb")
    said = elsewhere.polos(*replay, "charge", input="p ('total is', total)\nn\np ('paid is', paid)\nc\n")
    assert said.code == 0, said.err
    assert "its arguments: 7, '***'" in said.out and "flows.py(18)order()" in said.out
    assert "('total is', 7)" in said.out and "('paid is', {'paid': 7, 'token': '***'})" in said.out
    assert "charging" not in said.out and "matches" in said.out
    left = elsewhere.polos(*replay, input="q\n")
    assert left.code == 0 and "stopped where 'child'" in left.out and "matches" not in left.out
    assert elsewhere.polos(*replay, "nix", input="").code == 2
    assert elsewhere.polos(*replay, "charge", "more", input="").code == 2


def test_an_execution_that_waits_can_be_exported_too(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    shell.polos("invoke", "approval", "item=Pen", "amount:=3")
    shell.polos("run", "--attach", "1", "--timeout", "2")
    assert shell.polos("export", "1").out.strip() == "approval-1.polos"
    shown = shell.polos("show", "approval-1.polos", "--json").json
    assert [wait["step"] for wait in shown["waits"]] == ["await_approval"]


def test_the_errors_are_those_of_polos(tmp_path: Path) -> None:
    with pytest.raises(PolosError, match="cannot be read"):
        BundleClient(tmp_path / "absent.polos")


def test_a_bundle_is_forked_and_goes_on_here(bundle: Path, tmp_path: Path) -> None:
    elsewhere = Shell(tmp_path)
    (tmp_path / "flows.py").write_text(FLOW)
    (tmp_path / "polos.toml").write_text('name = "two"\nmodules = ["flows"]\n')
    planned = elsewhere.polos("fork", "bug.polos", "--at", "charge", "--dry-run")
    assert planned.code == 0 and "runs again    charge" in planned.err and "--input JSON" in planned.err
    given = ("--input", '{"n": 1, "api_key": "mine"}', "--set", "child=41")
    made = elsewhere.polos("fork", "bug.polos", "--at", "charge", *given)
    assert made.code == 0 and "masked" not in made.err, made.err
    done = elsewhere.polos("run", "order", "--attach", "last")
    assert (done.code, done.out.strip()) == (0, "41") and "charging with mine" in done.err
    shown = elsewhere.polos("show", "last")
    assert "fork    of 1 (order), at charge, 1 outcomes kept, with another input" in shown.out
    again = elsewhere.polos("export", "last", "-o", "again.polos")
    assert again.code == 0 and "fork    of 1 (order)" in elsewhere.polos("show", "again.polos").out
