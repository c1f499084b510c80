"""Text from anywhere made safe to show: what steers a terminal or hides is spelled out. Styles nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_HIDING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences, bells, carriage returns
    "\u00ad\u061c\u115f\u1160\u180e\u3164\uffa0"  # soft hyphen, Arabic letter mark, blank fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero-width, separators, bidi overrides and isolates
    "\ufff9-\ufffb\ud800-\udfff"  # interlinear marks, lone surrogates
    "\U000e0000-\U000e01ef"  # tags and rare variation selectors
)
_HARMFUL = re.compile(f"[{_HIDING}\t\n]")
_IN_JSON = re.compile(f"[{_HIDING}]")


class Clean(str):
    """Text that is safe to write as it is: it came through `sanitize`, or is such text with styles."""

    __slots__ = ()


def sanitize(text: str, multiline: bool = False) -> Clean:
    """Returns the text with what steers, hides or reorders made visible: ``\\x1b``, ``\\u202e``.

    Args:
        text: anything; `Clean` text is returned as it is.
        multiline: keep line ends; otherwise they are shown as ``\\n``. Tabs become four spaces either way.
    """
    if isinstance(text, Clean):
        return text
    if multiline:
        text = text.replace("\r\n", "\n")

    def shown(match: re.Match[str]) -> str:
        sign = match.group()
        if sign == "\t":
            return "    "
        if sign == "\n":
            return "\n" if multiline else "\\n"
        if sign == "\u200d" and _joins_emoji(text, match.start()):
            return sign
        return _spelled(sign)

    return Clean(_HARMFUL.sub(shown, text))


def json_safe(text: str) -> Clean:
    """Returns JSON text that means the same, with what sanitize would spell out written as JSON escapes."""

    def escaped(match: re.Match[str]) -> str:
        sign = match.group()
        if sign < "\x20":
            return sign  # only between tokens: inside strings JSON has escaped them
        pairs = sign.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))

    return Clean(_IN_JSON.sub(escaped, text))


def join(parts: Iterable[str], separator: str = "") -> Clean:
    """Returns the parts as one text, sanitizing each that is not clean already."""
    return Clean(sanitize(separator).join(sanitize(part) for part in parts))


def width(text: str) -> int:
    """Returns how many columns sanitized text takes; wide East Asian signs and emoji take two."""
    if text.isascii():
        return len(text)
    return sum(_sign_width(sign) for sign in text)


def clip(text: str, columns: int, mark: str = "…") -> Clean:
    """Returns sanitized, unstyled text cut to at most `columns`, ending in `mark` where something was cut."""
    text = sanitize(text)
    if len(text) <= columns and text.isascii():
        return text
    room, taken, cut = columns - width(mark), 0, -1
    for at, sign in enumerate(text):  # no further than what is kept: texts may be long
        taken += _sign_width(sign)
        if taken > room and cut < 0:
            cut = at
        if taken > columns:
            return Clean("") if room < 0 else Clean(text[:cut] + mark)
    return text


def pad(text: str, columns: int, right: bool = False) -> Clean:
    """Returns sanitized, unstyled text with spaces to `columns`; `right`: aligned to the right."""
    text = sanitize(text)
    blank = " " * max(0, columns - width(text))
    return Clean(blank + text if right else text + blank)


def _sign_width(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _joins_emoji(text: str, at: int) -> bool:
    """Between two pictures a zero-width joiner makes one of them (families); anywhere else it hides."""
    before = text[:at].rstrip("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")[-1:]
    after = text[at + 1 : at + 2]
    return all(sign and unicodedata.category(sign) == "So" for sign in (before, after))


def _spelled(sign: str) -> str:
    number = ord(sign)
    if number <= 0xFF:
        return {"\r": "\\r"}.get(sign, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
