"""Whether an entry of `errors` says that the request was rate limited, in its code or in its message. Pure.

Sources of the spellings: Shopify (`THROTTLED`), Linear (`RATELIMITED`), GitHub (`type: RATE_LIMITED`), AWS
(`ThrottlingException`, `TooManyRequestsException`, "Rate exceeded", the code also as `__type`), Azure
(`RequestRateTooLarge`), NestJS ("ThrottlerException: Too Many Requests"), Netflix DGS (`ENHANCE_YOUR_CALM`), and aiWARE
(`rate_limited`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Codes, in lower case and without punctuation.
_CODE = re.compile(
    r"ratelimit|toomany(api)?(request|call)|throttl|slowdown|requestlimitexceeded|requestratetoolarge|enhanceyourcalm|^429$"
)
_PUNCTUATION = re.compile(r"[^a-z0-9]")
#: The name of an exception at the beginning of a message.
_NAMED = re.compile(r"^\w{0,40}(throttl|rate_?limit|toomanyrequests)\w{0,40}(exception|error)\b")
#: Plain words in a message. A known code overrides them.
_WORDS = re.compile(
    r"\btoo many (api )?(requests|calls)\b"
    r"|\brate[ _-]?limit(s|ed|ing)?( \w{1,10}){0,2} (exceeded|reached|hit)\b"
    r"|\bexceed(s|ed)?( \w{1,20}){0,4} rate[ _-]?limits?\b"
    r"|^rate[ _-]?limit(ed)?\b|\b(are|is|was|been|being) (rate[ _-]?limited|throttled)\b"
    r"|^throttl(ed|ing)\b|\brate exceeded\b|^(please )?slow down\b"
)
#: Our choice: longer texts are not codes, and the start of a message has its subject.
_CODE_CHARACTERS, _MESSAGE_CHARACTERS = 60, 200
#: Where a code may be. In `data`, "name" and "type" may belong to an object of the provider.
_KEYS_IN_DATA = ("code", "errorName", "errorCode", "errorType", "status", "statusCode")
_KEYS = (*_KEYS_IN_DATA, "type", "__type", "name", "error", "classification")


def has_throttle_code(entry: Mapping[str, object]) -> bool:
    """Whether a code, a status or an exception's name in it says so. This overrides all else in it."""
    return any(_CODE.search(_PUNCTUATION.sub("", code.casefold())) for code in _codes(entry)) or bool(
        _NAMED.search(_message(entry))
    )


def has_throttle_words(entry: Mapping[str, object]) -> bool:
    """Whether its message says so in plain words."""
    return bool(_WORDS.search(_message(entry)))


def says_throttled(body: Mapping[str, object]) -> bool:
    """Whether the JSON body of a refused request, from a gateway or token endpoint and not GraphQL, says so."""
    inner = body.get("error")
    objects = [body, inner] if isinstance(inner, dict) else [body]
    return any(has_throttle_code(one) or has_throttle_words(one) for one in objects)


def _codes(entry: Mapping[str, object]) -> Iterator[str]:
    """Yield the values that may be codes: at the top, in `extensions` and `data`, and one object deeper."""
    yield from _codes_of(entry, _KEYS)
    for one, keys in ((entry.get("extensions"), _KEYS), (entry.get("data"), _KEYS_IN_DATA)):
        if isinstance(one, dict):
            yield from _codes_of(one, keys)
            for name in ("http", "response", "exception", "originalError"):
                if isinstance(inner := one.get(name), dict):
                    yield from _codes_of(inner, keys)


def _codes_of(one: Mapping[str, object], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        code = one.get(key)
        if isinstance(code, str) and len(code) <= _CODE_CHARACTERS:
            yield code
        elif code == 429:
            yield "429"


def _message(entry: Mapping[str, object]) -> str:
    message = entry.get("message")
    return message[:_MESSAGE_CHARACTERS].casefold() if isinstance(message, str) else ""
