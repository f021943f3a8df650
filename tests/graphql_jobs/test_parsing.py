"""Reading server data without trusting it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.parsing import decoded, instant_or_none, objects, text_or_none

ANY: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.just({})
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": ["\\ud83d\\ude00"]}', {"a": ["\U0001f600"]}),
        ('{"a": "\\ud83d\\ude00 \\ud800"}', {"a": "\U0001f600 ?"}),
        ('{"a": "\\udc00x"}', {"a": "?x"}),
        ("[Infinity]", [float("inf")]),
    ],
)
def test_nan_and_half_surrogate_pairs_are_read(text: str, expected: object) -> None:
    """Half of a surrogate pair becomes a question mark, so every text can be encoded again."""
    assert decoded(text) == expected


@pytest.mark.parametrize("text", ["", "{", "[1,]", "<html>"])
def test_text_that_is_no_json_is_an_error(text: str) -> None:
    """The error says so."""
    with pytest.raises(ValueError, match=r".+"):
        decoded(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), ("", ""), (7, "7"), (True, None), (1.5, None), (None, None), ([], None), ({}, None)],
)
def test_text_and_whole_numbers_are_text(value: object, expected: str | None) -> None:
    """Ids come as both; other values are not ids."""
    assert text_or_none({"id": value}, "id") == expected
    assert text_or_none({}, "id") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2023-12-11T04:18:56.059Z", datetime(2023, 12, 11, 4, 18, 56, 59000, tzinfo=UTC)),
        ("2023-12-11T06:18:56+02:00", datetime(2023, 12, 11, 4, 18, 56, tzinfo=UTC)),
        ("2023-12-11T04:18:56", datetime(2023, 12, 11, 4, 18, 56, tzinfo=UTC)),
        (1702268336, datetime(2023, 12, 11, 4, 18, 56, tzinfo=UTC)),
        (1702268336059, datetime(2023, 12, 11, 4, 18, 56, 59000, tzinfo=UTC)),
        (True, None),
        ("soon", None),
        ("", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (-(10**20), None),
        (None, None),
        ({}, None),
    ],
)
def test_an_instant_is_read_in_each_form_or_not_at_all(value: object, expected: datetime | None) -> None:
    """ISO text with or without a zone, epoch seconds, epoch milliseconds."""
    assert instant_or_none(value) == expected


@given(ANY)
def test_anything_is_an_aware_instant_or_none(value: object) -> None:
    """An instant can be compared and shown."""
    instant = instant_or_none(value)
    assert instant is None or (instant.tzinfo is not None and instant.isoformat() and instant.timestamp() is not None)


@given(st.one_of(st.lists(ANY), ANY))
def test_only_objects_are_objects(value: object) -> None:
    """Other values in the list are ignored."""
    assert all(isinstance(item, dict) for item in objects(value))
