"""Ids as text: how they are written and how people shorten them. Makes none (that takes a clock)."""

from __future__ import annotations

from hashlib import blake2b

# Crockford's base 32 without i, l, o, u: safe to read aloud and to sort as text.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
SHORT_END = 6


def encode_id(milliseconds: int, tail: int) -> str:
    """Returns 26 characters: 48 bits of time, then 80 bits of `tail`; they sort as (time, tail)."""
    number = (milliseconds << 80) | (tail & ((1 << 80) - 1))
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(digits))


def short_end(execution_id: str) -> str:
    """Returns the end by which people tell ids apart (the starts of time-ordered ids are all alike)."""
    return execution_id[-SHORT_END:]


def idempotency_key(execution_id: str, step_key: str, life: int = 0) -> str:
    """Returns the key that every attempt of a step sees (S1.3): 32 hexadecimal digits."""
    text = f"{execution_id}\0{step_key}" + (f"\0{life}" if life else "")
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def workflow_topic(root_workflow_id: str, root_execution_id: str) -> str:
    """Returns the topic on which an execution tree's life is told (S5.4)."""
    return f"workflow/{root_workflow_id}/{root_execution_id}"
