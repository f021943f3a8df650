"""An hour's wait with expired tokens, an outage and lost polls, on a fake clock."""

from __future__ import annotations

import pytest

from graphql_jobs import ClientCredentials, Deadlines, JobState, Limits, Schedule, Session, WaitPolicy, wait
from graphql_jobs.emulator import Emulator, Fault, FaultKind, ManualClock, Pace
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient
from graphql_jobs.providers.datasaur.reader import DIALECT
from tests.clocks import DrivenClock

HOUR_S = 3600.0
SPEC = AutoLabelSpec.of(
    project_id="HvdyIL2iwZn",
    labeler_email="labeler@example.com",
    target_endpoint="https://model.example.com/predict",
    target_secret="not shown",
)


LOSSES: list[FaultKind] = ["drop_before", "drop_after", "truncate"]


@pytest.mark.parametrize("lost", LOSSES)
async def test_an_hour_of_waiting_survives_expiring_tokens_an_outage_and_lost_polls(
    lost: FaultKind,
) -> None:
    """Tokens expire after 60 s, the server answers 503 for five minutes, one poll in ten is lost: the job succeeds."""
    clock = ManualClock()
    pace = Pace(queued_s=60.0, running_s=HOUR_S - 60.0)
    async with Emulator(clock=clock, seed=7, pace=pace, token_lifetime_s=60.0) as emulator:
        began_at = clock.now()
        emulator.faults.add(
            Fault(
                "server_error",
                operation="getJob",
                status=503,
                times=None,
                from_at=began_at + 1200,
                until_at=began_at + 1500,
            ),
            Fault(lost, operation="getJob", times=None, probability=0.1),
        )
        async with client_of(emulator, clock) as client:
            handle = await client.submit(SPEC)
            policy = WaitPolicy(Schedule(max_delay_s=30.0), Deadlines(total_s=2 * HOUR_S), outage_budget_s=900.0)
            job = await wait(client, handle, policy)
        assert job.state is JobState.SUCCEEDED
        assert clock.now() - began_at < HOUR_S + 60.0
        assert [submission.job_id for submission in emulator.ledger.submissions] == [handle.job_id]
        # A token is valid for 60 s, and renewed at the first poll after that; polls are up to 30 s apart.
        assert emulator.ledger.tokens_issued >= HOUR_S / 90.0
        statuses = [record.status for record in emulator.ledger.requests if "getJob" in record.operation]
        assert 503 in statuses
        faults = [record.fault for record in emulator.ledger.requests]
        assert faults.count(lost) >= 5


def client_of(emulator: Emulator, clock: ManualClock) -> DatasaurClient:
    accounts = emulator.accounts
    auth = ClientCredentials(
        f"{emulator.url}/api/oauth/token", accounts.datasaur_client_id, accounts.datasaur_client_secret
    )
    session = Session(f"{emulator.url}/graphql", auth, DIALECT, Limits(), DrivenClock(clock))
    return DatasaurClient(session)
