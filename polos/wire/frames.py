"""Frames of messages over a stream: a length before each, many messages in one. Knows nothing of what they mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

import orjson

from polos.wire import forked

VERSION = 1
"""The wire's version: raised whenever a message changes. Another one is refused."""
FRAME = 4 << 20
"""The longest frame in bytes; a longer batch goes in several."""
MESSAGES_LIMIT = 1 << 30
"""The longest batch in bytes; more is an error of the other side."""
_HEAD = Struct(">I")
_MORE = 1 << 31


def packed(messages: Sequence[Any]) -> list[bytes]:
    """Returns messages as the bytes of one or more frames."""
    data = orjson.dumps(messages)
    parts: list[bytes] = []
    for start in range(0, len(data), FRAME):
        part = data[start : start + FRAME]
        more = _MORE if start + FRAME < len(data) else 0
        parts += (_HEAD.pack(len(part) | more), part)
    return parts


class Unpacker:
    """Puts the bytes of a stream together into batches of messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._long = bytearray()  # of a batch in several frames, what has come

    def feed(self, data: bytes) -> list[Any]:
        """Takes what has come, and returns every message that is complete.

        Raises:
            ValueError: these are no frames of ours.
        """
        buffer = self._bytes
        buffer += data
        messages: list[Any] = []
        at = 0
        while len(buffer) - at >= 4:
            (head,) = _HEAD.unpack_from(buffer, at)
            length = head & ~_MORE
            if length > FRAME:
                raise ValueError(f"a frame of {length} bytes")
            if len(buffer) - at - 4 < length:
                break
            part = memoryview(buffer)[at + 4 : at + 4 + length]
            at += 4 + length
            if head & _MORE or self._long:
                self._long += part
                if len(self._long) > MESSAGES_LIMIT:
                    raise ValueError("a batch without an end")
                if not head & _MORE:
                    messages += orjson.loads(self._long)
                    self._long = bytearray()
            else:
                messages += orjson.loads(part)
            part.release()
        del buffer[:at]
        return messages


class Channel(asyncio.Protocol):
    """One connection: messages that gather over a turn of the loop leave as one batch.

    Args:
        on_unsent: called with a message that cannot be written as JSON, and why.
    """

    def __init__(
        self, on_message: Callable[[Any], None], on_lost: Callable[[BaseException | None], None],
        on_unsent: Callable[[Any, Exception], None],
    ) -> None:  # fmt: skip
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_unsent = on_unsent
        self._unpacker = Unpacker()
        self._out: list[Any] = []
        self._scheduled = False
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        forked.opened(self._descriptor)
        if self.lost:  # it was ended between being accepted and being made
            transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._unpacker.feed(data):
                self._on_message(message)
        except Exception as error:  # whatever the other side sent: it ends this connection and nothing else
            self.close(error)

    def connection_lost(self, error: BaseException | None) -> None:
        forked.closed(self._descriptor)
        self._ended(error)

    def send(self, message: Any) -> None:
        """Sends with what else this turn of the loop has to send."""
        self._out.append(message)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Sends what has gathered now."""
        self._scheduled = False
        out, self._out = self._out, []
        if not out or self._transport is None or self.lost:
            return
        try:
            self._transport.writelines(packed(out))
        except TypeError:  # one of them cannot be written: only that one is not sent
            for message in out:
                self._send_alone(message)

    def _send_alone(self, message: Any) -> None:
        assert self._transport is not None
        try:
            self._transport.writelines(packed([message]))
        except TypeError as error:
            self._on_unsent(message, error)

    def pause(self) -> None:
        """Reads nothing more until `resume`: the other side waits."""
        if self._transport is not None and not self.lost:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Reads on."""
        if self._transport is not None and not self.lost:
            self._transport.resume_reading()

    def close(self, error: BaseException | None = None) -> None:
        """Sends what is left and ends the connection."""
        if self._transport is not None and not self.lost:
            self.flush()
            self._transport.close()
        self._ended(error)

    def _ended(self, error: BaseException | None) -> None:
        if not self.lost:
            self.lost = True
            self._on_lost(error)
