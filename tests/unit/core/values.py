"""Classes that the codec's tests store: at module level, so that they can be found again by name."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar

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


class Planet(enum.Enum):
    EARTH = (5.97e24, 6.37e6)
    MARS = 1.5
    LEGACY = "legacy"
    COLD = None
    NAMED = Decimal("1.0")


class Access(enum.Flag):
    READ = 1
    WRITE = 2


T = TypeVar("T")


class Box(pydantic.BaseModel, Generic[T]):
    v: T


class Animal(pydantic.BaseModel):
    name: str


class Dog(Animal):
    bark: str


class Pair(pydantic.BaseModel):
    animal: Animal


class User(pydantic.BaseModel):
    name: str
    password: str = pydantic.Field(exclude=True)


class Hidden(pydantic.BaseModel):
    name: str
    note: str = pydantic.Field(default="", exclude=True)


class Secret(pydantic.BaseModel):
    s: pydantic.SecretStr


class Loud(pydantic.BaseModel):
    a: int

    @pydantic.model_validator(mode="before")
    @classmethod
    def _once(cls, given: Any) -> Any:
        if isinstance(given, dict) and "again" not in given and getattr(cls, "made", False):
            raise KeyError("boom")
        cls.made = True
        return given

    made: ClassVar[bool] = False


class Raiser(pydantic.BaseModel):
    a: int

    @pydantic.field_validator("a")
    @classmethod
    def _no(cls, given: int) -> int:
        raise KeyError("boom")


@dataclasses.dataclass
class Grows:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclasses.dataclass(eq=False)
class Same:
    x: int
    y: Any


@dataclasses.dataclass
class Unset:
    start: int
    total: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Job:
    blob: bytes
    every: timedelta
    any: Any = None
