"""Forms made from JSON schemas."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from polos.core.forms import FormField, answer_of, fields_of_schema


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
