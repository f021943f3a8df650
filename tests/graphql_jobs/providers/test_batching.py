"""The size of batches: halved after a refusal, increased by success, learned once for a session."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import errors
from graphql_jobs.providers.batching import BatchSize

TOO_MUCH = errors.TooMuchAtOnce("fake", "check", "", "capacity_exceeded")


def run(batches: BatchSize, max_batch: int, limit: int, requests: int) -> list[int]:
    """The sizes of a number of requests to a server that accepts `limit` jobs per request."""
    sizes = []
    for _ in range(requests):
        sizes.append(size := batches.at_most(max_batch))
        if size > limit:
            batches.shrink(size, TOO_MUCH)
        else:
            batches.grow(max_batch)
    return sizes


def test_batch_size_starts_at_the_clients_maximum() -> None:
    """Two clients of one session, each with its own maximum."""
    assert (BatchSize().at_most(100), BatchSize().at_most(500)) == (100, 500)


def test_failed_size_is_halved_down_to_one() -> None:
    """100, 50, 25, ... 1, and not below."""
    assert run(BatchSize(), 100, 0, 9) == [100, 50, 25, 12, 6, 3, 1, 1, 1]


def test_concurrent_failures_shrink_the_size_once() -> None:
    """Five concurrent batches of 100, all refused: 50, not 3."""
    batches = BatchSize()
    for _ in range(5):
        batches.shrink(100, TOO_MUCH)
    assert batches.at_most(100) == 50


def test_each_full_batch_halves_the_distance_to_the_size_that_failed() -> None:
    """100 failed: 50, 75, 87, and so on up to 99."""
    batches = BatchSize()
    batches.shrink(100, TOO_MUCH)
    sizes = run(batches, 100, 100, 50)
    assert sizes[:4] == [50, 75, 87, 93]
    assert sizes[-1] == 99


def test_failed_size_is_tried_again_after_many_batches() -> None:
    """The limit was lifted: after some hundred batches, the size is at the maximum again."""
    batches = BatchSize()
    batches.shrink(100, TOO_MUCH)
    assert max(run(batches, 100, 100, 90)) < 100
    assert run(batches, 100, 100, 20)[-1] == 100


@pytest.mark.parametrize(("max_batch", "limit"), [(500, 200), (500, 199), (100, 30), (100, 7), (500, 1), (200, 150)])
def test_fixed_limit_costs_few_refusals(max_batch: int, limit: int) -> None:
    """A server that always accepts 200 of 500: of a thousand requests few are refused, most are nearly full."""
    sizes = run(BatchSize(), max_batch, limit, 1000)
    assert sum(size > limit for size in sizes) <= 100
    assert sum(size for size in sizes if size <= limit) >= 0.85 * limit * 1000


@given(st.integers(1, 500), st.lists(st.tuples(st.booleans(), st.integers(1, 600)), max_size=300))
def test_batch_size_is_between_one_and_the_maximum(max_batch: int, steps: list[tuple[bool, int]]) -> None:
    """With any refusals and answers."""
    batches = BatchSize()
    for is_answered, asked in steps:
        batches.grow(max_batch) if is_answered else batches.shrink(asked, TOO_MUCH)
        assert 1 <= batches.at_most(max_batch) <= max_batch


def test_limit_is_logged_as_a_warning_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """A limit that is found again after each retrial is one warning, and growth is none."""
    with caplog.at_level(logging.DEBUG, "graphql_jobs.providers.batching"):
        sizes = run(BatchSize(), 100, 60, 500)
    refused = sum(size > 60 for size in sizes)
    assert refused > 1
    warnings, growth = (
        [one.getMessage() for one in caplog.records if one.levelno == level]
        for level in (logging.WARNING, logging.DEBUG)
    )
    assert len(warnings) == 1
    assert "Polling 50 jobs per request from now on, since 100 were too many" in warnings[0]
    assert "capacity_exceeded" in warnings[0]
    assert "Polling 75 jobs per request from now on." in growth
