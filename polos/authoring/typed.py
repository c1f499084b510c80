"""Values through annotations: what a function's types say of a stored value (S3.2). Imports pydantic only when needed."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import typing
import weakref
from collections import abc
from collections.abc import Callable
from typing import Any

import orjson

from polos.core import codec, jsontext, shapes
from polos.core.model import Stored
from polos.errors import InvalidInput, StoredValueMismatch, UnserializableValue

MISSING: Any = object()
"""Stands for no annotation."""
_PLAIN = {dict, list, str, int, float, bool, type(None), object, Any, None}


def unwrap(fn: Callable[..., Any]) -> Any:
    """Returns the function under partials and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not inspect.isroutine(fn) and not inspect.isclass(fn):
        return getattr(type(fn), "__call__", fn)
    return fn


_returns: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def return_annotation(fn: Callable[..., Any]) -> Any:
    """Returns what `fn` says it returns, or MISSING; strings are resolved where they can be."""
    target = unwrap(fn)
    try:
        return _returns[target]
    except (KeyError, TypeError):
        pass
    found = hints_of(target).get("return", MISSING)
    try:
        _returns[target] = found
    except TypeError:
        pass  # not weakly referable: looked up each time
    return found


def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """Returns a function's resolved annotations; those that cannot be resolved are left out."""
    raw = getattr(fn, "__annotations__", None)
    if not raw:
        return {}
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception:  # a name that is not there (yet), an annotation that is no type: try one by one
        found = {}
        closure = inspect.getclosurevars(fn).nonlocals if inspect.isfunction(fn) else {}
        for name, annotation in raw.items():
            try:
                found[name] = (
                    eval(annotation, getattr(fn, "__globals__", {}), dict(closure))
                    if isinstance(annotation, str)
                    else annotation
                )
            except Exception:  # a name that cannot be resolved here: this one annotation is left out
                continue
        return found


_ONCE = {abc.Iterable, abc.Iterator, abc.Generator, abc.AsyncIterable, abc.AsyncIterator, abc.AsyncGenerator}


@functools.lru_cache(maxsize=1024)
def _says_nothing(annotation: Any) -> bool:
    if annotation in _PLAIN or annotation in _ONCE:
        return True
    if isinstance(annotation, type) and (annotation.__module__, annotation.__name__) == ("pydantic.main", "BaseModel"):
        return True  # any model: what it is, the value says itself
    # What can be read once is no value: pydantic would hand out its own iterator.
    return typing.get_origin(annotation) in _ONCE or any(map(_reads_once, typing.get_args(annotation)))


def _reads_once(annotation: Any) -> bool:
    return typing.get_origin(annotation) in _ONCE or any(map(_reads_once, typing.get_args(annotation)))


def is_plain(annotation: Any) -> bool:
    """True where the annotation says nothing that the stored value does not say itself."""
    try:
        return annotation is MISSING or _says_nothing(annotation)
    except TypeError:
        return False


@functools.lru_cache(maxsize=1024)
def _classes_cached(annotation: Any) -> dict[str, type]:
    found: dict[str, type] = {}
    left = [annotation]
    while left:
        one = left.pop()
        left.extend(typing.get_args(one))
        if not isinstance(one, type) or found.get(shapes.class_name(one)) is one:
            continue
        fields = getattr(one, "__pydantic_fields__", None)
        if dataclasses.is_dataclass(one):
            left.extend(hints_of(one).values())
        elif fields is not None:
            left.extend(field.annotation for field in fields.values())
        elif not issubclass(one, enum.Enum):
            continue
        found[shapes.class_name(one)] = one
    return found


def classes_of(annotation: Any) -> dict[str, type]:
    """Returns the classes that an annotation names, by the names that shapes have for them."""
    try:
        return _classes_cached(annotation)
    except TypeError:
        return {}


@functools.lru_cache(maxsize=1024)
def _cached_adapter(annotation: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)


def adapter(annotation: Any) -> Any:
    """Returns pydantic's adapter of an annotation, or None where it has none."""
    try:
        return _cached_adapter(annotation)
    except TypeError:
        pass
    except Exception:  # pydantic's own errors for types that it cannot make a schema of
        return None
    try:
        from pydantic import TypeAdapter

        return TypeAdapter(annotation)
    except Exception:  # as above
        return None


def encode(value: Any, annotation: Any = MISSING) -> Stored:
    """Returns the value as stored; a value that its annotation does not fit is marked, and decoded by its shape.

    Raises:
        UnserializableValue, PayloadTooLarge: it cannot be stored.
    """
    if is_plain(annotation):
        return codec.encode(value)
    stored = codec.encode(value, known=classes_of(annotation))
    if not _fits(stored, annotation):
        shape = json.loads(stored.shape) if stored.shape else {}
        return Stored(stored.text, json.dumps({**shape, "$": shapes.UNTYPED}))
    return stored


def _fits(stored: Stored, annotation: Any) -> bool:
    try:
        _by_annotation(stored, annotation, strictly=True)
    except Exception:  # also whatever a validator raises
        return False
    return True


