"""Fields that several blocks share, and the limits of a wait, which flows take as parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from prefect.blocks.core import Block, schema_extra
from prefect.settings import get_current_settings
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from blocks.connection import ConnectionSettings
from graphql_jobs import Deadlines, JobClient, Limits, Schedule, WaitPolicy
from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import show_boxes
from graphql_jobs.transport.rate_limit import MAX_REQUESTS_PER_S

#: A day, in seconds.
DAY_S = 24 * 3600.0

#: Forms offer these; Datasaur takes any word. Source: docs/providers/datasaur.md#exports.
EXPORT_FORMATS = (
    "JSON_ADVANCED",
    "DATASAUR_SCHEMA",
    "CSV",
    "TSV",
    "XLSX",
    "CONLL_2003",
    "CONLL_U",
    "PLAIN",
    "CUSTOM",
)

Client = TypeVar("Client", bound=JobClient)


def _form(schema: dict[str, Any], block: type[Block]) -> None:
    schema_extra(schema, block)
    show_boxes(schema)


#: The configuration of all blocks here: no message contains a value, and an optional field of the form is a box.
BLOCK_CONFIG = ConfigDict(hide_input_in_errors=True, json_schema_extra=_form)

# These are not in a base class, since its fields would precede the address and the token in the UI's form.
VisibilityS = Annotated[
    float,
    Field(
        ge=0,
        le=DAY_S,
        allow_inf_nan=False,
        title="Advanced: new jobs show within (seconds)",
        description="For this time, a new job or project may be missing from lists. A search after a lost response "
        "takes as long.",
    ),
]
SubmissionS = Annotated[
    float,
    Field(
        gt=0,
        le=DAY_S,
        allow_inf_nan=False,
        title="Advanced: a submission takes at most (seconds)",
        description="When this time and ten seconds have passed, another run may continue the submission.",
    ),
]
RequestsPerS = Annotated[
    float | None,
    Field(
        gt=0,
        le=MAX_REQUESTS_PER_S,
        allow_inf_nan=False,
        title="Advanced: requests per second at most",
        description="Counts retries, sign-in and downloads; 0.2 is one request in 5 s. All blocks in a process with "
        "these credentials and this number share the limit. Empty for no limit.",
    ),
]
MaxBatch = Annotated[
    int | None,
    Field(
        ge=1,
        le=500,  # our choice: aiWARE's largest document; larger ones save little
        title="Advanced: jobs per status request at most",
        description="Batches shrink automatically where the service refuses them. Empty for the provider's own number.",
    ),
]


#: For Prefect's form, which checks only lengths and bounds. Python checks the rest when the block is loaded.
NOT_EMPTY: dict[str, JsonValue] = {"minLength": 1}


class RequestSettings(Protocol):
    """The fields of a credentials block that tune requests."""

    submission_s: float
    requests_per_s: float | None
    connection: ConnectionSettings


class EndpointSettings(RequestSettings, Protocol):
    """The fields of a credentials block that tune the client."""

    visibility_s: float
    max_batch: int | None
    _block_document_name: str | None


def connection_field() -> Any:
    """Return the last field of a credentials block, a `ConnectionSettings`."""
    return Field(
        default_factory=ConnectionSettings,
        title="Advanced: connection",
        description="Time-outs, extra headers, a client certificate and a proxy.",
    )


def limits_of(block: RequestSettings) -> Limits:
    """Return the limits for the sessions of a credentials block."""
    timeouts = block.connection
    return Limits(
        connect_s=timeouts.connect_s,
        read_s=timeouts.read_s,
        request_s=timeouts.request_s,
        submission_s=block.submission_s,
        requests_per_s=block.requests_per_s,
    )


def tuned(client: Client, block: EndpointSettings, account: str) -> Client:
    """Return the client with the block's settings, for jobs of `account`."""
    client.visibility_s = block.visibility_s
    client.max_batch = block.max_batch or client.max_batch
    return owned(client, block._block_document_name, account)


def owned(client: Client, block_name: str | None, account: str) -> Client:
    """Return the client for jobs of `account`. Messages about its credentials name the block."""
    client.account = account
    client.session.source = f"the block {block_name!r}" if block_name else "the credentials block"
    return client


def default_result_folder() -> Path:
    """Return the default folder for files, in Prefect's home."""
    return get_current_settings().home / "graphql-jobs" / "results"


def result_folder(named: str | None, parameter: str = "result_folder") -> Path:
    """Return the absolute path of the named or default folder. Downstream flows run elsewhere."""
    if not named:
        return default_result_folder()
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError:  # "~nobody"
        raise InvalidInput(parameter, f"there is no home folder {named.partition('/')[0]!r}.") from None


#: The limits of a wait, each with the flow parameter or job block field that sets it.
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
    """Return the policy for the parameters of a flow or job block. Its outage budget is at most `give_up_after_s`."""
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

# The limits of a wait, as fields of job blocks and as parameters of flows (bounds: tasks/parameters.py).
GiveUpAfter = Annotated[
    _Seconds,
    Field(
        title="Give up after (seconds)",
        description="Stop waiting for a job this many seconds after its submission. The job may still run.",
    ),
]
QueuedAtMost = Annotated[
    _Seconds | None,
    Field(
        title="Queued at most (seconds)",
        description="Stop waiting for a job that has not begun to run after this many seconds. Empty for no limit.",
    ),
]
RunningAtMost = Annotated[
    _Seconds | None,
    Field(
        title="Running at most (seconds)",
        description="Stop waiting for a job that runs longer than this many seconds. Empty for no limit.",
    ),
]
UnchangedAtMost = Annotated[
    _Seconds | None,
    Field(
        title="Unchanged at most (seconds)",
        description="Stop waiting for a job whose status has not changed for this many seconds. Empty for no limit.",
    ),
]
UnseenAtMost = Annotated[
    _Seconds | None,
    Field(
        title="Not found at most (seconds)",
        description="Stop waiting for a job that the provider does not show this many seconds after its submission. "
        "Empty for half a minute.",
    ),
]
MaxPollInterval = Annotated[
    _Seconds,
    Field(
        title="Longest time between two status checks (seconds)",
        description="A new job is polled more often.",
    ),
]
#: The defaults of `give_up_after_s` and `max_poll_interval_s`. The other limits are off.
GIVE_UP_AFTER_S = DAY_S
MAX_POLL_INTERVAL_S = Schedule().max_delay_s


class WaitSettings(BaseModel):
    """How long a job block waits for its job, and the folder for the job's files."""

    model_config = ConfigDict(json_schema_extra=show_boxes)

    give_up_after_s: GiveUpAfter = GIVE_UP_AFTER_S
    queued_at_most_s: QueuedAtMost = None
    running_at_most_s: RunningAtMost = None
    unchanged_at_most_s: UnchangedAtMost = None
    unseen_at_most_s: UnseenAtMost = None
    max_poll_interval_s: MaxPollInterval = MAX_POLL_INTERVAL_S
    result_folder: str | None = Field(
        default=None,
        title="Folder for the job's files",
        description="Path of a folder on the machine that runs the job block. Empty for one in Prefect's home.",
    )

    def policy(self) -> WaitPolicy:
        """Return the policy for this block's waits."""
        return wait_policy(**self.model_dump(exclude={"result_folder"}))

    def folder(self) -> Path:
        """Return the folder for files."""
        return result_folder(self.result_folder)
