"""One gate before every route: every route and method, with every wrong host, origin and token, and none is open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from polos.clock import SystemClock
from polos.http.app import build
from polos.http.hosting import HostedApi
from polos.http.links import Links
from polos.http.ports import bind
from polos.http.table import TABLE
from tests.http.conftest import TOKEN, Served

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
OPEN = {"/api/v1/health", "/api/v1/openapi.json", "/"}


def paths() -> list[str]:
    names = {"workflow": "order", "execution": "1", "schedule": "s"}
    found = {"/api/v1" + route.path.format(**names) for route in TABLE}
    return sorted(found | {"/", "/approve/exec_1/step", "/api", "/api/v1", "/api/v2/executions", "/favicon.ico"})


async def ask(served: Served, method: str, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=20) as http:
        request = http.build_request(method, path, headers=headers, json={} if method not in ("GET", "HEAD") else None)
        return await http.send(request)


async def walk(served: Served, **headers: str) -> list[tuple[str, str, int, dict[str, str]]]:
    found = []
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=20) as http:
        for path in paths():
            for method in METHODS:
                request = http.build_request(
                    method, path, headers=headers, json=None if method in ("GET", "HEAD") else {}
                )
                if path == "/api/v1/events/stream" and method == "GET" and headers.get("origin") == served.url:
                    continue  # answered, it has no end
                answer = await http.send(request)
                found.append((method, path, answer.status_code, dict(answer.headers)))
    return found


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
async def test_no_other_host_is_answered(served: Served, host: str) -> None:
    for method, path, status, _ in await walk(served, host=host, authorization=f"Bearer {TOKEN}"):
        assert status == 421, (method, path)


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_no_other_origin_is_answered(served: Served, origin: str) -> None:
    for method, path, status, headers in await walk(served, origin=origin, authorization=f"Bearer {TOKEN}"):
        assert status == 403, (method, path)
        assert not any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize("shown", [None, "Bearer wrong"])
async def test_without_the_token_nothing_is_told(served: Served, shown: str | None) -> None:
    headers = {} if shown is None else {"authorization": shown}
    for method, path, status, _ in await walk(served, **headers):
        if path in OPEN:
            assert status in (200, 404, 405), (method, path)
        elif path.startswith("/approve/"):
            assert status in (403, 405), (method, path)
        else:
            assert status == 401, (method, path)


async def test_hosts_origins_and_tokens_that_look_like_ours_are_not(served: Served) -> None:
    port, path = served.url.rpartition(":")[2], "/api/v1/executions"
    auth = {"authorization": f"Bearer {TOKEN}"}
    for host in ("evil.example:{}", "localhost.evil.example:{}", "127.0.0.1:{}.evil.example", "0.0.0.0:{}", "127.1:{}",
                 "127.0.0.1:{}@evil.example", "127.0.0.1.:{}", "127.0.0.1:0{}"):  # fmt: skip
        assert (await ask(served, "GET", path, host=host.format(port), **auth)).status_code == 421, host
    for origin in ("https://127.0.0.1:{}", "http://127.0.0.1", "http://localhost:1", "http://127.0.0.1:{}.evil.example",
                   "http://evil.example:{}", "http://127.0.0.1:{}/", ""):  # fmt: skip
        assert (await ask(served, "GET", path, origin=origin.format(port), **auth)).status_code == 403, origin
    for shown in (
        "Bearer",
        "",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer x, Bearer {TOKEN}",
    ):
        assert (await ask(served, "GET", path, authorization=shown)).status_code == 401, shown
    assert (
        await ask(served, "GET", path, host=f"localhost:{port}", origin=f"http://localhost:{port}", **auth)
    ).status_code == 200


async def test_with_all_that_is_needed_it_answers(served: Served) -> None:
    found = await walk(served, authorization=f"Bearer {TOKEN}", origin=served.url)
    assert not [one for one in found if one[2] in (401, 403, 421) and not one[1].startswith("/approve/")]
    assert {status for method, path, status, _ in found if (method, path) == ("GET", "/api/v1/executions")} == {200}
    assert all(status != 500 for _, _, status, _ in found)
    assert all(headers["x-content-type-options"] == "nosniff" for _, _, _, headers in found)


async def raw(served: Served, *lines: str, body: bytes = b"") -> bytes:
    """Sends a request as it is typed."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.readline()
    finally:
        writer.close()


async def test_two_hosts_none_or_odd_ones(served: Served) -> None:
    own, auth = served.url.removeprefix("http://"), f"Authorization: Bearer {TOKEN}"
    get = "GET /api/v1/executions HTTP/1.1"
    assert b" 200 " in await raw(served, get, f"Host: {own}", auth)
    for hosts in ([f"Host: {own}", "Host: evil.example"], [f"Host: {own}", f"Host: {own}"], []):
        assert b" 4" in await raw(served, get, *hosts, auth)
    assert b" 421 " in await raw(served, "GET /api/v1/executions HTTP/1.0", auth)
    absolute = "GET http://evil.example/api/v1/executions HTTP/1.1"
    assert b" 200 " not in await raw(served, absolute, "Host: evil.example", auth)


