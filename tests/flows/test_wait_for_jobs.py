"""The sensor: it waits for jobs of any submitter, for all or the first failure, and starts downstream."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.objects import StateType

from graphql_jobs.emulator import Emulator, JobFault, ManualClock
from tests.flows.conftest import WAITING, MakeRun, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def plant(emulator: Emulator, *kinds: str) -> list[str]:
    """One aiWARE job of each kind, by its id."""
    made: dict[str, Callable[[], str]] = {
        "good": lambda: emulator.aiware.plant().id,
        "failed": lambda: emulator.aiware.plant(fault=JobFault("job_fails", failure_message="no audio")).id,
        "stuck": lambda: emulator.aiware.plant(fault=JobFault("stuck")).id,
        "cancelled": lambda: emulator.aiware.plant(status="cancelled", tasks=[]).id,
        "lost": lambda: "nobody-knows",
    }
    return [made[kind]() for kind in kinds]


def advance(emulator: Emulator, by_s: float) -> None:
    """Let time pass."""
    assert isinstance(emulator.clock, ManualClock)
    emulator.clock.advance(by_s)


@pytest.mark.parametrize("provider", ["aiware", "datasaur"])
async def test_all_good_jobs_complete_the_run(
    provider: str, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Three jobs, one named twice: three outcomes, and one downstream run with all of them."""
    world: Any = getattr(emulator, provider)
    job_ids = [world.plant().id for _ in range(3)]
    downstream = await deploy(f"after-three-{provider}")
    state = await run(WAITING, provider=provider, job_ids=[*job_ids, job_ids[0]], downstream=[downstream])
    assert state.name == "Completed"
    outcomes = await state.result()
    assert sorted(outcome["job_id"] for outcome in outcomes) == sorted(job_ids)
    assert {outcome["state"] for outcome in outcomes} == {"SUCCEEDED"}
    [started] = await runs_of(downstream)
    assert started.parameters == {"jobs": outcomes}


async def test_one_poll_is_one_request_for_all_jobs(run: Run, emulator: Emulator) -> None:
    """100 Datasaur jobs: the first poll has all, and no interval of 2 s has more than two requests."""
    job_ids = [emulator.datasaur.plant().id for _ in range(100)]
    assert (await run(WAITING, provider="datasaur", job_ids=job_ids)).name == "Completed"
    polls = [record for record in emulator.ledger.requests if record.operation == ("getJobs",)]
    assert polls[0].statuses_read == 100
    assert len(polls) <= 2 * (7 / 2 + 1)  # jobs take 7 s
    assert len(polls) == len(emulator.ledger.requests) - 1  # and one sign-in


