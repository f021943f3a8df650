"""Downstream deployments start once per key, and only if they accept the jobs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

import tasks
from graphql_jobs import Job, JobState
from graphql_jobs.errors import InvalidInput
from tasks.downstream import downstream_key, start_downstream
from tasks.downstream_check import require_deployments
from tasks.outcome import MAX_RESULT_CHARACTERS, HandOverFailed, outcome

if TYPE_CHECKING:
    from tests.conftest import Deploy, RunsOf

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

JOB = {"provider": "aiware", "job_id": "1", "state": "SUCCEEDED"}


@flow
async def starting(deployment: str, keys: list[str]) -> Any:
    """A user's own flow that starts `deployment` once per entry of `keys`."""
    return [await tasks.start_deployment(deployment, {"jobs": [JOB]}, key) for key in keys]


async def test_same_key_starts_one_run(deploy: Deploy, runs_of: RunsOf) -> None:
    """Twice in one flow and again in another: one flow run, and its id each time."""
    name = await deploy("once")
    ids = [*await starting(name, ["k", "k"]), *await starting(name, ["k"])]
    [run] = await runs_of(name)
    assert ids == [run.id] * 3
    assert run.parameters == {"jobs": [JOB]}


async def test_same_key_at_the_same_time_starts_one_run(deploy: Deploy, runs_of: RunsOf) -> None:
    """Four concurrent flows with one key: one flow run."""
    name = await deploy("once-at-once")
    given = await asyncio.gather(*[starting(name, ["k"]) for _ in range(4)])
    [run] = await runs_of(name)
    assert given == [[run.id]] * 4


async def test_another_key_starts_another_run(deploy: Deploy, runs_of: RunsOf) -> None:
    """Two keys: two flow runs."""
    name = await deploy("twice")
    await starting(name, ["a", "b"])
    assert len(await runs_of(name)) == 2


def test_key_names_deployment_provider_endpoint_jobs_and_states() -> None:
    """A change of any of the five changes the key; the order of the jobs and a repeated job do not."""
    one, two = ({"job_id": job_id, "state": "SUCCEEDED"} for job_id in "12")
    key = downstream_key("f/d", "aiware", "https://x.invalid", [one, two])
    assert downstream_key("f/d", "aiware", "https://x.invalid", [two, one, two]) == key
    others = {
        downstream_key("f/e", "aiware", "https://x.invalid", [one, two]),
        downstream_key("f/d", "datasaur", "https://x.invalid", [one, two]),
        downstream_key("f/d", "aiware", "https://y.invalid", [one, two]),
        downstream_key("f/d", "aiware", "https://x.invalid", [one]),
        downstream_key("f/d", "aiware", "https://x.invalid", [one, two | {"state": "UNKNOWN"}]),
    }
    assert len({key, *others}) == 6


def test_repeated_job_counts_as_the_first() -> None:
    """Export 2 repeats export 1, whose file is lost: a deployment that was started for 1 is not started for 2."""
    first, again = ({"job_id": job_id, "state": "SUCCEEDED"} for job_id in "12")
    key = downstream_key("f/d", "datasaur", "https://x.invalid", [first])
    assert downstream_key("f/d", "datasaur", "https://x.invalid", [again | {"repeats": "1"}]) == key


async def test_deployment_that_is_given_twice_is_started_once(deploy: Deploy, runs_of: RunsOf) -> None:
    """The same name twice in `downstream`: one run."""
    name = await deploy("named-twice")

    @flow
    async def mine() -> Any:
        return await start_downstream([name, name], "aiware", "https://x.invalid", [JOB])

    assert len(await mine()) == 1
    assert len(await runs_of(name)) == 1


async def test_outcomes_of_two_thousand_jobs_can_be_handed_over(deploy: Deploy, runs_of: RunsOf) -> None:
    """A sensor that waited for 2,000 jobs starts downstream, although Prefect limits parameters to 512 KiB."""
    name = await deploy("two-thousand")
    job: dict[str, Any] = {
        **JOB,
        "raw_status": "complete",
        "task_counts": [{"status": "complete", "count": 5}],
        "failures": [],
        "created_at": "2026-11-21T00:00:00+00:00",
        "modified_at": "2026-11-21T00:10:00+00:00",
        "target_id": "1335457894",
        "result_id": None,
        "result": None,
    }
    finished = [job | {"job_id": f"23114614_{number:010d}"} for number in range(2000)]

    @flow
    async def mine() -> Any:
        return await start_downstream([name], "aiware", "https://x.invalid", finished)

    await mine()
    assert len(await runs_of(name)) == 1


