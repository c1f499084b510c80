"""Signed links to the page on which a person answers a suspend. Serves nothing.

The signature is an HMAC-SHA256 (its first 128 bits) over the execution, its life, the step and the second at which the link
expires; the first answer uses the link up, since a suspend takes one answer only (S4.4).
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlencode

from polos.clock import secret
from polos.core.durations import SECOND
from polos.core.model import Execution

KEY_FILE = "approvals.key"
VALID_FOR = 7 * 86_400 * SECOND
"""Microseconds after which a link expires, unless told otherwise."""


def key_of(folder: Path) -> bytes:
    """Returns the key of a project's links, made on first use: a restart leaves links valid."""
    path = folder / KEY_FILE
    try:
        found = path.read_bytes()
        if len(found) == 32:
            return found
    except OSError:
        pass
    made = secret(32)
    new = folder / f"{KEY_FILE}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(made)
    new.replace(path)
    return made


@dataclass(slots=True)
class Links:
    """Makes and checks links; `base` is the server's address."""

    key: bytes
    base: str = ""

    def to(self, execution: Execution, step: str, expires_at: int) -> str:
        """Returns the link to a suspend's page."""
        until = expires_at // SECOND
        told = urlencode({"until": until, "by": self._sign(execution, step, until)})
        return f"{self.base}/approve/{execution.id}/{quote(step, safe='')}?{told}"

    def is_valid(self, execution: Execution, step: str, until: int, signature: str, now: int) -> bool:
        """Tells whether a link was made here, for this suspend, and has not expired. `until`: seconds; `now`: microseconds."""
        made = self._sign(execution, step, until)
        return hmac.compare_digest(made.encode(), signature.encode("utf-8", "replace")) and now < until * SECOND

    def _sign(self, execution: Execution, step: str, until: int) -> str:
        signed = "\n".join((execution.id, str(execution.life), str(until), step)).encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.new(self.key, signed, sha256).digest()[:16]).decode().rstrip("=")
