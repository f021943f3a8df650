"""The commands of `graphql-jobs`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from graphql_jobs.cli.arguments import PARAMETER, provider_of, read_jobs
from graphql_jobs.cli.credentials import client_for, prefect_part
from graphql_jobs.cli.exit_codes import ExitCode, code_of, code_of_all
from graphql_jobs.cli.output import WaitProgress, print_end, print_error
from graphql_jobs.cli.provider import provider_app
from graphql_jobs.errors import GraphqlJobsError, InvalidInput
from graphql_jobs.job import Job
from graphql_jobs.numbers import json_text
from graphql_jobs.transport.retry import OUTAGE_BUDGET_S
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.wait import require_success, wait_many

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.providers.base import JobClient

app = typer.Typer(
    help="Poll, wait for and cancel jobs at aiWARE, Datasaur and other providers, and fetch their results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(provider_app, name="provider")

_FORMS = "JSON, a file (with a slash or the suffix .json), or - for standard input."
_JOBS_HELP, _JOB_HELP = f"Job ids, or saved handles: {_FORMS}", f"A job id, or a saved handle: {_FORMS}"
Jobs = Annotated[list[str], typer.Argument(metavar="JOB", help=_JOBS_HELP, show_default=False)]
OneJob = Annotated[str, typer.Argument(metavar="JOB", help=_JOB_HELP, show_default=False)]
Provider = Annotated[
    str | None, typer.Option(help="The provider of the jobs, such as aiware or datasaur. Not needed for handles.")
]
BlockName = Annotated[
    str | None,
    typer.Option("--block", help="Name of a saved credentials block of Prefect, instead of environment variables."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for each job, on a line of its own.")]
GiveUpAfter = Annotated[
    float, typer.Option("--give-up-after-s", help="Stop waiting for a job this many seconds after its submission.")
]
MaxPollInterval = Annotated[float, typer.Option("--max-poll-interval-s", help="Poll a job at least this often.")]
OutageBudget = Annotated[
    float, typer.Option("--outage-budget-s", help="Stop when all requests have failed for this many seconds.")
]


@app.command()
def check(jobs: Jobs, provider: Provider = None, block: BlockName = None, as_json: AsJson = False) -> None:
    """Poll each job once, and print its state."""

    async def work() -> ExitCode:
        async with _opened(jobs, provider, block) as (client, handles):
            seen = await client.check([handle.job_id for handle in handles])
        for job_id, end in seen.items():
            print_end(client.provider, job_id, end, as_json=as_json)
        return code_of_all(seen.values())

    _run(work(), "Stopped.")


@app.command()
def wait(
    jobs: Jobs,
    provider: Provider = None,
    block: BlockName = None,
    give_up_after_s: GiveUpAfter = Deadlines().total_s,
    max_poll_interval_s: MaxPollInterval = Schedule().max_delay_s,
    outage_budget_s: OutageBudget = OUTAGE_BUDGET_S,
    as_json: AsJson = False,
) -> None:
    """Wait until all jobs have ended, and print each end as it comes. Ctrl-C stops the wait and not the jobs."""

    async def work() -> ExitCode:
        limits = {"total_s": "--give-up-after-s", "outage_budget_s": "--outage-budget-s"}
        policy = WaitPolicy(
            schedule=Schedule(max_delay_s=max_poll_interval_s),
            deadlines=Deadlines(total_s=give_up_after_s),
            outage_budget_s=outage_budget_s,
            parameters=tuple(limits.items()),
        )
        ends: list[Job | GraphqlJobsError] = []
        async with AsyncExitStack() as stack:
            client, handles = await stack.enter_async_context(_opened(jobs, provider, block))
            progress = stack.enter_context(WaitProgress(list(dict.fromkeys(one.job_id for one in handles))))
            coming = wait_many(client, handles, policy, on_change=progress.changed)
            async for handle, end in await stack.enter_async_context(aclosing(coming)):
                progress.ended(handle.job_id)
                print_end(client.provider, handle.job_id, end, as_json=as_json)
                ends.append(end)
        return code_of_all(ends)

    _run(work(), "Stopped waiting. The jobs were left as they are and may still run: wait for them again.")


@app.command()
def cancel(jobs: Jobs, provider: Provider = None, block: BlockName = None, as_json: AsJson = False) -> None:
    """Cancel jobs, and print for each whether that took effect. aiWARE refuses once a task runs; Datasaur always."""

    async def work() -> ExitCode:
        async with _opened(jobs, provider, block) as (client, handles):
            outcomes = await client.cancel_many([handle.job_id for handle in handles])
        for job_id, outcome in outcomes.items():
            print_end(client.provider, job_id, outcome, as_json=as_json)
        return code_of_all(outcomes.values())

    _run(work(), "Stopped. Whether the jobs were cancelled is not known: check them.")


@app.command()
def result(
    job: OneJob,
    provider: Provider = None,
    block: BlockName = None,
    outage_budget_s: OutageBudget = 60.0,
) -> None:
    """Print the result of a succeeded job as JSON: aiWARE's engine results, or the id of Datasaur's new project."""

    async def work() -> ExitCode:
        async with _opened([job], provider, block) as (client, [handle, *others]):
            if others:
                raise InvalidInput(PARAMETER, "give one job.")
            seen = (await client.check([handle.job_id]))[handle.job_id]
            if not isinstance(seen, Job):
                raise seen
            if not seen.state.is_terminal:
                print_error(f"{seen.name} has not ended: {seen.describe()}.")
                return ExitCode.NOT_ENDED
            fetched = await client.result(handle, require_success(seen), Path(), outage_budget_s)
        sys.stdout.write(json_text(fetched) + "\n")
        return ExitCode.SUCCEEDED

    _run(work(), "Stopped.")


@app.command()
def create_suspended_run(
    jobs: Jobs,
    provider: Provider = None,
    block: BlockName = None,
    deployment: Annotated[
        str | None, typer.Option(help="The deployment of the sensor, if not wait-for-jobs/wait-for-jobs.")
    ] = None,
    downstream: Annotated[
        list[str] | None, typer.Option(help="A deployment to start when the jobs have ended. Repeat it for more.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A second call with the same key creates no second run.")
    ] = None,
) -> None:
    """Create a flow run that waits for jobs and holds no process until they have ended. Prints its id."""

    async def work() -> ExitCode:
        create = prefect_part("tasks.suspending.create", "create-suspended-run").create_suspended_run
        at = provider_of(read := read_jobs(jobs, sys.stdin), provider)
        async with await client_for(at, block or at) as client:
            job_ids = [client.handle(job, PARAMETER).job_id for job in read]
        options = {"deployment": deployment} if deployment else {}
        run = await create(at, job_ids, block, idempotency_key=idempotency_key, downstream=downstream or [], **options)
        sys.stdout.write(f"{run.id}\n")
        return ExitCode.SUCCEEDED

    _run(work(), "Stopped. Call it again with the same idempotency key.")


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help="Run the emulator of both services; all options are those of `python -m graphql_jobs.emulator`.",
)
def emulator(context: typer.Context) -> None:
    """Run the emulator until a signal."""
    try:
        from graphql_jobs.emulator.__main__ import main
    except ModuleNotFoundError as error:
        print_error(f"{error.name} is missing. Install the extra: pip install 'graphql-jobs[emulator]'.")
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    main(context.args)


@asynccontextmanager
async def _opened(
    arguments: list[str], provider: str | None, block: str | None
) -> AsyncIterator[tuple[JobClient, list[JobHandle]]]:
    """Open a client for the jobs, and check that each job fits it."""
    jobs = read_jobs(arguments, sys.stdin)
    async with await client_for(provider_of(jobs, provider), block) as client:
        yield client, [client.handle(job, PARAMETER) for job in jobs]


def _run(work: Coroutine[None, None, ExitCode], if_interrupted: str) -> NoReturn:
    """Run a command to its exit code. An error is one line on standard error, and never a traceback."""
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        print_error(if_interrupted)
        code = ExitCode.INTERRUPTED
    except GraphqlJobsError as error:
        print_error(str(error))
        code = code_of(error)
    except OSError:  # such as a closed pipe, which typer handles
        raise
    except Exception as error:  # its text may hold a secret
        at = extract_tb(error.__traceback__)[-1]
        print_error(f"an unexpected {type(error).__name__} at {at.filename}:{at.lineno}. Please report it.")
        code = ExitCode.UNEXPECTED
    raise typer.Exit(code)
