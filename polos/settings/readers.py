"""One reader a setting: checks a value and says what is allowed. Knows no file and no environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from polos.errors import UsageError
from polos.settings.urls import SQLITE, database_path, database_url, masked

Durability: TypeAlias = Literal["full", "relaxed"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody gave it. `base`: what a relative path in it starts from."""

    value: object
    where: str
    base: Path


def _refused(key: str, given: Given, allowed: str) -> UsageError:
    shown = "(hidden)" if key == "token" else repr(given.value)
    if key == "database" and isinstance(given.value, str):
        shown = repr(masked(given.value))
    return UsageError(
        f"{given.where}: {key} cannot be {shown}",
        hint=f"{key} is {allowed}",
        place=given.where,
        key=key,
    )


def refuse_unknown(given: Mapping[str, Given]) -> None:
    for key in given.keys() - READERS.keys():
        from difflib import get_close_matches

        near = get_close_matches(key, READERS, 1)
        asked = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"{given[key].where}: there is no setting {key!r} (value {given[key].value!r})",
            hint=f"{asked}the settings are {', '.join(READERS)}",
        )


def _words(key: str, given: Given) -> str:
    if isinstance(given.value, str) and given.value.strip():
        return given.value.strip()
    raise _refused(key, given, "a text that is not empty")


def _modules(key: str, given: Given) -> tuple[str, ...]:
    value = given.value.split(",") if isinstance(given.value, str) else given.value
    if isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value):
        return tuple(item.strip() for item in value)
    raise _refused(key, given, 'a list of packages, folders or files, such as ["workflows/"]')


def _database(key: str, given: Given) -> str:
    url = _words(key, given)
    if url.startswith(SQLITE) or ":" not in url:
        try:
            path = database_path(url if url.startswith(SQLITE) else f"{SQLITE}{url}")
        except UsageError as error:
            raise _refused(key, given, "a file, or a url such as sqlite:///data/polos.db") from error
        written = Path(url.removeprefix(SQLITE).partition("?")[0]).expanduser()
        return database_url(path if written.is_absolute() else given.base / written)
    if url.partition(":")[0] in ("postgresql", "postgres", "http", "https"):
        return url
    raise _refused(key, given, "a file, or a url such as sqlite:///data/polos.db")


def _durability(key: str, given: Given) -> Durability:
    if given.value == "full":
        return "full"
    if given.value == "relaxed":
        return "relaxed"
    raise _refused(key, given, '"full" (survives a power cut) or "relaxed" (survives a crash of the process)')


def _port(key: str, given: Given) -> int:
    number = _number(given.value)
    if number is not None and number.is_integer() and 0 <= number <= 65535:
        return int(number)
    raise _refused(key, given, "a whole number from 0 (any free one) to 65535")


def _lease_seconds(key: str, given: Given) -> float:
    number = _number(given.value)
    if number is not None and 0.1 <= number <= 3600:
        return number
    raise _refused(key, given, "a number of seconds from 0.1 to 3600")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _env_file(key: str, given: Given) -> Path:
    return given.base / Path(_words(key, given)).expanduser()


def _public_url(key: str, given: Given) -> str:
    url = _words(key, given).rstrip("/").lower()
    try:
        found = urlsplit(url)
        is_right = found.scheme in ("http", "https") and found.hostname and (found.port is None or found.port > 0)
    except ValueError:
        is_right = False
    if not is_right or url != f"{found.scheme}://{found.netloc}" or "@" in url:
        raise _refused(key, given, "https://host or http://host:port, without a path")
    return url


READERS: Mapping[str, Callable[[str, Given], object]] = {
    "name": _words,
    "modules": _modules,
    "database": _database,
    "durability": _durability,
    "port": _port,
    "env_file": _env_file,
    "lease_seconds": _lease_seconds,
    "token": _words,
    "public_url": _public_url,
}
