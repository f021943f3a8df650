"""Mutated answers, from small changes of real answers to arbitrary data, by a seed."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from random import Random

TOKEN = "t0k3n-5ecret-of-the-account"
_RAW = "\0raw:"
_RAW_TEXT = re.compile(r'"\\u0000raw:(\d+)"')
#: JSON texts, and texts that are not JSON, that replace a value.
RAW = [
    *("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "-0", "1E+400", "0." + "1" * 400, "9" * 400, "9" * 5000),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\ud83d\\ude00"',
        "tru",
        "01",
        "",
        "'a'",
        "//",
        '"\t"',
        "\ufeff1",
    ),
    *('{"a":1,"a":2}', '{"id":1,"id":"a","id":null}', '{"$ref":"x"}', '{"__prefect_kind":"json","value":"1"}'),
    *("[" * depth + "]" * depth for depth in (50, 253, 254, 255, 300, 900, 1000, 1023, 1025, 3000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (100, 260, 990, 1024)),
]
#: JSON values of another type than expected.
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 7.5, 1e308, -1e308, 5e-324, 2**31, 2**63, 2**64, 10**30, "", " ", "a", "\x00", "0"),
    *([], {}, [[]], [None], [{}], {"": None}, {"records": None}, {"records": [None]}, {"records": {}}, "x" * 5_000),
    *("2023-12-11T04:18:56.059Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2023-02-30T00:00:00Z"),
    *(1702268336, 1702268336059, 1e18, -62135596800, "NaN", "१२३", "\u202e", "\ud7ff", "a\nb\r\n\x1b[31m", "{{ x }}"),
    *(TOKEN, TOKEN.replace("-", "%2d"), "complete", "failed", "DELIVERED", "FAILED", "running", "$ref", "j0", "a", "b"),
]
NAMES = ["id", "status", "tasks", "records", "limit", "errors", "message", "path", "name", "extensions", "code", "data"]
HEADERS = ["Retry-After", "Date", "Content-Type", "Content-Encoding", "Location", "Set-Cookie", "X-Any"]
HEADER_VALUES = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "1_0",
        "१२",
        "3600",
        "9" * 5000,
        "0x10",
        "1,5",
        "\udce4",
        "ä",
    ),
    *("Mon, 01 Jan 2020 00:00:00 +99999999999999999999", "Mon, 01 Jan 2020 00:00:00 GMT", "Mon, 99 Foo 0 99:99:99"),
    *("Mon, 01 Jan 99999999999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "text/html; charset=utf-7", TOKEN),
    *(
        "application/json; charset=idna",
        "application/json; charset=" + "x" * 500,
        "gzip",
        "; ;;=;",
        "x" * 8_000,
        "\x00",
    ),
]
STATUSES = [200] * 30 + [201, 204, 302, 400, 401, 403, 404, 408, 409, 413, 425, 429, 500, 502, 503, 504, 599, 999, 100]


def mutated(random: Random, sample: Any) -> bytes:
    """The body of an answer, as a mutation of `sample`."""
    value = orjson.loads(orjson.dumps(sample))
    for _ in range(random.choice([0, 1, 1, 1, 2, 3, 5])):
        value = _mutated_value(random, value)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    text = _RAW_TEXT.sub(lambda found: RAW[int(found[1])], text)
    body = text.encode(errors="replace")
    for _ in range(random.choice([0, 0, 0, 0, 1, 2])):
        body = _mutated_bytes(random, body)
    return body


def headers(random: Random) -> dict[str, str]:
    """Headers, some of them unusual."""
    odd = {random.choice(HEADERS): random.choice(HEADER_VALUES) for _ in range(random.choice([0, 0, 1, 2]))}
    return {"Content-Type": "application/json"} | odd


def _mutated_value(random: Random, value: Any) -> Any:
    places = _places(value)
    if not places or random.random() < 0.02:
        return _other(random, value)
    inside, at = random.choice(places)
    match random.randrange(7):
        case 0 | 1 | 2:
            inside[at] = _other(random, inside[at])
        case 3:
            del inside[at]
        case 4 if isinstance(inside, dict):
            inside[random.choice(NAMES)] = inside.pop(at)
        case 5 if isinstance(inside, list):
            inside *= random.choice([2, 3, 40])
        case _:
            other, there = random.choice(places)
            inside[at] = copy.deepcopy(other[there]) if there in _keys(other) and at in _keys(inside) else None
    return value


def _keys(inside: Any) -> Any:
    return inside if isinstance(inside, dict) else range(len(inside))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All places in a value, as container and key."""
    places: list[tuple[Any, Any]] = []
    left = [value]
    while left and len(places) < 100:
        one = left.pop()
        if isinstance(one, dict | list):
            places += [(one, key) for key in _keys(one)]
            left += one.values() if isinstance(one, dict) else one
    return places


def _other(random: Random, value: Any) -> Any:
    match random.randrange(6):
        case 0:
            return f"{_RAW}{random.randrange(len(RAW))}"
        case 1:
            return [value]
        case 2:
            return {random.choice(NAMES): value}
        case 3 if isinstance(value, str):
            return (
                value * random.choice([2, 50]) if random.random() < 0.5 else value[: random.randrange(len(value) + 1)]
            )
        case _:
            return copy.deepcopy(random.choice(ODD))


def _mutated_bytes(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    end = min(len(body), start + random.choice([0, 1, 4, 40]))
    match random.randrange(6):
        case 0:
            return body[:start]
        case 1:
            return body[:start] + random.randbytes(random.choice([1, 3])) + body[end:]
        case 2:
            return body[:start] + body[start:end] * random.choice([2, 100]) + body[end:]
        case 3:
            return random.choice([b"\xef\xbb\xbf", b" ", b"\n\n", b"\x00"]) + body
        case 4:
            return body.decode(errors="replace").encode("utf-16")
        case _:
            return body[:start] + body[end:]
