"""Database urls: of SQLite files, and refusals in words for others. Opens nothing."""

from __future__ import annotations

from pathlib import Path

from polos.errors import UsageError

SQLITE = "sqlite:///"


def database_url(path: Path) -> str:
    """Returns the url of a SQLite file: three slashes, then the absolute path (so four in all on Unix)."""
    return f"{SQLITE}{path.absolute().as_posix()}"


def database_path(url: str) -> Path:
    """Returns the file of a ``sqlite:///`` url; a relative path starts in the current folder.

    Raises:
        UsageError: the url has another scheme, or no file.
    """
    scheme, colon, _ = url.partition(":")
    if url.startswith(SQLITE) and url[len(SQLITE) :].strip("/") not in ("", ":memory:"):
        return Path(url[len(SQLITE) :].partition("?")[0]).expanduser().absolute()
    hint = f"write {SQLITE}relative/path.db, or {SQLITE}/absolute/path.db with four slashes"
    if scheme in ("postgresql", "postgres"):
        raise UsageError(f"PostgreSQL is not supported yet: {masked(url)}", hint=f"for a SQLite file, {hint}")
    if colon and scheme == "sqlite":
        raise UsageError(f"the database url {url!r} names no file", hint=hint)
    if url.startswith(("http://", "https://")):
        raise UsageError(
            f"{masked(url)} is a server: what runs workflows needs the database itself",
            hint="name the file; or start workflows on that server: polos invoke",
        )
    raise UsageError(f"the database url {masked(url)!r} is not a SQLite file's", hint=hint)


def masked(url: str) -> str:
    """Returns the url without its password."""
    scheme, slashes, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{scheme}{slashes}{user.partition(':')[0]}:***@{host}"
