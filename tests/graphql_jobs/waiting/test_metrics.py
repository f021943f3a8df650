"""The numbers of the poller in the snapshot, in the log and in OpenTelemetry."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics as api

from graphql_jobs import errors, snapshot, telemetry
from graphql_jobs.job import Job, JobState
from graphql_jobs.providers.aiware import AiwareClient, reader
from graphql_jobs.transport.http import Exchange
from tests.graphql_jobs.waits import DOWN, all_of, job, until

if TYPE_CHECKING:
    from tests.clocks import FakeClock
    from tests.graphql_jobs.conftest import OpenSession, Scripted, Serve

NAMES = [f"j{number}" for number in range(250)]


async def test_snapshot_counts_polls_statuses_ends_and_outages(scripted: Scripted) -> None:
    """250 jobs that end at 30 s, and an outage before that."""
    client = scripted(until(30))
    client.failing = lambda job_ids, at_s: DOWN if 10 <= at_s < 15 else None
    await all_of(client, NAMES)
    numbers = snapshot(client)
    answered = [len(job_ids) for at_s, job_ids in client.polls if not 10 <= at_s < 15]
    assert numbers.ended == 250
    assert numbers.outages == 1
    assert numbers.statuses == sum(answered)
    assert len(answered) < numbers.batches <= len(client.polls)
    assert (numbers.jobs, numbers.waiters, numbers.batch_size) == (0, 0, 100)
    assert (numbers.latency_p50_s, numbers.skew_s) == (None, None)


async def test_latency_counts_from_the_providers_instant_of_the_end(scripted: Scripted, clock: FakeClock) -> None:
    """Every job ended at 30 s: each end is seen within the interval of 5 s."""
    ended_at = clock.now() + 30
    client = scripted(
        lambda one, at_s: (
            Job("fake", one, JobState.SUCCEEDED, "done", raw_modified=ended_at) if at_s >= 30 else job(one)
        )
    )
    await all_of(client, NAMES)
    numbers = snapshot(client)
    assert numbers.latency_p50_s is not None
    assert numbers.latency_p99_s is not None
    assert 0 <= numbers.latency_p50_s <= numbers.latency_p99_s <= 5.001


async def test_skew_is_our_clock_minus_the_date_header(scripted: Scripted, clock: FakeClock) -> None:
    """A `Date` header a minute behind the local clock gives 60 s; an answer without one gives None."""
    client = scripted(until(0))
    headers = {"Date": format_datetime(datetime.fromtimestamp(clock.now() - 60, UTC), usegmt=True)}
    client.session.last_heard = Exchange(headers=headers), clock.now()
    assert snapshot(client).skew_s == pytest.approx(60, abs=1)
    client.session.last_heard = Exchange(), clock.now()
    assert snapshot(client).skew_s is None


async def test_snapshot_counts_requests_and_rate_limits_of_a_real_server(
    serve: Serve, open_session: OpenSession
) -> None:
    """A 429 and an answer from a local server: two requests, one rate limit, and a skew."""
    server = await serve((429, {}, {"Retry-After": "1"}), {"data": {"j0": None}})
    session = await open_session(server.url, dialect=reader.DIALECT)
    client = AiwareClient(session)
    await client.check(["a"])
    numbers = snapshot(client)
    assert (numbers.requests, numbers.rate_limited) == (server.count, 1)
    assert numbers.skew_s is not None


async def test_log_has_a_line_every_five_minutes(scripted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """A wait of 25 minutes: four or five lines with the numbers; a wait of a minute: none."""
    caplog.set_level("INFO", "graphql_jobs.waiting.metrics")
    await all_of(scripted(until(1500)), ["a"])
    lines = [record.getMessage() for record in caplog.records if "waiters=" in record.getMessage()]
    assert 4 <= len(lines) <= 5
    assert "waiters=1, jobs=1" in lines[0]
    caplog.clear()
    await all_of(scripted(until(60)), ["a"])
    assert not caplog.records


async def test_labels_of_the_metrics_name_no_job(scripted: Scripted) -> None:
    """The labels are provider and endpoint: a thousand jobs do not make a thousand time series."""
    client = scripted(until(0))
    assert client.session.telemetry.labels == {"provider": "aiware", "endpoint": client.session.url}


async def test_opentelemetry_gets_the_numbers_of_the_snapshot(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the user's own meter, each instrument has the number of the snapshot."""
    told: dict[str, float] = {}

    class Instrument(api.NoOpCounter):
        def add(self, amount: float, attributes: object = None, context: object = None) -> None:
            told[self.label] = told.get(self.label, 0) + amount

        def set(self, amount: float, attributes: object = None, context: object = None) -> None:
            told[self.label] = amount

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.label = name.rsplit(".", 1)[1]

    class Meter(api.NoOpMeter):
        def create_counter(self, name: str, unit: str = "", description: str = "") -> Instrument:
            return Instrument(name)

        def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
            return Instrument(name)

        def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
            return Instrument(name)

    monkeypatch.setattr(api, "get_meter", lambda name: Meter(name))
    client = scripted(until(20))
    for name in ("requests", "requests", "rate_limited"):
        client.session._count(name)
    await all_of(client, NAMES)
    numbers = snapshot(client)
    counted = {"batches": numbers.batches, "statuses": numbers.statuses, "ended": 250}
    gauged = {"waiters": 0, "jobs": 0, "batch_size": 100}
    assert told == counted | gauged | {"requests": 2, "rate_limited": 1}


async def test_waits_work_without_opentelemetry(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API package is not installed: nothing is exported, and the snapshot still counts."""
    monkeypatch.setattr(telemetry, "_opentelemetry", None)
    client = scripted(until(20))
    ended = await all_of(client, NAMES)
    assert not any(isinstance(one, errors.GraphqlJobsError) for one in ended.values())
    assert snapshot(client).ended == 250