async def test_largest_result_that_is_handed_over_fits_into_a_parameter(deploy: Deploy, runs_of: RunsOf) -> None:
    """A result at the bound, with characters of several bytes: Prefect's server accepts it."""
    name = await deploy("large")
    result = {"text": "\u20ac" * ((MAX_RESULT_CHARACTERS - 12) // 6)}
    large = outcome("aiware", "1", Job("aiware", "1", JobState.SUCCEEDED, "complete"), result)
    assert large["result"] == json.dumps(result)

    @flow
    async def mine() -> Any:
        return await start_downstream([name], "aiware", "https://x.invalid", [large])

    await mine()
    assert [run.parameters["jobs"] for run in await runs_of(name)] == [[large]]


@pytest.mark.parametrize("name", ["nobody/knows", "no-slash", "too/many/slashes", "/", " / "])
async def test_missing_deployment_is_refused(name: str) -> None:
    """An unknown name, or one that is not flow/deployment: `InvalidInput` with the parameter and the name."""
    with pytest.raises(InvalidInput) as raised:
        await require_deployments([name], "downstream", "jobs")
    assert raised.value.parameter == "downstream"
    assert repr(name) in str(raised.value)


async def test_deployment_whose_flow_takes_no_jobs_is_refused(deploy: Deploy) -> None:
    """A flow without the parameter `jobs` could not get the outcomes: refused with the parameter's name."""
    name = await deploy("deaf", {"type": "object", "properties": {"other": {"type": "string"}}})
    with pytest.raises(InvalidInput, match="has no parameter 'jobs'"):
        await require_deployments([name], "downstream", "jobs")


async def test_deployment_with_another_required_parameter_is_refused(deploy: Deploy) -> None:
    """A second required parameter: refused with its name; accepted if the deployment has a value for it."""
    schema = {"type": "object", "properties": {"jobs": {}, "database": {}}, "required": ["jobs", "database"]}
    wanting = await deploy("wanting", schema)
    with pytest.raises(InvalidInput, match="needs a value for database"):
        await require_deployments([wanting], "downstream", "jobs")
    await require_deployments([await deploy("provided", schema, {"database": "x"})], "downstream", "jobs")


async def test_references_and_templates_in_a_result_reach_downstream_as_text(deploy: Deploy, runs_of: RunsOf) -> None:
    """A server's answer that resembles Prefect's own markup is neither resolved nor refused (guarantee 11)."""
    name = await deploy("hostile")
    hostile: dict[str, Any] = {
        "variable": {"__prefect_kind": "workspace_variable", "variable_name": "db_password"},
        "template": {"__prefect_kind": "jinja", "template": "{{ 6*7 }}"},
        "block": {"$ref": {"block_document_slug": "aiware-credentials/aiware"}},
        "surrogate": "\ud800",
    }
    done = outcome("aiware", "1", Job("aiware", "1", JobState.SUCCEEDED, "complete"), hostile)

    @flow
    async def mine() -> Any:
        return await start_downstream([name], "aiware", "https://x.invalid", [done])

    await mine()
    [run] = await runs_of(name)
    assert json.loads(run.parameters["jobs"][0]["result"]) == hostile


async def test_deleted_deployment_does_not_stop_the_others(deploy: Deploy, runs_of: RunsOf) -> None:
    """The first of two was deleted meanwhile: the second starts, and the error names the first and the job."""
    name = await deploy("still-there")
    done = outcome("aiware", "job-1", Job("aiware", "job-1", JobState.SUCCEEDED, "complete"))

    @flow
    async def mine() -> Any:
        return await start_downstream(["gone/gone", name], "aiware", "https://x.invalid", [done])

    with pytest.raises(HandOverFailed, match=r"job-1.*gone/gone"):
        await mine()
    assert len(await runs_of(name)) == 1
