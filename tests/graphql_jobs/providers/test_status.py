"""Status tables: unknown words are reported once and remembered within bounds."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from graphql_jobs.job import JobState
from graphql_jobs.providers.status_table import StatusTable

if TYPE_CHECKING:
    import pytest


def test_unknown_word_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """Asked a thousand times, warned once, with the word and the provider."""
    table = StatusTable("aiware", {})
    assert {table["odd"] for _ in range(1000)} == {JobState.UNKNOWN}
    assert not JobState.UNKNOWN.is_terminal
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "aiWARE" in caplog.text
    assert "'odd'" in caplog.text


def test_endless_unknown_words_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand different words: a hundred warnings, each of bounded length."""
    table = StatusTable("fake", {})
    for number in range(1000):
        assert table[f"{number}" * 1000] is JobState.UNKNOWN
    assert len(caplog.records) == 100
    assert max(len(record.getMessage()) for record in caplog.records) < 200
