"""Bad input is refused with the parameter's name, and nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow

import tasks
from graphql_jobs import JobHandle, WaitPolicy
from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.datasaur import ExportSpec

if TYPE_CHECKING:
    from blocks import AiwareCredentials, DatasaurCredentials
    from graphql_jobs.emulator import Emulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

Call = Callable[[Any], Awaitable[Any]]
ELSEWHERE = JobHandle(provider="aiware", endpoint="https://elsewhere.invalid/v3/graphql", job_id="1")
OTHERS = JobHandle(provider="datasaur", endpoint="https://x.invalid/graphql", job_id="ExportQueue:1")
BAD: dict[str, tuple[str, Call]] = {
    "check: an empty id": ("job_id", lambda block: tasks.check_job(block, "")),
    "check: blanks": ("job_id", lambda block: tasks.check_job(block, "  ")),
    "check: a path": ("job_id", lambda block: tasks.check_job(block, "../jobs/1")),
    "check: far too long": ("job_id", lambda block: tasks.check_job(block, "1" * 201)),
    "check many: none": ("job_ids", lambda block: tasks.check_jobs(block, [])),
    "check many: one bad id": ("job_ids", lambda block: tasks.check_jobs(block, ["1", "2;DROP"])),
    "wait: another endpoint": ("job", lambda block: tasks.wait_for_job(block, ELSEWHERE)),
    "wait: another provider": ("job", lambda block: tasks.wait_for_job(block, OTHERS)),
    "wait many: none": ("job_ids", lambda block: tasks.wait_for_jobs(block, [])),
    "wait many: an empty id": ("job_ids", lambda block: tasks.wait_for_jobs(block, ["1", ""])),
    "wait many: another provider": ("job_ids", lambda block: tasks.wait_for_jobs(block, ["1", OTHERS])),
    "cancel: an empty id": ("job_id", lambda block: tasks.cancel_job(block, "")),
    "submit: another provider": (
        "spec",
        lambda block: tasks.submit_job(block, ExportSpec(project_ids=["1"], file_name="x")),
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_by_name_and_nothing_is_sent(
    name: str, aiware: AiwareCredentials, emulator: Emulator
) -> None:
    """`check_job(block, "../jobs/1")`: `InvalidInput` with the parameter's name, and an empty ledger."""
    parameter, call = BAD[name]

    @flow
    async def mine() -> Any:
        return await call(aiware)

    with pytest.raises(InvalidInput) as raised:
        await mine()
    # `check_job` passes its id in a list, so the error names the list.
    assert raised.value.parameter.removesuffix("s") == parameter.removesuffix("s")
    assert emulator.ledger.requests == []


async def test_job_that_is_given_twice_is_checked_and_waited_for_once(
    datasaur: DatasaurCredentials, emulator: Emulator
) -> None:
    """The same id three times, once with blanks around it: one status per poll, one outcome."""
    job_id = emulator.datasaur.plant().id

    @flow
    async def mine() -> Any:
        given = [job_id, f" {job_id} ", job_id]
        return await tasks.check_jobs(datasaur, given), await tasks.wait_for_jobs(datasaur, given)

    seen, ended = await mine()
    assert list(seen) == list(ended) == [job_id]
    assert max(record.statuses_read for record in emulator.ledger.requests) == 1


async def test_handle_with_blanks_around_its_id_is_the_same_job(
    datasaur: DatasaurCredentials, emulator: Emulator
) -> None:
    """A handle whose id was pasted with a blank at its end is waited for, like a bare id with a blank."""
    job = emulator.datasaur.plant()
    handle = JobHandle(provider="datasaur", endpoint=f"{emulator.url}/graphql", job_id=f"{job.id} ")

    @flow
    async def mine() -> Any:
        return await tasks.wait_for_job(datasaur, handle)

    assert (await mine()).job_id == job.id


async def test_string_instead_of_a_list_of_ids_is_refused(aiware: AiwareCredentials, emulator: Emulator) -> None:
    """`wait_for_jobs(block, "2791851b")` means one job, and must not poll the jobs "2", "7", "9" and so on."""

    @flow
    async def mine(number: int) -> Any:
        task: Any = (tasks.wait_for_jobs, tasks.check_jobs)[number]
        return await task(aiware, "2791851b")

    for number in range(2):
        with pytest.raises(InvalidInput, match="job_ids"):
            await mine(number)
    assert emulator.ledger.requests == []


@pytest.mark.parametrize("field", ["outage_budget_s", "not_found_grace_s"])
def test_policy_takes_no_negative_seconds(field: str) -> None:
    """-1 s is refused with the field's name when the policy is made."""
    with pytest.raises(InvalidInput, match=field):
        WaitPolicy(**{field: -1.0})  # type: ignore[arg-type]
