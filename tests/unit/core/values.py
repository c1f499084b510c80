"""Classes that the codec's tests store: at module level, so that they can be found again by name."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from decimal import Decimal
from typing import Any

import pydantic


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any = None


@dataclasses.dataclass(slots=True)
class Counter:
    start: int
    total: int = dataclasses.field(init=False, default=0)


class Address(pydantic.BaseModel):
    street: str
    number: Decimal


class Person(pydantic.BaseModel):
    name: str
    born: datetime
    homes: list[Address] = []
    nick_name: str = pydantic.Field(default="", alias="nickName")


class Outer:
    @dataclasses.dataclass
    class Inner:
        value: int
