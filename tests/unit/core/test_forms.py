"""Forms made from JSON schemas."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from polos.core.forms import FormField, answer_of, fields_in, fields_of_schema, mistakes_in, sample_of, value_of


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
        FormField("price", "price", "number"),
        FormField("size", "Size", "string", options=("small", "large"), default="small"),
        FormField("speed", "Speed", "string", True, options=("slow", "fast")),
        FormField("express", "Express", "boolean", default="true"),
        FormField("lines", "Lines", "json", default="[]"),
        FormField("first", "Line", "json"),
        FormField("mixed", "Mixed", "json", default="7"),
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
        "what is ordered is needed", "Count: a whole number", "Speed: one of slow, fast", "Lines: JSON",
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
