"""The pure part of the diagnosis of an answer: Retry-After, entries of `errors`, and their precedence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from gql.transport.exceptions import TransportConnectionFailed
from hypothesis import example, given
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.providers.aiware.reader import DIALECT
from graphql_jobs.transport.diagnosis import MAX_RETRY_AFTER_S, diagnose_http, error_entries, retry_after_s, words_of
from graphql_jobs.transport.http import Exchange

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def asked(text: str | None, date: str | None = None) -> float | None:
    """The delay that an answer with these headers asks for."""
    headers = {name: value for name, value in (("Retry-After", text), ("Date", date)) if value is not None}
    return retry_after_s(Exchange(True, 429, headers))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        (" 7 ", 7),
        ("-5", 0),
        ("1e99", MAX_RETRY_AFTER_S),
        ("inf", MAX_RETRY_AFTER_S),
        ("-inf", 0),
        ("999999999999", MAX_RETRY_AFTER_S),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds_is_bounded(text: str | None, expected: float | None) -> None:
    """7 s are 7 s; a negative delay is 0; a year is an hour; a text that is not a number is None."""
    assert asked(text) == expected


def test_retry_after_date_is_read_by_the_servers_clock() -> None:
    """The server's clock is ten years behind the local one; it asks for 90 s by its own clock."""
    now = datetime(2016, 5, 1, 12, 0, tzinfo=UTC)
    assert asked(format_datetime(now + timedelta(seconds=90), usegmt=True), format_datetime(now, usegmt=True)) == 90


def test_retry_after_date_is_read_by_our_clock_without_a_date_header() -> None:
    """Ten minutes from now, within the duration of this test."""
    text = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    asked_s = asked(text)
    assert asked_s is not None
    assert 500 < asked_s <= 600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", MAX_RETRY_AFTER_S),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
        ("2015-10-21", None),
    ],
)
def test_odd_retry_after_dates_are_bounded_or_ignored(text: str, expected: float | None) -> None:
    """A date in the past is 0, one in the year 7000 is an hour, a text that is not a date is None."""
    assert asked(text) == expected


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
@example("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", None)
@example("Wed, 21 Oct 2015 07:28:00 +9999", "Wed, 21 Oct 2015 07:28:00 -9999")
@example("Mon, 1 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_retry_after_header_is_bounded_or_ignored(text: str, date: str | None) -> None:
    """Any text in Retry-After and Date."""
    asked_s = asked(text, date)
    assert asked_s is None or 0 <= asked_s <= MAX_RETRY_AFTER_S


@given(JSON)
def test_error_entries_are_objects(value: Any) -> None:
    """Text, numbers and lists among the errors become messages; each has a text and perhaps a class."""
    entries = error_entries(value)
    assert all(isinstance(entry, dict) for entry in entries)
    assert words_of(DIALECT, entries)
    for entry in entries:
        DIALECT.kind_of(entry)


def test_detail_names_the_code_the_message_and_the_number_of_other_errors() -> None:
    """Three errors: the first in full, the others counted."""
    entries: list[dict[str, object]] = [{"name": "not_found", "message": "gone"}, {}, {}]
    assert words_of(DIALECT, entries) == "not_found: gone (and 2 more)"
    assert words_of(DIALECT, [{}]) == "no message"
    assert words_of(DIALECT, []) == "no reason given."


def test_good_status_without_exception_is_no_failure() -> None:
    """Any 2xx: no failure of the HTTP part."""
    for status in (200, 201, 204, 299):
        assert diagnose_http(DIALECT, Exchange(True, status), None) is None


def test_cause_of_gqls_exception_decides() -> None:
    """gql wraps all as TransportConnectionFailed; `ClientOSError` was sent, its subclass for connecting was not."""
    for cause, sent, kind in (
        (aiohttp.ClientOSError("reset"), True, errors.ConnectionLost),
        (aiohttp.ClientOSError("reset"), False, errors.Unreachable),
        (aiohttp.ConnectionTimeoutError(), True, errors.Unreachable),
        (aiohttp.SocketTimeoutError(), True, errors.TimedOut),
        (TimeoutError(), True, errors.TimedOut),
        (TimeoutError(), False, errors.Unreachable),
        (ConnectionResetError(), True, errors.ConnectionLost),
    ):
        raised = TransportConnectionFailed(str(cause))
        raised.__cause__ = cause
        diagnosis = diagnose_http(DIALECT, Exchange(sent), raised)
        assert diagnosis is not None
        assert diagnosis.kind is kind


@pytest.mark.parametrize("cause", [RuntimeError("wrong loop"), ValueError("closed file"), OSError(28, "disk full")])
def test_bug_is_raised_again(cause: Exception) -> None:
    """gql reports a closed file as a failed connection: the bug itself is raised."""
    raised = TransportConnectionFailed(str(cause))
    raised.__cause__ = cause
    with pytest.raises(TransportConnectionFailed):
        diagnose_http(DIALECT, Exchange(), raised)
