"""The one gate before every route (quality.md): host, origin, token, sizes. Knows no route but by how open it is.

Local means loopback, and loopback is no trust boundary: a page in a browser can send requests here, and a rebinding name
can make them look like its own. So a request is answered only where its ``Host`` is exactly one of ours, its ``Origin``,
if it has one, our own, and where it shows the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 8 << 20
"""Bytes of a request's body."""
HEADERS_LIMIT = 32 << 10
"""Bytes of all headers of a request."""
_FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    # With "no-referrer" a browser would send the approval form with the origin "null".
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy",
     b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
)  # fmt: skip


class TooLarge(Exception):
    """The body is over the limit; raised where it is read, for the app to answer."""


class Gate:
    """Wraps an app.

    Args:
        hosts: the exact ``Host`` values that are ours; set once the port is known.
        public_url: the address at which a proxy takes requests for it: its host and its origin are ours, too.
        token: what callers show as ``Authorization: Bearer``.
        is_open: tells whether a path reads and changes no state, or checks its caller itself (a signed link).
    """

    def __init__(
        self, app: App, *, token: str, is_open: Callable[[str], bool], public_url: str | None = None
    ) -> None:  # fmt: skip
        self._app = app
        self._token = token.encode()
        self._is_open = is_open
        self.hosts: frozenset[str] = frozenset()
        self._public_hosts, self._public_origins = _public(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or lets the app answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no websockets here
        refused = self._refusal(scope)
        if refused is not None:
            await answer(send, *refused)
            return
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_LIMIT:
                raise TooLarge
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_FIXED]
            await send(message)

        await self._app(scope, bounded, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str, str, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if sum(len(name) + len(value) for name, value in headers) > HEADERS_LIMIT:
            return 431, "POLOS100", "the headers are too large", "send fewer"
        found: Mapping[bytes, list[bytes]] = _by_name(headers)
        hosts = found.get(b"host", [])
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self.hosts | self._public_hosts:
            hint = "use the address that polos dev shows; where a proxy has another, set POLOS_PUBLIC_URL to that one"
            return 421, "POLOS100", "this host is not served here", hint
        own = {f"http://{host}" for host in self.hosts} | self._public_origins
        for origin in found.get(b"origin", []):
            if origin.decode("latin-1").lower() not in own:
                return 403, "POLOS100", "requests of other origins are refused", "there is no CORS here, on purpose"
        if int(_number(found.get(b"content-length", [b"0"])[-1])) > BODY_LIMIT:
            return 413, "POLOS107", f"a body may have {BODY_LIMIT:,} bytes", "send less"
        if self._is_open(scope["path"]):
            return None
        shown = found.get(b"authorization", [])
        scheme, _, token = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            hint = "Authorization: Bearer TOKEN; it is in POLOS_TOKEN of the server, or in its .polos/server.json"
            return 401, "POLOS100", "this token is not the server's" if shown else "a token is needed", hint
        return None


def _public(url: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the hosts and the origins of an address: a port that its scheme has anyway may be written or not."""
    if url is None:
        return frozenset(), frozenset()
    scheme, _, netloc = url.partition("://")
    usual = ":443" if scheme == "https" else ":80"
    bare = netloc.removesuffix(usual)
    hosts = {bare, f"{bare}{usual}"} if bare != netloc or not netloc.rpartition("]")[2].count(":") else {netloc}
    return frozenset(hosts), frozenset(f"{scheme}://{host}" for host in hosts)


def _by_name(headers: list[tuple[bytes, bytes]]) -> Mapping[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        return BODY_LIMIT + 1


async def answer(send: Send, status: int, code: str, message: str, hint: str) -> None:
    """Sends an error."""
    body = orjson.dumps({"error": {"code": code, "message": message, "hint": hint}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *_FIXED]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
