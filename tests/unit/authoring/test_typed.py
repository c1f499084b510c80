"""Values through annotations: what was returned comes back, and annotations serve code that has changed (S3.2)."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Generator, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pydantic
import pytest

from polos.authoring import typed
from polos.core.model import Stored
from polos.errors import StoredValueMismatch, UnserializableValue
from tests.unit.core import values
from tests.unit.core.values import Animal, Box, Counter, Dog, Job, Planet, Raiser

JOB = Job(b"hello", timedelta(seconds=5), (1, 2))
DOG = Dog(name="rex", bark="wuff")


def around(value: Any, annotation: Any) -> Any:
    return typed.decode(typed.encode(value, annotation), annotation)


def counted() -> Counter:
    counter = Counter(1)
    counter.total = 5
    return counter


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (JOB, Job), ([JOB], list[Job]), ({"a": JOB}, dict[str, Job]), (JOB, Job | None), (counted(), Counter),
        (Planet.EARTH, Planet), (Box[int](v=1), Box[int]), ({"blob": b"x"}, Any),
    ],
)  # fmt: skip
def test_an_annotated_dataclass_comes_back_as_it_was(value: Any, annotation: Any) -> None:
    back = around(value, annotation)
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [(DOG, Animal), (DOG, pydantic.BaseModel), ([DOG], list[Animal]), (DOG, Animal | None), (DOG, Dog | Animal)],
)
def test_a_subclass_keeps_its_fields_under_the_annotation_of_its_base(value: Any, annotation: Any) -> None:
    assert repr(around(value, annotation)) == repr(value)


def test_a_model_is_made_of_plain_json_where_the_annotation_says_so() -> None:
    assert around({"name": "rex"}, Animal) == Animal(name="rex")
    assert around({"name": 1}, Animal) == {"name": 1}


def test_a_validator_that_raises_anything_is_no_reason_to_stop() -> None:
    assert around({"a": 1}, Raiser) == {"a": 1}
    with pytest.raises(StoredValueMismatch, match="boom"):
        typed.decode(Stored('{"a":1}'), Raiser)


@pytest.mark.parametrize(
    "annotation", [Iterable[int], Iterator[int], Generator[int, None, None], Iterable, list[Iterable[int]]]
)
def test_what_can_be_read_once_says_nothing_of_the_value(annotation: Any) -> None:
    assert around([1, 2, 3], annotation) == [1, 2, 3]
    assert typed.validate_input([1, 2, 3], annotation, "w") == [1, 2, 3]


def test_local_classes_are_stored_where_the_annotation_names_them() -> None:
    class Kind(enum.Enum):
        A = (1, 2)

    @dataclasses.dataclass
    class Local:
        x: bytes
        kind: Any = None

    class Model(pydantic.BaseModel):
        x: int

    assert around(Local(b"x"), Local) == Local(b"x")
    assert around([Local(b"x"), Model(x=1), Kind.A], list[Local | Model | Kind]) == [Local(b"x"), Model(x=1), Kind.A]
    for annotation in (typed.MISSING, dict, Animal):
        with pytest.raises(UnserializableValue, match="Local"):
            typed.encode(Local(b"x"), annotation)


def test_the_annotation_decodes_what_a_renamed_class_has_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, many = typed.encode(DOG, Animal), typed.encode([DOG, DOG], list[Dog])

    class Hound(pydantic.BaseModel):
        name: str
        bark: str

    monkeypatch.delattr(values, "Dog")
    assert typed.decode(stored, Hound) == Hound(name="rex", bark="wuff")
    assert typed.decode(many, list[Hound]) == [Hound(name="rex", bark="wuff")] * 2
    for annotation in (typed.MISSING, list[int]):
        with pytest.raises(StoredValueMismatch, match="no such class is there now"):
            typed.decode(stored, annotation)


def test_the_annotation_decodes_what_an_older_class_has_stored() -> None:
    class Hound(pydantic.BaseModel):
        name: str

    assert typed.decode(typed.encode(DOG, Dog), Hound) == Hound(name="rex")
    with pytest.raises(StoredValueMismatch):
        typed.decode(typed.encode(DOG, Dog), Counter)