async def test_whoever_leaves_within_a_body_does_nothing_and_breaks_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    store = served.host.store
    assert store is not None and store.owner is not None
    app = build(store.owner.store, SystemClock(), token=TOKEN, links=Links(b"secret", ""))
    host = served.url.removeprefix("http://").encode()
    app.hosts = frozenset({host.decode()})
    headers = [(b"host", host), (b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")]
    for path in ("/api/v1/events", "/approve/exec_1/step"):
        said = iter([
            {"type": "http.request", "body": b'{"events"', "more_body": True}, {"type": "http.disconnect"}
        ])  # fmt: skip
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b"",
                 "http_version": "1.1", "scheme": "http"}  # fmt: skip

        async def receive(said: Any = said) -> Any:
            return next(said)

        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert sent[0]["status"] in (400, 403, 404)
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
    assert await served.get("/events") == []


async def test_sizes_are_bounded(served: Served) -> None:
    own = f"Host: {served.url.removeprefix('http://')}"
    auth, post = f"Authorization: Bearer {TOKEN}", "POST /api/v1/events HTTP/1.1"
    kind = "Content-Type: application/json"
    assert b" 413 " in await raw(served, post, own, auth, kind, "Content-Length: 99999999999")
    assert b" 4" in await raw(served, post, own, auth, kind, "Content-Length: -1")
    assert b" 4" in await raw(served, "GET /api/v1/executions HTTP/1.1", own, auth, "X: " + "y" * 40_000)
    big: Any = {"events": [{"topic": "t", "data": "x" * (9 << 20)}]}
    assert (await served.http.post("/api/v1/events", json=big)).status_code == 413

    async def endless() -> Any:
        for _ in range(200):
            yield b"x" * 100_000

    answer = await served.http.post("/api/v1/events", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert (
        await served.http.post("/api/v1/events", content=b"{}", headers={"content-type": "text/plain"})
    ).status_code == 415


@pytest.mark.parametrize(
    ("url", "hosts", "origins"),
    [
        ("https://polos.example.org", ["polos.example.org", "polos.example.org:443"],
         ["https://polos.example.org", "https://polos.example.org:443"]),
        ("http://polos.example.org:8080", ["polos.example.org:8080"], ["http://polos.example.org:8080"]),
        ("http://[::5]", ["[::5]", "[::5]:80"], ["http://[::5]"]),
    ],
)  # fmt: skip
async def test_the_address_of_a_proxy_is_ours_too(
    served: Served, url: str, hosts: list[str], origins: list[str]
) -> None:
    store = served.host.store
    assert store is not None and store.owner is not None
    app = build(store.owner.store, SystemClock(), token=TOKEN, links=Links(b"secret", ""), public_url=url)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://any", trust_env=False)
    async with http:
        auth = {"authorization": f"Bearer {TOKEN}"}
        for host in hosts:
            for origin in origins:
                answer = await http.get("/api/v1/executions", headers={"host": host, "origin": origin, **auth})
                assert answer.status_code == 200, (host, origin)
        for host in ("evil.example", f"{hosts[0]}.evil.example", f"{hosts[0]}1", "any"):
            assert (await http.get("/api/v1/executions", headers={"host": host, **auth})).status_code == 421, host
        for origin in ("http://evil.example", f"{origins[0]}1", "https://127.0.0.1", "null"):
            answer = await http.get("/api/v1/executions", headers={"host": hosts[0], "origin": origin, **auth})
            assert answer.status_code == 403, origin
        assert (await http.get("/api/v1/executions", headers={"host": hosts[0]})).status_code == 401


async def test_links_name_the_address_of_the_proxy(served: Served, tmp_path: Path) -> None:
    started = await served.asking({"question": "?"})
    store = served.host.store
    assert store is not None and store.owner is not None
    found = await store.get(started["execution"])
    assert found is not None
    listening = bind(0, True, "0.0.0.0")
    api = HostedApi(store.owner.store, SystemClock(), listening, tmp_path, TOKEN, "https://polos.example.org")
    await api.start()
    try:
        assert api.link_to(found, "ask/it").startswith("https://polos.example.org/approve/exec_")
        assert api.url.startswith("http://127.0.0.1:"), "from here it is called so"
        async with httpx.AsyncClient(base_url=api.url, trust_env=False) as http:
            assert (await http.get("/api/v1/health")).status_code == 200
    finally:
        await api.close()
