"""Forms made from JSON schemas."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from polos.core.answers import answer_of, mistakes_in, sample_of, value_of
from polos.core.forms import FormField, fields_in, fields_of_schema


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Line(BaseModel):
    sku: str


class Order(BaseModel):
    item: str = Field(description="what is ordered")
    count: int = 2
    price: float | None = None
    size: Size = Size.SMALL
    speed: Literal["slow", "fast"]
    express: bool = True
    lines: list[Line] = []
    first: Line | None = None
    mixed: int | str = 7


def test_the_fields_of_a_model() -> None:
    fields = fields_of_schema(Order.model_json_schema())
    assert fields == [
        FormField("item", "what is ordered", "string", True),
        FormField("count", "Count", "integer", default="2"),
        FormField("price", "price", "number", is_nullable=True),
        FormField("size", "Size", "string", options=("small", "large"), default="small"),
        FormField("speed", "Speed", "string", True, options=("slow", "fast")),
        FormField("express", "Express", "boolean", default="true"),
        FormField("lines", "Lines", "json", default="[]", rules=(("type", "array"),)),
        FormField("first", "Line", "json", is_nullable=True, rules=(("type", "object"),)),
        FormField("mixed", "Mixed", "any", default="7"),
    ]
    typed = {
        "item": "pen",
        "count": "3",
        "price": "",
        "size": "large",
        "speed": "fast",
        "express": "false",
        "lines": '[{"sku":"a"}]',
    }
    value, mistakes = answer_of(fields, typed)
    assert not mistakes and Order.model_validate(value).lines == [Line(sku="a")] and value["express"] is False
    assert answer_of(fields, {"count": "many", "speed": "warp", "lines": "{"})[1] == [
        "what is ordered is needed", "Count: a whole number", "Speed: one of slow, fast", "Lines: a list, such as [1, 2]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "mistakes"),
    [
        ({"item": "pen", "speed": "slow"}, []),
        ({"item": "pen", "speed": "slow", "count": 3, "price": 1, "express": False, "lines": [], "first": None}, []),
        ({"item": "pen", "speed": "warp"}, ["'speed': one of slow, fast"]),
        ({"item": 7, "speed": "slow", "count": 1.5, "express": "no", "price": True}, [
            "'item': a text", "'count': a whole number", "'price': a number", "'express': true or false",
        ]),
        ({"speed": None, "itme": "pen"}, ["the form has no 'itme'", "'item' is needed", "'speed' is needed"]),
        (True, ["an object with item, count, price, size, speed, express, lines, first, mixed is wanted"]),
    ],
)  # fmt: skip
def test_an_answer_that_is_given_whole_is_checked_too(answer: object, mistakes: list[str]) -> None:
    assert mistakes_in(fields_of_schema(Order.model_json_schema()) or [], answer) == mistakes


def test_a_sample_fits_its_form() -> None:
    fields = fields_of_schema(Order.model_json_schema()) or []
    sample = sample_of(fields)
    assert mistakes_in(fields, sample) == []
    assert sample["count"] == 2 and sample["size"] == "small" and sample["express"] is True
    assert sample_of([]) == {"approved": True} and mistakes_in([], 7) == []


def test_a_field_takes_what_is_typed() -> None:
    (yes,) = fields_in({"form": {"ok": "boolean"}})
    assert value_of(yes, "Yes") is True and value_of(yes, "n") is False
    with pytest.raises(ValueError, match="yes or no"):
        value_of(yes, "perhaps")
    with pytest.raises(ValueError, match="without NUL"):
        value_of(FormField("a", "a", "string"), "a\0")


@pytest.mark.parametrize(
    "schema", [{}, {"type": "integer"}, {"type": "object"}, {"type": "array", "items": {}}, {"properties": 7}]
)
def test_what_has_no_fields_is_typed_as_json(schema: dict[str, object]) -> None:
    assert fields_of_schema(schema) is None


@pytest.mark.parametrize(
    "about",
    [7, None, [], {"$ref": 7}, {"$ref": "#/$defs/Gone"}, {"anyOf": []}, {"enum": 7}, {"$ref": "#/$defs/A"}],
)
def test_strange_schemas_break_nothing(about: object) -> None:
    schema = {"properties": {"a": about}, "required": ["a"], "$defs": {"A": {"$ref": "#/$defs/A"}}}
    fields = fields_of_schema(schema)
    assert fields is not None and fields[0].name == "a"


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ({"schema": TypeAdapter(list[int]).json_schema()}, [[1, 2], "x", None], []),
        ({"schema": {"type": "integer"}}, [5], []),
        ({"form": {"required": True, "properties": {"a": {"type": "integer", "required": True}}}}, [{"a": 1}], [{}]),
        ({"form": {"a": {"type": ["integer", "null"]}}}, [{"a": 5}, {"a": None}], [{"a": "x"}, {}]),
        ({"form": {"a": {}}}, [{"a": 5}, {"a": "x"}, {"a": None}], [{}]),
        ({"form": {"a": "int", "note": {"type": "text", "required": False}}}, [{"a": 5}, {"a": 5, "note": "x"}], [{"a": "5"}]),
        ({"form": {"a": {"enum": ["10", "20"]}}}, [{"a": "10"}], [{"a": 10}, {"a": "1"}]),
        ({"form": {"a": {"enum": [1, 2]}}}, [{"a": 1}], [{"a": "1"}, {"a": 3}]),
        ({"form": {"a": {"type": "integer", "minimum": 1, "exclusiveMaximum": 3}}}, [{"a": 1}], [{"a": 0}, {"a": 3}]),
        ({"form": {"a": {"type": "string", "maxLength": 2}}}, [{"a": "ab"}], [{"a": "abc"}]),
        ({"form": {"a": {"type": "array", "minItems": 1}}}, [{"a": [1]}], [{"a": []}, {"a": {}}]),
        ({"form": {"type": {"enum": ["a", "b"]}, "note": "string"}}, [{"type": "a", "note": "x"}], [{"type": "a"}]),
        ({"form": {"type": "string", "note": "string"}}, [{"type": "x", "note": "y"}], [{"note": "y"}]),
        ({"schema": {"type": ["integer", "null"]}}, [5, None], []),
        ({"schema": {"properties": {"a": {"type": "integer"}}}}, [{"a": 1, "b": 2}], [{"a": "x", "b": 2}]),
        ({"schema": {"properties": {"a": {}}, "additionalProperties": False}}, [{"a": 1}], [{"a": 1, "b": 2}]),
        ({"form": {"a": {"enum": ["10", "20", None]}}}, [{"a": "10"}, {"a": None}], [{"a": 10}]),
        ({"form": {"a": {"anyOf": [{"type": "string"}, {"type": "array"}]}}}, [{"a": "x"}, {"a": []}], []),
        ({"form": {"a": {"type": "object"}}}, [{"a": {}}], [{"a": []}]),
    ],
)  # fmt: skip
def test_answers_are_checked_as_far_as_their_form_is_known(
    form: object, right: list[object], wrong: list[object]
) -> None:
    fields = fields_in(form)
    for answer in right:
        assert mistakes_in(fields, answer) == [], answer
    for answer in wrong:
        assert len(mistakes_in(fields, answer)) == 1, answer
    assert mistakes_in(fields, sample_of(fields)) == []


def test_null_is_typed_where_it_is_a_value() -> None:
    (number,) = fields_in({"form": {"n": {"type": ["integer", "null"]}}})
    (text,) = fields_in({"form": {"n": {"type": ["string", "null"]}}})
    assert value_of(number, "null") is None and value_of(number, "3") == 3 and value_of(text, "null") == "null"
    (either,) = fields_in({"form": {"v": {"anyOf": [{"type": "string"}, {"type": "array"}]}}})
    assert value_of(either, "abc") == "abc" and value_of(either, "[1]") == [1]


class Address(BaseModel):
    city: str


class Check(BaseModel):
    ok: bool
    address: Address
    note: str | None
    extra: Any = None
    tags: list[str] = []


def test_the_schema_of_a_model_takes_what_the_model_takes() -> None:
    fields = fields_in({"schema": Check.model_json_schema()})
    answer = {"ok": True, "address": {"city": "Graz"}, "note": None, "extra": 5}
    assert Check.model_validate(answer) and mistakes_in(fields, answer) == []
    assert mistakes_in(fields, {"ok": True, "address": "Graz"}) == ["'address': an object", "'note' is needed"]
    typed, mistakes = answer_of(fields, {"ok": "true", "address": '{"city": "Graz"}', "note": "", "extra": "plain"})
    assert not mistakes and Check.model_validate(typed) == Check(
        ok=True, address=Address(city="Graz"), note=None, extra="plain"
    )
