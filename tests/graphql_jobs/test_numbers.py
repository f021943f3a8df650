"""Numbers keep their digits from a server's JSON to ours, and other values do not become JSON numbers."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.job import Job, JobState
from graphql_jobs.numbers import ExactNumber, decoded_answer, exact_numbers, json_text
from graphql_jobs.providers.aiware import AiwareClient

if TYPE_CHECKING:
    from pathlib import Path

    from tests.graphql_jobs.conftest import OpenSession, Serve

DIGITS = [
    "9007199254740993",
    "123456789012345678901234567890",
    "-18446744073709551617",
    "0.1234567890123456789",
    "3.14159265358979323846264338327950288",
    "1e999",
    "-1.5E-400",
]


@pytest.mark.parametrize("digits", DIGITS)
async def test_a_number_in_a_result_keeps_its_digits(
    digits: str, serve: Serve, open_session: OpenSession, tmp_path: Path
) -> None:
    """Beyond 64 bits, with more digits than a float has, beyond a float: the same text again."""
    record = '{"jsondata": {"n": [' + digits + "]}}"
    server = await serve('{"data": {"engineResults": {"records": [' + record + "]}}}")
    client = AiwareClient(await open_session(server.url))
    result = await client.result(client.handle("a"), Job("aiware", "a", JobState.SUCCEEDED, "complete"), tmp_path)
    assert json_text(result) == '{"engine_results": [' + record + "]}"
    json.dumps(result)  # it is plain JSON for Python too


def test_ordinary_numbers_stay_ordinary() -> None:
    """Python's int and float, and the text of the standard library."""
    text = '{"a": [1, 2.5, 0.1, 1e5, -0.0, 12345678901234567, "0.12345678901234567890"]}'
    with exact_numbers():
        value = decoded_answer(text)
    assert [type(item) for item in value["a"]] == [int, float, float, float, float, int, str]
    assert json_text(value) == json.dumps(json.loads(text))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_become_null(word: str) -> None:
    """Also with texts that have those words, and quotes."""
    with exact_numbers():
        value = decoded_answer('{"a": ' + word + r', "b": "NaN \" Infinity, -Infinity", "NaN": ["\\", NaN, "\\\""]}')
    assert json.loads(json_text(value)) == {
        "a": None,
        "b": 'NaN " Infinity, -Infinity',
        "NaN": ["\\", None, '\\"'],
    }


def test_an_exact_number_survives_pickling_and_is_a_float() -> None:
    """Prefect pickles results."""
    number = pickle.loads(pickle.dumps(ExactNumber("0.1234567890123456789")))
    assert (number.text, number) == ("0.1234567890123456789", 0.1234567890123456789)


def test_half_of_a_surrogate_pair_beside_long_numbers_can_be_encoded() -> None:
    """It becomes a question mark, as in all other texts."""
    with exact_numbers():
        assert decoded_answer('["\\ud800", 0.1234567890123456789]')[0] == "?"


def test_numbers_are_read_fast_by_default() -> None:
    """A poll reads floats."""
    assert type(decoded_answer("[0.1234567890123456789]")[0]) is float


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_keeps_its_value(number: Decimal) -> None:
    """With any digits and exponent."""
    with exact_numbers():
        again = json_text(decoded_answer(f"[{number}]"))
    assert Decimal(again[1:-1]) == number


def test_float_in_its_usual_text_needs_no_decimal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decimals take most of the time, and results have hundreds of thousands of such numbers."""
    monkeypatch.setattr("graphql_jobs.numbers.Decimal", None)
    with exact_numbers():
        assert decoded_answer("[0.1, 1.50, -0.12345678901234566, 12345678.0]") == [
            0.1,
            1.5,
            -0.12345678901234566,
            12345678.0,
        ]
