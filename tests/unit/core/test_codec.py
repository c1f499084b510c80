"""Every value of S3.1 survives storing; everything else is refused with its path."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time as clock
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polos.core.codec import decode, encode, plain
from polos.core.model import Stored, verified
from polos.core.shapes import class_name
from polos.errors import CorruptRecord, PayloadTooLarge, StoredValueMismatch, UnserializableValue
from tests.unit.core import values
from tests.unit.core.values import Access, Address, Colour, Counter, Level, Outer, Person, Planet, Point, Word

PERSON = Person(
    name="Ada 🎈", born=datetime(1815, 12, 10, tzinfo=UTC), homes=[Address(street="a/b", number=Decimal("1.50"))]
)

PLAIN: list[Any] = [
    None, 0, False, True, "", [], {}, 1, -1, 1.5, -0.0, 1e300, 2**63 - 1, -(2**63), "text", "\u2028", "emoji 🎈", "\x7f\t\n\"\\",
    [None, [False, 0, ""], {}], {"a": {"b": [1, 2.5, None]}}, {"": 1}, {"k/ey": 1, "k~ey": 2, "*": 3, "~1": 4},
]  # fmt: skip
TYPED: list[Any] = [
    2**63, 2**64, 2**70, -(2**63) - 1, [2**70, 1], b"", b"\0\xff", Decimal("1.10"), Decimal("-0"), Decimal("1E+5"),
    UUID("12345678-1234-5678-1234-567812345678"), date(2024, 2, 29), time(1, 2, 3, 4), time(1, 2, tzinfo=UTC),
    datetime(2024, 2, 29, 1, 2, 3, 4), datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=5, minutes=30))), timedelta(days=-1, microseconds=1),
    timedelta.max, Path("/a/b"), (), (1, (2,)), set(), {1, 2}, frozenset({"a"}), {(1, "a"), (2, "b")}, {1: "a", -2: "b"},
    {1: {2: {3: (4,)}}}, Colour.RED, Colour.BLUE, Level.LOW, Word.YES, [Colour.RED, Colour.BLUE], Point(1), Point(1, Point(2, {3})),
    [Point(1), Point(2)], [Point(1), 2, "x"], Outer.Inner(3), PERSON, [PERSON, PERSON], {"p": PERSON, "q": (PERSON,)},
    {"k/ey": (1,), "k~ey": {2}, "*": b"3", "~1": Decimal(4), "a*b/~": (5,)}, {"*": (1,), "x": [1]}, [[(1,)], [(2,), (3,)]],
    [(1,), [2]], [{"a": (1,)}, {"a": (2,)}], [{"a": (1,)}, {"a": [2]}], {"deep": [{"er": {1: {b"x"}}}]},
    [(), [1], {"a": {5}}], ((1, [2]), [(3,)]), [[], [(1,)]], {"0": (1,), "1": [2]}, [{"*": (1,)}, {"*": (2,)}],
]  # fmt: skip


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, datetime):
        return left == right and left.utcoffset() == right.utcoffset()
    if isinstance(left, (set, frozenset)):
        return left == right and {type(x) for x in left} == {type(x) for x in right}
    return bool(left == right)


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_json_comes_back_and_needs_no_shape(value: Any) -> None:
    stored = encode(value)
    assert stored.shape is None
    assert same(decode(stored), value) and same(json.loads(stored.text), value) and same(plain(stored), value)


@pytest.mark.parametrize("value", TYPED, ids=lambda value: type(value).__name__)
def test_other_types_come_back_as_they_were(value: Any) -> None:
    stored = encode(value)
    assert stored.shape is not None
    assert same(decode(stored), value)
    json.loads(stored.text, parse_constant=pytest.fail)
    assert encode(decode(stored)) == stored


def test_the_text_stays_plain_json() -> None:
    assert json.loads(encode({"when": date(2024, 1, 2), "at": Point(1), "many": (1, 2)}).text) == {
        "when": "2024-01-02", "at": {"x": 1, "y": None}, "many": [1, 2],
    }  # fmt: skip


def test_a_list_of_a_thousand_models_has_a_small_shape() -> None:
    stored = encode([PERSON] * 1000)
    assert stored.shape is not None and len(stored.shape) < 100
    assert decode(stored)[999] == PERSON


def test_a_pure_path_comes_back_as_a_path() -> None:
    assert decode(encode(PurePosixPath("a/b"))) == Path("a/b")


def test_a_dataclass_with_a_field_outside_init_comes_back() -> None:
    counter = Counter(1)
    counter.total = 7
    assert decode(encode(counter)) == counter


def test_a_set_is_stored_alike_whatever_its_order() -> None:
    names = [f"n{n}" for n in range(50)]
    backwards = names[::-1]
    assert encode(set(names)) == encode(set(backwards))


def test_the_same_object_twice_is_no_cycle() -> None:
    part = [1, (2,)]
    assert decode(encode([part, part])) == [part, part]


CYCLE: list[Any] = [1]
CYCLE.append({"again": CYCLE})
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


class Plain:
    pass


class SubDict(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (math.nan, ""), (math.inf, ""), ([1, -math.inf], "/1"), ({"a": {"b": math.nan}}, "/a/b"),
        ("a\0b", ""), (["\0"], "/0"), ({"k": ["x", "\0"]}, "/k/1"), ({"\0": 1}, ""),
        ("\ud800", ""), ({"a": ["\udfff"]}, "/a/0"), ({"\ud800": 1}, ""),
        (CYCLE, "/1/again"), (object(), ""), ({"a": [1, Plain()]}, "/a/1"), ({"k/y": object()}, "/k~1y"),
        ({1: 1, "a": 2}, ""), ({"d": {1: 1, "a": 2}}, "/d"), ({(1, 2): 3}, ""), ({None: 1}, ""), ({1.5: 1}, ""),
        ({True: 1}, ""), (lambda: 1, ""), (1j, ""), (iter([]), ""), (range(3), ""), (bytearray(b"x"), ""), (Point, ""),
        (Point(1, object()), "/y"), ({1, math.inf}, "/*"), (ValueError("x"), ""), (PurePosixPath("\0"), ""), (SubDict(a=1), ""),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(UnserializableValue) as caught:
        encode(value)
    assert caught.value.path == path and caught.value.hint
    assert str(caught.value).isprintable() or "\n" in str(caught.value)


def test_nesting_without_end_is_refused_and_not_a_recursion_error() -> None:
    with pytest.raises(UnserializableValue, match="deep"):
        encode(DEEP)
    deeper: Any = ()
    for _ in range(5000):
        deeper = (deeper,)
    with pytest.raises(UnserializableValue, match="deep"):
        encode(deeper)


def test_a_model_that_holds_what_json_cannot_is_refused() -> None:
    with pytest.raises(UnserializableValue):
        encode(Point(1, Person.model_construct(name="\ud800", born=None)))


def test_a_value_over_the_limit_names_its_largest_parts() -> None:
    value = {"small": 1, "big": "x" * 5000, "middle": ["y" * 1000]}
    with pytest.raises(PayloadTooLarge, match=r"limit is 4,000.*/big \(5,0\d\d bytes\), /middle") as caught:
        encode(value, limit=4000)
    assert caught.value.hint
    with pytest.raises(PayloadTooLarge, match="/1"):
        encode([(1,), b"x" * 5000], limit=4000)
    with pytest.raises(PayloadTooLarge):
        encode("x" * 5000, limit=4000)
    encode("x" * 3998, limit=4000)
    with pytest.raises(PayloadTooLarge):
        encode("🎈" * 1500, limit=4000)


def test_a_class_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = encode([Point(1)])
    monkeypatch.delattr(values, "Point")
    with pytest.raises(StoredValueMismatch, match="Point"):
        decode(stored)


def test_a_class_that_no_longer_takes_the_value_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "Point", Counter)
    with pytest.raises(StoredValueMismatch):
        decode(encode_as_point())
    monkeypatch.setattr(values, "Address", Person)
    with pytest.raises(StoredValueMismatch):
        decode(Stored('{"street":"s","number":"1"}', '{"":"model tests.unit.core.values:Address"}'))
    monkeypatch.setattr(values, "Colour", Level)
    with pytest.raises(StoredValueMismatch):
        decode(Stored('"red"', '{"":"enum tests.unit.core.values:Colour"}'))


def encode_as_point() -> Stored:
    return Stored('{"x":1,"y":null}', '{"":"dataclass tests.unit.core.values:Point"}')


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "builtins:eval", "antigravity:x", "no.such:Thing"])
def test_only_models_dataclasses_and_enums_are_made(name: str) -> None:
    for kind in ("model", "dataclass", "enum"):
        with pytest.raises(StoredValueMismatch):
            decode(Stored("{}", json.dumps({"": f"{kind} {name}"})))


def test_a_local_class_is_told_apart() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(UnserializableValue, match="Local") as caught:
        encode({"a": [Local(1)]})
    assert caught.value.path == "/a/0" and caught.value.type_name.endswith("Local")
    known = {class_name(Local): Local}
    assert decode(encode([Local(1)], known=known), known) == [Local(1)]


def test_a_class_made_at_run_time_is_refused_where_its_name_leads_nowhere() -> None:
    made = dataclasses.make_dataclass("Made", [("x", int)])
    for value in (made(1), pydantic.create_model("Created", a=(int, ...))(a=1), values.Box[int](v=1)):
        with pytest.raises(UnserializableValue, match="cannot be found again"):
            encode(value)


@pytest.mark.parametrize(
    "member",
    [Planet.EARTH, Planet.LEGACY, Planet.COLD, Planet.NAMED, [Planet.MARS, Planet.EARTH], Access.READ, {Planet.MARS}],
)
def test_an_enum_comes_back_whatever_its_values_are(member: Any) -> None:
    assert same(decode(encode(member)), member)


def test_a_combination_of_flags_comes_back_or_is_refused() -> None:
    assert decode(encode(Access.READ | Access.WRITE)) == Access.READ | Access.WRITE


def test_a_dataclass_with_a_field_that_was_never_set_is_refused() -> None:
    with pytest.raises(UnserializableValue, match="'total' was never set") as caught:
        encode([values.Unset(1)])
    assert caught.value.path == "/0"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (values.Secret(s=pydantic.SecretStr("x")), "/s would come back as another value"),
        ([values.User(name="a", password="b")], "could not be read back"),
        (values.Hidden(name="a", note="b"), "/note would come back as another value"),
        (values.Pair(animal=values.Dog(name="a", bark="b")), "/animal would come back as another value"),
        (values.Grows(1), "/x would come back as another value"),
        (values.Loud(a=1), "could not be read back"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_would_come_back_as_another_value_is_refused_when_it_is_stored(value: Any, said: str) -> None:
    with pytest.raises(UnserializableValue, match=said):
        encode(value)


def test_classes_that_compare_by_identity_are_stored() -> None:
    back = decode(encode([values.Same(1, (2,))]))
    assert type(back[0]) is values.Same and back[0].x == 1 and back[0].y == (2,)


def test_a_module_run_by_its_dotted_name_is_found_under_it(tmp_path: Path) -> None:
    (tmp_path / "pk" / "inner").mkdir(parents=True)
    for folder in ("pk", "pk/inner"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "pk" / "inner" / "mod.py").write_text(
        "import dataclasses\nfrom polos.core import codec\n@dataclasses.dataclass\nclass D:\n    x: int\n"
        "stored = codec.encode(D(1))\nassert codec.decode(stored) == D(1)\nprint(stored.shape)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    for how, name in ((["-m", "pk.inner.mod"], "pk.inner.mod:D"), (["pk/inner/mod.py"], "mod:D")):
        done = subprocess.run(
            [sys.executable, *how], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout) == {"": f"dataclass {name}"}


def test_a_mixed_list_of_thousands_is_restored_in_a_moment() -> None:
    value = [{"t": datetime(2024, 1, 1) if i % 2 else None, "tags": ["a", "b"]} for i in range(6000)]
    stored = encode(value)
    began = clock.process_time()
    assert decode(stored) == value
    assert clock.process_time() - began < 0.4  # it took 1.6 s when each list looked through the whole shape


def test_a_changed_text_or_shape_does_not_match_its_checksum() -> None:
    stored = encode((1, 2))
    assert verified(stored.text, stored.shape, stored.checksum, "x") == stored
    for text, shape in (("[1,3]", stored.shape), (stored.text, '{"":"set"}'), (stored.text, None)):
        with pytest.raises(CorruptRecord):
            verified(text, shape, stored.checksum, "x")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    | st.binary(max_size=5) | st.decimals(allow_nan=False, allow_infinity=False) | st.uuids() | st.dates() | st.times()
    | st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.timedeltas() | st.sampled_from(Colour) | st.just(Word.YES)
)  # fmt: skip
keyable = st.integers() | texts | st.binary(max_size=3) | st.tuples(st.integers(), texts)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(texts | st.sampled_from(["*", "/", "~", "~1", "0"]), inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=3)
        | st.sets(keyable, max_size=3)
        | st.builds(Point, st.integers(), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(trees)
def test_every_tree_of_these_comes_back(value: Any) -> None:
    stored = encode(value)
    assert same(decode(stored), value)
    json.loads(stored.text)
