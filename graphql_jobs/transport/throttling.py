"""Whether an entry of `errors` says that the request was throttled, wherever it says so and however it spells it. Pure.

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

#: A code without its case and punctuation.
_CODE = re.compile(
    r"ratelimit|toomany(api)?(request|call)|throttl|slowdown|requestlimitexceeded|requestratetoolarge|enhanceyourcalm|^429$"
)
_PUNCTUATION = re.compile(r"[^a-z0-9]")
#: An exception's name is a code that stands in the message.
_NAMED = re.compile(r"^\w{0,40}(throttl|rate_?limit|toomanyrequests)\w{0,40}(exception|error)\b")
#: Words count only where no code says otherwise.
_WORDS = re.compile(
    r"\btoo many (api )?(requests|calls)\b"
    r"|\brate[ _-]?limit(s|ed|ing)?( \w{1,10}){0,2} (exceeded|reached|hit)\b"
    r"|\bexceed(s|ed)?( \w{1,20}){0,4} rate[ _-]?limits?\b"
    r"|^rate[ _-]?limit(ed)?\b|\b(are|is|was|been|being) (rate[ _-]?limited|throttled)\b"
    r"|^throttl(ed|ing)\b|\brate exceeded\b|^(please )?slow down\b"
)
#: Our choice: longer words are no code, and what a message is about stands at its beginning.
_CODE_CHARACTERS, _MESSAGE_CHARACTERS = 60, 200
_PLACES_IN_DATA = ("code", "errorName", "errorCode", "errorType", "status", "statusCode")  # its name may be an object's
_PLACES = (*_PLACES_IN_DATA, "type", "__type", "name", "error", "classification")


def has_throttle_code(entry: Mapping[str, object]) -> bool:
    """Whether a code, a status or the name of an exception in it says so: explicit, whatever else stands there."""
    return any(_CODE.search(_PUNCTUATION.sub("", code.casefold())) for code in _codes(entry)) or bool(
        _NAMED.search(_message(entry))
    )


def has_throttle_words(entry: Mapping[str, object]) -> bool:
    """Whether its message says so in plain words."""
    return bool(_WORDS.search(_message(entry)))


def says_throttled(body: Mapping[str, object]) -> bool:
    """Whether the JSON of a refused request says so that is not GraphQL's, as that of a gateway or a token endpoint."""
    inner = body.get("error")
    objects = [body, inner] if isinstance(inner, dict) else [body]
    return any(has_throttle_code(one) or has_throttle_words(one) for one in objects)


def _codes(entry: Mapping[str, object]) -> Iterator[str]:
    """All that may be a code: at the top, in `extensions` and one object deeper, and in `data`."""
    yield from _codes_of(entry, _PLACES)
    for one, places in ((entry.get("extensions"), _PLACES), (entry.get("data"), _PLACES_IN_DATA)):
        if isinstance(one, dict):
            yield from _codes_of(one, places)
            for name in ("http", "response", "exception", "originalError"):
                if isinstance(inner := one.get(name), dict):
                    yield from _codes_of(inner, places)


def _codes_of(one: Mapping[str, object], places: tuple[str, ...]) -> Iterator[str]:
    for place in places:
        code = one.get(place)
        if isinstance(code, str) and len(code) <= _CODE_CHARACTERS:
            yield code
        elif code == 429:
            yield "429"


def _message(entry: Mapping[str, object]) -> str:
    message = entry.get("message")
    return message[:_MESSAGE_CHARACTERS].casefold() if isinstance(message, str) else ""
