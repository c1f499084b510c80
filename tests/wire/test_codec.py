"""What goes over the wire arrives as it was: arguments, results, errors."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections import abc
from collections.abc import Mapping
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polos import errors
from polos.core.manifest import WorkerInfo
from polos.core.model import Entry, Execution, Outcome
from polos.core.ops import CommitAnswer, Op
from polos.errors import EngineError, PolosError
from polos.ports import Claim, ClaimRequest
from polos.wire.calls import METHODS
from polos.wire.codec import read_error, reader, write_error, writer

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def made(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation: every member of a union, every enum, None where it may be, nothing by its default."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([made(arg) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (tuple, abc.Sequence):
        return st.lists(made(args[0]), max_size=3).map(tuple)
    if origin is list:
        return st.lists(made(args[0]), max_size=3)
    if origin is frozenset:
        return st.frozensets(made(args[0]), max_size=3)
    if origin is abc.Mapping:
        return st.dictionaries(made(args[0]), made(args[1]), max_size=3)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: made(hints[field.name]) for field in dataclasses.fields(kind)})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    plain = {int: NUMBERS, str: TEXT, bool: st.booleans(), float: st.floats(allow_nan=False, allow_infinity=False)}
    return st.none() if kind is type(None) else plain[kind]


def over(kind: Any, value: Any) -> Any:
    """A value as the other side has it."""
    write, read = writer(kind), reader(kind)
    sent = orjson.dumps(value if write is None else write(value))
    got = orjson.loads(sent)
    return got if read is None else read(got)


def parts(kind: Any) -> set[Any]:
    """The dataclasses that an annotation is made of."""
    found = {kind} if dataclasses.is_dataclass(kind) else set()
    below = typing.get_type_hints(kind).values() if dataclasses.is_dataclass(kind) else typing.get_args(kind)
    return found.union(*(parts(one) for one in below))


def _kinds() -> list[Any]:
    import polos.core.model as model

    more = (model.NewExecution, model.Started, model.NewEvent, model.Published, model.Stored)
    return sorted(parts(tuple[(Op, Claim, ClaimRequest, CommitAnswer, WorkerInfo, *more)]), key=lambda k: k.__name__)  # type: ignore[misc]


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.__name__)
@settings(max_examples=12, deadline=None, database=None)
@given(data=st.data())
def test_a_dataclass_arrives_as_it_was(kind: Any, data: st.DataObject) -> None:
    value = data.draw(made(kind))
    got = over(kind, value)
    assert got == value and type(got) is type(value)
    for name, hint in typing.get_type_hints(kind).items():
        sent, came = getattr(value, name), getattr(got, name)
        if not isinstance(sent, Mapping):
            assert type(came) is type(sent), (name, hint)


@settings(max_examples=20, deadline=None, database=None)
@given(st.lists(made(Op), max_size=20))
def test_a_list_of_operations_arrives_as_it_was(ops: list[Any]) -> None:
    got = over(abc.Sequence[Op], ops)
    assert list(got) == ops and [type(op) for op in got] == [type(op) for op in ops]


def test_every_member_of_the_operations_can_be_told_apart() -> None:
    names = [member.__name__ for member in typing.get_args(Op)]
    assert len(set(names)) == len(names) == 15


@settings(max_examples=12, deadline=None, database=None)
@given(made(Execution | None), made(Mapping[int, int]), made(list[Claim]))
def test_containers_and_nothing_arrive_as_they_were(
    execution: Execution | None, held: dict[int, int], claims: list[Claim]
) -> None:
    assert over(Execution | None, execution) == execution
    assert over(Mapping[int, int], held) == held
    assert over(list[Claim], claims) == claims


def test_every_method_of_the_table_has_a_side_that_answers_and_one_that_asks() -> None:
    from polos.ports import ClientStore, WorkerStore
    from polos.wire.peer import Peer
    from polos.wire.remote import Remote

    own = {"changed", "renew", "yield", "outcomes", "questions", "answer"}
    answers = [
        name
        for name in METHODS
        if hasattr(Peer, f"_{name}") or hasattr(ClientStore, name) or hasattr(WorkerStore, name)
    ]
    missing = [name for name in METHODS if name not in own and not (name in answers and hasattr(Remote, name))]
    assert missing == []
    assert all(method.roles for method in METHODS.values())


@pytest.mark.parametrize("name", ["start", "publish", "resume", "hello", "claim", "commit"])
@settings(max_examples=8, deadline=None, database=None)
@given(data=st.data())
def test_the_arguments_of_a_method_arrive_as_they_were(name: str, data: st.DataObject) -> None:
    from polos.core.model import NewEvent, NewExecution, Stored
    from polos.core.ops import Lease

    kinds: dict[str, tuple[Any, ...]] = {
        "start": (abc.Sequence[NewExecution],),
        "publish": (abc.Sequence[NewEvent],),
        "resume": (str, str, Stored, str),
        "hello": (WorkerInfo, Mapping[int, int]),
        "claim": (ClaimRequest, float),
        "commit": (Lease, int, abc.Sequence[Op], int),
    }
    args = [data.draw(made(kind)) for kind in kinds[name]]
    method = METHODS[name]
    assert method.read(orjson.loads(orjson.dumps(method.write(args)))) == args


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────

KINDS = sorted(
    (k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, PolosError) and k is not PolosError),
    key=lambda kind: kind.__name__,
)


def an_error(kind: type[PolosError]) -> PolosError:
    if kind is errors.RecordedError:
        return errors.RecordedError("ValueError", "no ☃", "  File …")
    facts: dict[str, Any] = {"hint": "do ☃"}
    if issubclass(kind, errors.StepExecutionError):
        facts |= {"step_key": "a/b", "attempts": 3, "error_type": "Boom"}
    elif kind is errors.ExecutionFailed:
        facts |= {"execution_id": "exec_1", "error_type": "Boom"}
    elif issubclass(kind, errors.DatabaseInUse):
        facts |= {"pid": 7, "process": "polos dev", "brief": True}
    elif kind is errors.UnserializableValue:
        facts |= {"path": "/a/0", "type_name": "set"}
    return kind("it\nis ☃", **facts)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_arrives_as_it_was_with_its_facts(kind: type[PolosError]) -> None:
    error = an_error(kind)
    got = read_error(orjson.loads(orjson.dumps(write_error(error))))
    assert type(got) is kind
    assert (str(got), got.code, vars(got)) == (str(error), error.code, vars(error))


def test_notes_of_an_error_arrive_too() -> None:
    error = errors.LeaseLost("gone")
    error.add_note("while it slept")
    assert read_error(orjson.loads(orjson.dumps(write_error(error)))).__notes__ == ["while it slept"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("k"), OSError(2, "no such file"), MemoryError()])
def test_what_is_no_error_of_ours_arrives_as_the_engines_with_its_name(error: Exception) -> None:
    got = read_error(orjson.loads(orjson.dumps(write_error(error))))
    assert type(got) is EngineError
    assert type(error).__name__ in got.message


def test_a_fact_that_json_does_not_have_is_left_out_and_the_rest_arrives() -> None:
    error = errors.DatabaseInUse("in use", hint="h", pid=7, lock=object(), huge=2**80)
    got = read_error(orjson.loads(orjson.dumps(write_error(error))))
    assert isinstance(got, errors.DatabaseInUse)
    assert (got.pid, got.hint, hasattr(got, "lock"), hasattr(got, "huge")) == (7, "h", False, False)


def test_an_error_of_a_class_that_is_not_known_here_is_the_engines() -> None:
    got = read_error({"type": "FromTheFuture", "message": "m", "hint": "h", "facts": {"x": 1}})
    assert type(got) is EngineError and (got.message, got.hint) == ("m", "h")


def test_outcomes_of_an_answer_keep_their_enums() -> None:
    answer = CommitAnswer(outcomes=(Entry(key="a", kind="run", outcome=Outcome.FAILED, seq=1, after=0),))  # type: ignore[arg-type]
    (entry,) = over(CommitAnswer, answer).outcomes
    assert entry.kind.name == "RUN" and entry.outcome is Outcome.FAILED
