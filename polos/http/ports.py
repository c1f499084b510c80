"""The socket on which the API listens. Serves nothing, and imports no server."""

from __future__ import annotations

import errno
import socket

from polos.errors import UsageError

HOST = "127.0.0.1"
TRIES = 100
"""Ports tried from the wanted one on, where none was named."""


def bind(port: int, is_named: bool, host: str = HOST) -> socket.socket:
    """Returns a listening socket at the port, or at the next one that is free where it was not asked for by name.

    Raises:
        UsageError: the port that was asked for is taken, or may not be used.
    """
    wanted = range(port, min(port + TRIES, 65536)) if port and not is_named else [port]
    for number in [*wanted, *([] if is_named else [0])]:
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; else each answer may wait 40 ms.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            listening.listen(512)
        except OSError as error:
            listening.close()
            if is_named:
                why = (
                    "is taken by another process"
                    if error.errno == errno.EADDRINUSE
                    else f"cannot be used: {error.strerror}"
                )
                raise UsageError(
                    f"the port {number} of {host} {why}", hint="leave --port out to have a free one, or name another"
                ) from error
            continue
        listening.setblocking(False)
        return listening
    raise UsageError(f"no port of {host} is free", hint="name one: --port")