@pytest.mark.parametrize(
    ("when", "kinds", "starts"),
    [
        ("all succeeded", ("good", "good"), True),
        ("all succeeded", ("good", "failed"), False),
        ("any succeeded", ("good", "failed"), True),
        ("any succeeded", ("failed", "lost"), False),
        ("always", ("failed", "lost"), True),
        ("always", ("good",), True),
    ],
)
async def test_downstream_starts_as_start_downstream_when_says(
    when: str, kinds: tuple[str, ...], starts: bool, run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """All, any, always: with all outcomes, also failed and lost ones."""
    downstream = await deploy(f"when-{when.replace(' ', '-')}-{'-'.join(kinds)}")
    job_ids = plant(emulator, *kinds)
    state = await run(WAITING, job_ids=job_ids, start_downstream_when=when, downstream=[downstream])
    assert state.is_completed() == (set(kinds) == {"good"})
    started = await runs_of(downstream)
    assert len(started) == int(starts)
    if started:
        states = {"good": "SUCCEEDED", "failed": "FAILED", "lost": "UNKNOWN"}
        told = {outcome["job_id"]: outcome["state"] for outcome in started[0].parameters["jobs"]}
        assert told == {job_id: states[kind] for job_id, kind in zip(job_ids, kinds, strict=True)}


async def test_run_with_mixed_ends_fails_and_counts_them(run: Run, emulator: Emulator) -> None:
    """Succeeded, failed and lost: "2 of 3 jobs did not succeed", with both ids and the reason."""
    _, failed, lost = job_ids = plant(emulator, "good", "failed", "lost")
    state = await run(WAITING, job_ids=job_ids)
    assert state.type is StateType.FAILED
    message = str(state.message)
    assert "2 of 3 jobs did not succeed" in message
    assert failed in message
    assert lost in message
    assert "no audio" in message


async def test_first_failure_ends_the_run(run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf) -> None:
    """One failed, one stuck: the wait ends when the first fails; downstream does not start."""
    downstream = await deploy("after-first-failure")
    began_at = emulator.clock.now()
    state = await run(
        WAITING, job_ids=plant(emulator, "stuck", "failed"), until="first failure", downstream=[downstream]
    )
    assert (state.name, "no audio" in str(state.message)) == ("JobFailed", True)
    assert emulator.clock.now() - began_at < 60
    assert await runs_of(downstream) == []


async def test_wait_that_stops_early_does_not_use_up_the_hand_over(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """Stopped at the first failure with "always", then run again: the complete outcome is handed over too."""
    downstream = await deploy("after-early-and-whole")
    job_ids = plant(emulator, "failed", "good")
    failed_first = {"job_ids": job_ids, "start_downstream_when": "always", "downstream": [downstream]}
    await run(WAITING, **failed_first, until="first failure")
    await run(WAITING, **failed_first)
    handed_over = [{outcome["job_id"] for outcome in found.parameters["jobs"]} for found in await runs_of(downstream)]
    assert set(job_ids) in handed_over


async def test_sensor_that_runs_twice_starts_downstream_once(
    run: Run, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The same jobs in another order, in a second run: no second downstream run."""
    downstream = await deploy("after-twice")
    job_ids = plant(emulator, "good", "good")
    await run(WAITING, job_ids=job_ids, downstream=[downstream])
    await run(WAITING, job_ids=job_ids[::-1], downstream=[downstream])
    assert len(await runs_of(downstream)) == 1


async def test_retried_sensor_starts_nothing_twice(
    make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first success is handed over and the process killed; run again, another job is first: one downstream run."""
    downstream = await deploy("after-first-success")
    [early] = plant(emulator, "good")
    advance(emulator, 60)
    [late] = plant(emulator, "good")
    sensor = await make_run(WAITING, job_ids=[late, early], until="first success", downstream=[downstream])

    def die(*_: object) -> None:
        raise RuntimeError("the process died, so to speak")

    with monkeypatch.context() as patched:
        patched.setattr("flows.wait_for_jobs.overall_state", die)
        assert (await sensor()).is_failed()
    advance(emulator, 60)
    outcomes = await (await sensor()).result()
    assert [outcome["job_id"] for outcome in outcomes] == [late]
    [started] = await runs_of(downstream)
    assert [outcome["job_id"] for outcome in started.parameters["jobs"]] == [early]


async def test_job_with_unknown_end_is_handed_over_again_once_it_is_known(
    make_run: MakeRun, emulator: Emulator, deploy: Deploy, runs_of: RunsOf
) -> None:
    """The sensor gave up before the job's end; run again, the job has ended: a second downstream run, and no third."""
    downstream = await deploy("after-not-known")
    job_ids = plant(emulator, "good")
    changed = {"start_downstream_when": "always", "give_up_after_s": 1, "downstream": [downstream]}
    sensor = await make_run(WAITING, job_ids=job_ids, **changed)
    for _ in range(3):
        await sensor()
        advance(emulator, 60)
    states = [run.parameters["jobs"][0]["state"] for run in await runs_of(downstream)]
    assert sorted(states) == ["SUCCEEDED", "UNKNOWN"]


async def test_credentials_block_may_have_any_name(run: Run, emulator: Emulator, aiware: Any) -> None:
    """Empty means the block with the provider's name; a name means that block."""
    await aiware.asave("another-name", overwrite=True)
    [job_id] = plant(emulator, "good")
    assert (await run(WAITING, job_ids=[job_id], credentials="another-name")).name == "Completed"
    assert (await run(WAITING, job_ids=[job_id], credentials=None)).name == "Completed"


async def test_polls_are_at_most_max_poll_interval_s_apart(run: Run, emulator: Emulator) -> None:
    """max_poll_interval_s=5 for a job that is queued for ten minutes: no two polls are further apart."""
    await run(WAITING, job_ids=plant(emulator, "stuck"), max_poll_interval_s=5, give_up_after_s=600)
    polls = [record.at for record in emulator.ledger.requests]
    assert len(polls) > 600 / 5
    assert max(later - earlier for earlier, later in itertools.pairwise(polls)) <= 5


@pytest.mark.parametrize(
    ("kind", "limits", "named"),
    [
        ("stuck", {"unchanged_at_most_s": 60}, "unchanged_s=60"),
        ("lost", {"unseen_at_most_s": 5}, "unseen_s=5"),
        ("lost", {"unseen_at_most_s": 120}, "unseen_s=120"),
    ],
)
async def test_sensor_has_the_limits_of_the_flows_that_submit(
    kind: str, limits: dict[str, float], named: str, run: Run, emulator: Emulator
) -> None:
    """A job that never changes, and one that is never visible: TimedOut, with the name of the limit."""
    began_at = emulator.clock.now()
    state = await run(WAITING, job_ids=plant(emulator, kind), **limits)
    assert (state.name, named in str(state.message)) == ("TimedOut", True)
    # A change counts from the poll that saw it, and polls are 2 s apart at first.
    assert emulator.clock.now() - began_at == pytest.approx(float(named.partition("=")[2]), abs=3)
