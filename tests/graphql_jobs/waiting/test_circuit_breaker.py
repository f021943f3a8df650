"""When an endpoint that does not answer is probed."""

from __future__ import annotations

from math import inf

import pytest

from graphql_jobs.errors import RequestFailed, ServerFailed, SignInFailed
from graphql_jobs.waiting.circuit_breaker import CircuitBreaker

DOWN = ServerFailed("fake", "check", "", "HTTP 503")
REJECTED = SignInFailed("fake", "check", "", "no")


def failed_once() -> CircuitBreaker:
    """A breaker that opens with the next failure."""
    breaker = CircuitBreaker()
    assert not breaker.fail(DOWN, 0.0)
    return breaker


def test_single_failures_with_answers_between_them_are_no_outage() -> None:
    """A job that cannot be polled fails ten times, and others are answered in between: the breaker stays closed."""
    breaker = CircuitBreaker()
    for now in range(10):
        assert not breaker.fail(DOWN, now)
        breaker.answer(now)
    assert (breaker.failure, breaker.since, breaker.probe_at) == (None, inf, -inf)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(DOWN, [0.5, 1, 2, 2.5, 2.5]), (REJECTED, [0.5, 1, 2, 4, 8, 16, 32, 60, 60])],
    ids=["503", "sign-in rejected"],
)
def test_intervals_between_probes_grow_up_to_a_bound(failure: RequestFailed, expected: list[float]) -> None:
    """The end of an outage is seen within 2.5 s. A rejected sign-in is finally probed once a minute, since too many
    attempts may lock an account.
    """
    breaker, now, intervals_s = failed_once(), 100.0, []
    for _ in expected:
        breaker.fail(failure, now)
        intervals_s.append(breaker.probe_at - now)
        now = breaker.probe_at
    assert intervals_s == expected


def test_outage_has_its_first_instant_and_its_last_failure() -> None:
    """A 503 at 100 s and a refusal at 101 s: the outage began at 100 s, and the refusal is its reason."""
    breaker = failed_once()
    assert breaker.fail(DOWN, 100.0)
    assert not breaker.fail(REJECTED, 101.0)
    assert (breaker.since, breaker.failure) == (100.0, REJECTED)


def test_outage_after_an_answer_begins_anew() -> None:
    """Three failures, an answer, two failures: the second outage begins at 50 s, and its first probe is soon."""
    breaker = CircuitBreaker()
    for now in (1.0, 2.0, 3.0):
        breaker.fail(DOWN, now)
    breaker.answer(4.0)
    assert breaker.failure is None
    assert (breaker.fail(DOWN, 49.0), breaker.fail(DOWN, 50.0)) == (False, True)
    assert (breaker.since, breaker.probe_at) == (50.0, 50.5)


def test_answer_to_a_request_of_before_an_outage_does_not_end_it() -> None:
    """Down since 2 s: an answer to a request of 1 s closes the breaker, an answer to one of 3 s ends the outage."""
    breaker = failed_once()
    breaker.fail(DOWN, 2.0)
    breaker.answer(1.0)
    assert (breaker.failure, breaker.since) == (None, 2.0)
    breaker.answer(3.0)
    assert breaker.since == inf


def test_delay_of_the_server_is_an_outage_without_probes() -> None:
    """A delay began at 5 s: the outage counts from then, and the breaker is closed."""
    breaker = CircuitBreaker()
    breaker.delay(5.0)
    breaker.delay(9.0)
    assert (breaker.since, breaker.failure) == (5.0, None)
