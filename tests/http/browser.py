"""Debian's chromium, headless, for pages on loopback; spoken to over its debugging protocol by WebSocket. Asserts nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One headless browser with a page. Enter it on a running loop."""

    def __init__(self, *options: str) -> None:
        self._options = options

    async def __aenter__(self) -> Browser:
        assert FOUND is not None
        self._folder = tempfile.mkdtemp(prefix="polos-chromium-")
        self._process = subprocess.Popen(
            [FOUND, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={self._folder}", *self._options,
             "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        told = Path(self._folder) / "DevToolsActivePort"
        async with asyncio.timeout(30):
            while not (told.exists() and told.read_text().count("\n")):
                await asyncio.sleep(0.02)
        port = int(told.read_text().split()[0])
        pages: list[dict[str, Any]] = json.loads(await asyncio.to_thread(_fetch, f"http://127.0.0.1:{port}/json"))
        path = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"].partition(f":{port}")[2]
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, limit=64 << 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await self._reader.readuntil(b"\r\n\r\n")
        self._number = 0
        await self.call("Page.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result."""
        self._number += 1
        number = self._number
        self._send(json.dumps({"id": number, "method": method, "params": params}).encode())
        async with asyncio.timeout(30):
            while True:
                message = json.loads(await self._receive())
                if message.get("id") == number:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result

    async def goto(self, url: str) -> None:
        """Opens a page and waits until it has loaded."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """Returns what a script gives, awaited."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> None:
        """Looks again and again until a script gives something true; a page that changes under it is looked at anew."""
        async with asyncio.timeout(30):
            while True:
                try:
                    if await self.run(script):
                        return
                except AssertionError:
                    pass
                await asyncio.sleep(0.02)

    async def picture(self) -> bytes:
        """Returns the page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    def _send(self, data: bytes) -> None:
        length = len(data)
        head = bytes([0x81]) + (
            bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack(">H", length)
            if length < 65536 else bytes([0x80 | 127]) + struct.pack(">Q", length)
        )  # fmt: skip
        self._writer.write(head + b"\0\0\0\0" + data)  # a mask of zeros: what is sent is as it is

    async def _receive(self) -> bytes:
        found = b""
        while True:
            head = await self._reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
            found += await self._reader.readexactly(length)
            if head[0] & 0x80:
                return found


def _fetch(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:
        data: bytes = answer.read()
    return data
