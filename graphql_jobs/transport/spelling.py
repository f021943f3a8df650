"""Spellings of a text within another one: percent-encoded, escaped for JSON or HTML, or several of these. Pure."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from urllib.parse import unquote_to_bytes

# The last alternative is one of the others, cut off at the end of the text.
_ESCAPE = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+|(?:\\u[0-9A-Fa-f]{4})+|\\x[0-9A-Fa-f]{2}|\\U[0-9A-Fa-f]{8}|\\[^uxU]|&#?[0-9A-Za-z]{1,8};|\+"
    r"|(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?|U[0-9A-Fa-f]{0,7})?|&#?[0-9A-Za-z]{0,8})\Z"
)
#: Each escape begins with one of these.
_ESCAPE_SIGNS = re.compile(r"[%\\&+]")
_NO_LETTER = 0x110000
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
#: Our choice: enough for JSON within JSON within a form.
_LEVELS = 4
#: The number of base64 characters that share bits with the bytes before a secret, if it begins at byte 0, 1 or 2.
_SHARED_CHARACTERS = (0, 2, 3)


class Spelled:
    """A text with some levels of escapes resolved, and the position of each of its characters in the original."""

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str, starts: list[int] | range, ends: list[int] | range) -> None:
        self.text, self.starts, self.ends = text, starts, ends

    def read(self) -> Spelled:
        """Return the text with one more level resolved."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for match in _ESCAPE.finditer(self.text):
            start, end = match.span()
            parts.append(self.text[at:start])
            starts += self.starts[at:start]
            ends += self.ends[at:start]
            meant = _meaning(match[0])
            parts.append(meant)
            starts += [self.starts[start]] * len(meant)
            ends += [self.ends[end - 1]] * len(meant)
            at = end
        parts.append(self.text[at:])
        return Spelled("".join(parts), [*starts, *self.starts[at:]], [*ends, *self.ends[at:]])


def readings(text: str) -> list[Spelled]:
    """Return the text unchanged, and with its escapes resolved once, twice, and so on."""
    levels = [Spelled(text, range(len(text)), range(1, len(text) + 1))]
    while len(levels) <= _LEVELS and has_escapes(levels[-1].text):
        read = levels[-1].read()
        if read.text == levels[-1].text:
            break
        levels.append(read)
    return levels


def has_escapes(text: str) -> bool:
    """Whether the text may have escapes."""
    return _ESCAPE_SIGNS.search(text) is not None


def resolved(text: str) -> str:
    """Return the text with all escapes resolved: equal for all spellings of a text."""
    return readings(text)[-1].text


def in_base64(text: str) -> set[str]:
    """Return the parts that `text` contributes to base64 texts that contain it, for each position."""
    raw, found = text.encode(errors="replace"), set()
    for before, shared in enumerate(_SHARED_CHARACTERS):
        whole = (before + len(raw)) * 8 // 6
        for altchars in (b"+/", b"-_"):
            found.add(b64encode(b"\0" * before + raw, altchars).decode()[shared:whole])
    return found


def _meaning(escape: str) -> str:
    if escape == "+":  # a blank in a form
        return " "
    if escape[0] == "%":
        return unquote_to_bytes(escape).decode(errors="ignore") if len(escape) > 2 else ""
    if escape[0] == "&":
        return html.unescape(escape) if escape[-1] == ";" else ""
    if escape.startswith("\\u"):
        units = [int(unit, 16) for unit in escape.split("\\u") if len(unit) == 4]
        return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be", errors="ignore")
    if escape.startswith(("\\x", "\\U")):
        code = int(escape[2:], 16) if len(escape) in {4, 10} else _NO_LETTER
        return chr(code) if code < _NO_LETTER else ""
    return _LETTERS.get(escape[1:], escape[1:])
