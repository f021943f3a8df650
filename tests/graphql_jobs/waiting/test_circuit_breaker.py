"""When an endpoint that gives no answers is asked again."""

from __future__ import annotations

from math import inf

from graphql_jobs.errors import ServerFailed, SignInFailed
from graphql_jobs.waiting.circuit_breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_REFUSED_PAUSE_S, CircuitBreaker

DOWN = ServerFailed("fake", "check", "", "HTTP 503")
REJECTED = SignInFailed("fake", "check", "", "no")


def failed_once() -> CircuitBreaker:
    """One that the next failure opens."""
    breaker = CircuitBreaker()
    assert not breaker.fail(DOWN, 0.0)
    return breaker


def test_one_failure_is_no_outage() -> None:
    """A job that cannot be asked for fails again and again, and the others are answered in between: never open."""
    breaker = CircuitBreaker()
    for now in range(10):
        assert not breaker.fail(DOWN, now)
        breaker.answer(inf)


def test_it_is_closed_until_a_request_fails() -> None:
    """Nothing is held back."""
    breaker = CircuitBreaker()
    assert (breaker.is_open, breaker.probe_at) == (False, -inf)


def test_probes_are_at_growing_distances() -> None:
    """Half a second, one, two, and then every 2.5 s: what an end is seen late by after an outage."""
    breaker, now, pauses = failed_once(), 100.0, []
    for _ in range(5):
        breaker.fail(DOWN, now)
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
    assert pauses == [FIRST_PAUSE_S, 1.0, 2.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_refusal_is_asked_about_ever_more_seldom() -> None:
    """A rejected sign-in stays rejected, and too many attempts may lock an account."""
    breaker, now = failed_once(), 0.0
    for _ in range(20):
        breaker.fail(REJECTED, now)
        now = breaker.probe_at
    breaker.fail(REJECTED, now)
    assert breaker.probe_at - now == LONGEST_REFUSED_PAUSE_S


def test_it_remembers_the_beginning_and_the_last_words() -> None:
    """Opened at 100 by a 503 and again by a refusal: since 100, and the refusal is the reason."""
    breaker = failed_once()
    assert breaker.fail(DOWN, 100.0)
    assert not breaker.fail(REJECTED, 101.0)
    assert (breaker.since, breaker.failure) == (100.0, REJECTED)


def test_an_answer_closes_it_and_the_next_outage_begins_anew() -> None:
    """Pauses are short again."""
    breaker = CircuitBreaker()
    for now in (1.0, 2.0, 3.0):
        breaker.fail(DOWN, now)
    breaker.answer(inf)
    assert not breaker.is_open
    assert not breaker.fail(DOWN, 49.0)
    assert breaker.fail(DOWN, 50.0)
    assert breaker.probe_at == 50.0 + FIRST_PAUSE_S


def test_answer_that_was_asked_for_before_an_outage_does_not_end_it() -> None:
    """Down since 2 s; an answer to a request of 1 s closes the breaker, an answer to one of 3 s ends the outage."""
    breaker = failed_once()
    breaker.fail(DOWN, 2.0)
    assert (breaker.answer(1.0), breaker.is_open, breaker.since) == (inf, False, 2.0)
    assert (breaker.answer(3.0), breaker.since) == (2.0, inf)


def test_delay_of_the_server_is_an_outage_without_probes() -> None:
    """Asked for at 5 s: since then there are no answers, and the breaker is closed."""
    breaker = CircuitBreaker()
    breaker.delay(5.0)
    breaker.delay(9.0)
    assert (breaker.since, breaker.is_open) == (5.0, False)
