"""What all models share: values with their shapes, instants, failures, errors.

Values are plain JSON; where a value holds types that JSON has not, its ``shape`` beside it names them (S3.1). Instants are
RFC 3339 in UTC, spans are seconds.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from polos.authoring.payload import instant
from polos.core import codec
from polos.core.model import Failure, Stored
from polos.core.shapes import Shape

Text = Annotated[str, Field(min_length=1, max_length=512)]


def _is_written_out(value: object) -> object:
    """Refuses numbers, which might be read as seconds or as milliseconds."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("an instant is written as RFC 3339 has it: 2026-11-24T10:00:00Z")
    if isinstance(value, int | float):
        raise ValueError("an instant is text: 2026-11-24T10:00:00Z")
    return value


Instant = Annotated[datetime, BeforeValidator(_is_written_out)]


class Taken(BaseModel):
    """What a request may hold: no field of another name."""

    model_config = ConfigDict(extra="forbid")


def value_of(stored: Stored | None) -> Any:
    return None if stored is None else codec.plain(stored)


def shape_of(stored: Stored | None) -> Shape | None:
    return orjson.loads(stored.shape) if stored is not None and stored.shape else None


def stored_of(value: Any, shape: Shape | None) -> Stored:
    """Returns a value as it is stored, of what was said of it."""
    stored = codec.encode(value)
    return Stored(stored.text, orjson.dumps(shape).decode()) if shape else stored


def at(micros: int | None) -> datetime | None:
    return None if micros is None else instant(micros)


class FailureOut(BaseModel):
    """An exception as it was recorded."""

    type: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, failure: Failure | None) -> FailureOut | None:
        """Returns it, where there is one."""
        if failure is None:
            return None
        return cls(type=failure.type_name, message=failure.message, traceback=failure.traceback_text)

    def record(self) -> Failure:
        """Returns it as a record."""
        return Failure(type_name=self.type, message=self.message, traceback_text=self.traceback)


class Problem(BaseModel):
    """An error's facts."""

    code: str = Field(description="stable, such as POLOS103")
    message: str
    hint: str = ""
    errors: list[tuple[str, str]] = Field(default=[], description="(path, message) of each wrong field")
    facts: dict[str, Any] = {}


class ErrorOut(BaseModel):
    """What every refusal says."""

    error: Problem


class Done(BaseModel):
    """It was done."""

    ok: Literal[True] = True