def decode(stored: Stored, annotation: Any = MISSING) -> Any:
    """Returns the value as user code sees it, live and on replay alike.

    Raises:
        StoredValueMismatch: it does not fit the annotation, or a class that it names is gone.
    """
    if is_plain(annotation):
        if stored.shape is None:
            return orjson.loads(stored.text)
        return codec.decode(stored)
    if stored.shape is not None and '"$"' in stored.shape:
        return codec.decode(stored, classes_of(annotation))
    return _by_annotation(stored, annotation, strictly=False)


def _by_annotation(stored: Stored, annotation: Any, strictly: bool) -> Any:
    """Returns the value by its shape, as its annotation has it; by the annotation alone if the code has changed.

    Args:
        strictly: the value is new, so that no class of it can have changed.
    """
    validator = adapter(annotation)
    if validator is None:
        return codec.decode(stored, classes_of(annotation))
    if stored.shape is None or stored.shape == _shape_of(annotation):
        return _validated(validator.validate_json, stored.text)
    gone: StoredValueMismatch | None = None
    try:
        value = codec.decode(stored, classes_of(annotation))
        return _validated(validator.validate_python, value)
    except StoredValueMismatch as error:
        if strictly:
            raise
        gone = error if error.__cause__ is None else None
    try:
        return _validated(validator.validate_json, stored.text)
    except StoredValueMismatch as error:
        raise (gone or error) from error.__cause__


def _shape_of(annotation: Any) -> str | None:
    """Returns the shape of a model that is exactly the annotation's class."""
    is_model = isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__")
    if not is_model or dataclasses.is_dataclass(annotation):
        return None
    return json.dumps({"": f"model {shapes.class_name(annotation)}"}, separators=(",", ":"))


def _validated(validate: Callable[..., Any], given: Any) -> Any:
    try:
        return validate(given, by_alias=False, by_name=True)
    except Exception as error:  # pydantic's, and what validators raise besides
        raise StoredValueMismatch(_mismatch(error)) from error


def _mismatch(error: Any) -> str:
    if not hasattr(error, "errors"):
        return f"it does not fit: {type(error).__name__}: {error}"
    first = error.errors(include_url=False)[0]
    path = "".join(f"/{part}" for part in first["loc"])
    return f"it does not fit {error.title} at {path or 'the top'}: {first['msg']}"


def validate_input(value: Any, annotation: Any, workflow_id: str) -> Any:
    """Returns a payload as the workflow's parameter wants it, checked before anything is stored.

    Raises:
        InvalidInput: with every wrong field.
    """
    if is_plain(annotation) and (
        annotation in (MISSING, Any, object) or type(value) is annotation or annotation not in _PLAIN
    ):
        return value
    validator = adapter(annotation)
    if validator is None:
        return value
    from pydantic import ValidationError

    try:
        if isinstance(annotation, type) and isinstance(value, annotation):
            return value
    except TypeError:
        pass
    try:
        return validator.validate_python(value)
    except ValidationError as first:
        if value is None:  # left out: what is missing is said field by field, and defaults may do
            return validate_input({}, annotation, workflow_id)
        try:  # what came over JSON has no tuples, dates or bytes yet
            return validator.validate_json(jsontext.dumps(value))
        except Exception:  # of pydantic, of JSON, of the user's validators: what was wrong first is said
            raise invalid(first, workflow_id) from None
    except Exception as error:  # a validator of the user's that raises what pydantic does not take for a mistake
        said = f"its validator raised {type(error).__name__}: {error}"
        raise InvalidInput(
            f"the payload for {workflow_id!r} does not fit: {said}",
            hint=f"see what it takes: polos workflows {workflow_id}; to name the field, let the validator raise ValueError",
            errors=(("payload", said),),
        ) from error


def invalid(error: Any, workflow_id: str) -> InvalidInput:
    """Returns the error that names every wrong field."""
    fields = tuple(
        (".".join(str(part) for part in item["loc"]) or "payload", item["msg"])
        for item in error.errors(include_url=False)
    )
    lines = "".join(f"\n    {path}: {message}" for path, message in fields)
    return InvalidInput(
        f"the payload for {workflow_id!r} does not fit:{lines}",
        hint=f"see what it takes: polos workflows {workflow_id}",
        errors=fields,
    )


def json_schema(annotation: Any) -> dict[str, Any]:
    """Returns the JSON schema of an annotation; empty where anything goes."""
    if annotation in (MISSING, Any, object):
        return {}
    validator = adapter(annotation)
    if validator is None:
        return {}
    try:
        return dict(validator.json_schema())
    except Exception:  # types without a schema: anything goes
        return {}


def parameter_schema(annotation: Any, parameter: inspect.Parameter) -> dict[str, Any]:
    """Returns the JSON schema of a parameter: a plain value bears its name, and all their default."""
    schema = json_schema(annotation)
    if schema.get("type") in ("string", "integer", "number", "boolean"):
        schema = {"title": parameter.name, **schema}
    if parameter.default is not inspect.Parameter.empty:
        try:
            return {**schema, "default": codec.plain(codec.encode(parameter.default))}
        except UnserializableValue:
            pass  # it is the function's own affair
    return schema
