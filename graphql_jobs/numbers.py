"""JSON numbers that keep all their digits, where a float would round them."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from math import isfinite
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Self

from graphql_jobs.parsing import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Numbers that a float or a 64-bit integer may round: with more than 15 digits, or with a large exponent. It may match
#: within a text, too: then the response is only read more slowly. Python's parser keeps every integer, orjson does not.
_MAY_BE_ROUNDED = re.compile(r"[0-9][0-9.]{15}|[0-9][eE][+-]?[0-9]{3}")
#: A float keeps all digits of a number of this many characters.
_SURELY_EXACT = 16
_STRING_OR_NO_NUMBER = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|NaN|-?Infinity')

_exactly: ContextVar[bool] = ContextVar("exactly", default=False)


class ExactNumber(float):
    """A float that approximates the JSON number; `text` has all digits."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Create the number from `text`."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override] # what unpickling calls `__new__` with
        return (self.text,)

    def __repr__(self) -> str:
        """Return its text."""
        return self.text


@contextmanager
def exact_numbers() -> Iterator[None]:
    """Keep all digits of the numbers in responses within this block. This is slower, so polls do not use it."""
    token = _exactly.set(True)
    try:
        yield
    finally:
        _exactly.reset(token)


def decoded_answer(text: str) -> Any:
    """Return the JSON value in `text`, with exact numbers within `exact_numbers`. Raises `ValueError`."""
    value = decoded(text)
    if not _exactly.get() or not _MAY_BE_ROUNDED.search(text):
        return value
    return _sendable(json.loads(text, parse_float=_exact_float))


def json_text(value: Any) -> str:
    """Return JSON text with all digits. NaN and Infinity, which JSON does not have, become null."""
    tag = token_hex(16)  # random, so that no server can put it into a text
    text = json.dumps(_tagged(value, tag))
    if tag not in text and "NaN" not in text and "Infinity" not in text:
        return text

    def said(found: re.Match[str]) -> str:
        token = found[0]
        if token[0] != '"':
            return "null"
        return token[1 + len(tag) : -1] if token.startswith(tag, 1) else token

    return _STRING_OR_NO_NUMBER.sub(said, text)


def _exact_float(text: str) -> float:
    number = float(text)
    if text == repr(number) or (len(text) <= _SURELY_EXACT and "e" not in text and "E" not in text):
        return number  # nearly always, and five times as fast
    try:
        is_exact = isfinite(number) and Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent beyond Decimal's bounds
        is_exact = False
    return number if is_exact else ExactNumber(text)


def _tagged(value: Any, tag: str) -> Any:
    if isinstance(value, dict):
        return {name: _tagged(item, tag) for name, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item, tag) for item in value]
    return f"{tag}{value.text}" if isinstance(value, ExactNumber) else value


def _sendable(value: Any) -> Any:
    """Replace each half of a surrogate pair, which cannot be encoded, by a question mark, as `decoded` does."""
    if isinstance(value, dict):
        return {_sendable(name): _sendable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) and not value.isascii() else value
