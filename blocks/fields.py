"""Fields that several blocks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from prefect.settings import get_current_settings
from pydantic import BaseModel, Field, JsonValue

from graphql_jobs import Deadlines, JobClient, Limits, Schedule, WaitPolicy
from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.rate_limit import MAX_REQUESTS_PER_S
from graphql_jobs.urls import address, base_url

#: A day, in seconds.
DAY_S = 24 * 3600.0

Client = TypeVar("Client", bound=JobClient)

# Types of fields, and not a base class, whose fields would come before the address and the token in the UI's form.
VisibilityS = Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False)]
SubmissionS = Annotated[
    float,
    Field(
        gt=0,
        le=DAY_S,
        allow_inf_nan=False,
        description="Seconds that one submission may take. So long, and up to ten more, others leave it alone.",
    ),
]
RequestsPerS = Annotated[
    float | None,
    Field(
        gt=0,
        le=MAX_REQUESTS_PER_S,
        allow_inf_nan=False,
        description="Requests per second at most, retries, sign-in and downloads included; 0.2 is one in 5 s. It "
        "holds for the whole process, among all blocks with these credentials and this number. Empty: no limit.",
    ),
]
MaxBatch = Annotated[
    int | None,
    Field(
        ge=1,
        le=500,  # our choice: the largest document of aiWARE's that there is; more saves hardly anything
        description="Jobs per status request at most. Less is asked for by itself where the service refuses so many. "
        "Empty: 100 for aiWARE, 500 for Datasaur.",
    ),
]


#: Prefect's form checks lengths and bounds. The rest is checked when the block is made in Python.
NOT_EMPTY: dict[str, JsonValue] = {"minLength": 1}


class EndpointSettings(Protocol):
    """The fields of a credentials block that say how to treat the service."""

    visibility_s: float
    submission_s: float
    requests_per_s: float | None
    max_batch: int | None


def limits_of(block: EndpointSettings) -> Limits:
    """The limits for the sessions of a credentials block."""
    return Limits(submission_s=block.submission_s, requests_per_s=block.requests_per_s)


def tuned(client: Client, block: EndpointSettings, account: str) -> Client:
    """The client, treating the service as the block says, for jobs of `account`."""
    client.account = account
    client.visibility_s = block.visibility_s
    client.max_batch = block.max_batch or client.max_batch
    return client


def checked_base_url(url: str) -> str:
    """For field validators: the URL without a trailing slash. Raises a `ValueError` that does not show it."""
    checked = base_url(url)
    if checked.lower().endswith("/graphql"):
        raise InvalidInput("base_url", "the URL ends in the path of the API, such as /v3/graphql. Leave that out.")
    return checked


def checked_token_url(url: str | None) -> str | None:
    """The same for where tokens are given out."""
    return None if url is None else address(url, "token_url")


def checked_endpoint(url: str) -> str:
    """The same for the address of a model."""
    return address(url, "endpoint")


def default_result_folder() -> Path:
    """Where files go unless told otherwise: beside what Prefect itself keeps."""
    return get_current_settings().home / "graphql-jobs" / "results"


def result_folder(named: str | None, parameter: str = "result_folder") -> Path:
    """The folder that was named, or the default one: absolute, since what comes downstream runs somewhere else."""
    if not named:
        return default_result_folder()
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError:  # "~nobody"
        raise InvalidInput(parameter, f"there is no user's home {named.partition('/')[0]!r}.") from None


#: The limits of a wait, and the parameters of flows and fields of job blocks that set them.
_PARAMETERS = (
    ("total_s", "give_up_after_s"),
    ("queued_s", "queued_at_most_s"),
    ("running_s", "running_at_most_s"),
    ("unchanged_s", "unchanged_at_most_s"),
    ("unseen_s", "unseen_at_most_s"),
)


def wait_policy(
    give_up_after_s: float,
    queued_at_most_s: float | None = None,
    running_at_most_s: float | None = None,
    max_poll_interval_s: float = Schedule().max_delay_s,
    unchanged_at_most_s: float | None = None,
    unseen_at_most_s: float | None = None,
) -> WaitPolicy:
    """What flows and job blocks ask for, as a policy. No outage is sat out for longer than the whole wait may take."""
    outage_budget_s = WaitPolicy().outage_budget_s
    shortened = (("outage_budget_s", "give_up_after_s"),) if give_up_after_s < outage_budget_s else ()
    return WaitPolicy(
        outage_budget_s=min(outage_budget_s, give_up_after_s),
        parameters=(*_PARAMETERS, *shortened),
        schedule=Schedule(max_delay_s=max_poll_interval_s),
        deadlines=Deadlines(
            total_s=give_up_after_s,
            queued_s=queued_at_most_s,
            running_s=running_at_most_s,
            unchanged_s=unchanged_at_most_s,
            unseen_s=unseen_at_most_s,
        ),
    )


_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class WaitSettings(BaseModel):
    """How long a job block waits, and where what the job made goes."""

    give_up_after_s: _Seconds = Field(
        default=DAY_S, description="Stop waiting this long after the submission, in seconds; the job goes on."
    )
    queued_at_most_s: _Seconds | None = Field(
        default=None, description="Stop waiting if the job has not begun to run after this many seconds."
    )
    running_at_most_s: _Seconds | None = Field(
        default=None, description="Stop waiting if the job runs longer than this many seconds."
    )
    unchanged_at_most_s: _Seconds | None = Field(
        default=None, description="Stop waiting if no status changes for this many seconds."
    )
    unseen_at_most_s: _Seconds | None = Field(
        default=None,
        description="Stop waiting if the job does not show within this many seconds; by default half a minute.",
    )
    max_poll_interval_s: _Seconds = Field(
        default=Schedule().max_delay_s, description="Look at the job at least this often, in seconds."
    )
    result_folder: str | None = Field(
        default=None, description="Folder for files that the job made; by default one in Prefect's home."
    )

    def policy(self) -> WaitPolicy:
        """The policy for this block's waits."""
        return wait_policy(**self.model_dump(exclude={"result_folder"}))

    def folder(self) -> Path:
        """The folder for files."""
        return result_folder(self.result_folder)
