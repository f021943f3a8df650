"""Types of the parameters that several flows share, with their bounds and descriptions.

The UI's form and the API enforce the bounds before a run starts. A flow's docstring describes only its own parameters;
`described` adds the shared ones, since Prefect takes descriptions from the docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import date
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model
from pydantic.fields import FieldInfo

import graphql_jobs
from blocks import fields
from blocks.runs import suspended_wait
from graphql_jobs.inputs import Name, TextSettings, invalid_input

#: Our choice: the form should refuse milliseconds in place of seconds.
MAX_WAIT_S = 30 * 24 * 3600.0

#: Our choice: 4,000 outcomes in their shortest form fit into one downstream run's parameters.
JobIds = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(min_length=1, max_length=4000)
]
#: Pre-signed addresses are long.
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]

GiveUpAfter = Annotated[fields.GiveUpAfter, Field(le=MAX_WAIT_S)]
QueuedAtMost = Annotated[fields.QueuedAtMost, Field(le=MAX_WAIT_S)]
RunningAtMost = Annotated[fields.RunningAtMost, Field(le=MAX_WAIT_S)]
UnchangedAtMost = Annotated[fields.UnchangedAtMost, Field(le=MAX_WAIT_S)]
UnseenAtMost = Annotated[fields.UnseenAtMost, Field(le=MAX_WAIT_S)]
MaxPollInterval = Annotated[fields.MaxPollInterval, Field(le=3600)]

OnTimeout = Annotated[
    Literal["leave", "cancel"],
    Field(
        title="When the run gives up, the job is",
        description="Left running (leave), or cancelled, if the provider can cancel (cancel).",
    ),
]
Key = Annotated[
    Name | None,
    Field(
        title="Your own name for this job (key)",
        description="Another run with the same key continues with the same job and starts no second one. "
        "Empty for a job per run.",
    ),
]
OnUnknown = Annotated[
    graphql_jobs.OnUnknown,
    Field(
        title="If it is unknown whether the job was started",
        description="End the run as SubmissionUnknown (fail), or submit again at the risk of a second job (resubmit).",
    ),
]
ForceResubmit = Annotated[
    bool,
    Field(
        title="Start a new job even if there is one",
        description="Once per run. The earlier job is not touched.",
    ),
]
Suspend = Annotated[
    bool,
    Field(
        title="Wait without a process (suspend)",
        description="Suspend the run while it waits: it holds no process and no slot. A watcher resumes it, and the "
        "flow runs again from its top.",
    ),
]
SuspendAfter = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WAIT_S,
        title="Suspend after (seconds)",
        description="Until then the run waits in its process.",
    ),
]
OnFailure = Annotated[
    suspended_wait.OnFailure,
    Field(
        title="If the job of a suspended run does not succeed",
        description="Resume the run, which then fails (resume), or let it fail without a process (fail).",
    ),
]
Downstream = Annotated[
    list[Name],
    Field(
        title="Then start",
        description="Deployments to start when the job has succeeded, as flow/deployment, such as "
        "store-results/store-results. Each takes the parameter jobs.",
    ),
]

StartDownstreamWhen = Literal["all succeeded", "any succeeded", "always"]
#: Of a batch of jobs.
BatchDownstream = Annotated[
    list[Name],
    Field(
        title="Then start",
        description="Deployments to start once, with all outcomes, as flow/deployment. Each takes the parameter jobs.",
    ),
]
BatchKey = Annotated[
    Name | None,
    Field(
        title="Your own name for this batch (key)",
        description="A name of your own for this batch, such as a date. Another run with the same key continues with "
        "its jobs.",
    ),
]
SubmissionsPerS = Annotated[
    float,
    Field(
        gt=0,
        le=100,
        title="Submissions per second",
        description="At most. The credentials block bounds all requests.",
    ),
]
Pattern = Annotated[
    Name,
    Field(
        title="Names of the recordings", description="Which files of a listing or folder are recordings, such as *.mp4."
    ),
]
Since = Annotated[
    date | None,
    Field(title="From (date)", description="The first day, in UTC, such as 2026-11-01. Empty for no limit."),
]
Until = Annotated[
    date | None,
    Field(title="To (date)", description="The last day, in UTC, such as 2026-11-30. Empty for no limit."),
]

ClusterId = Annotated[
    Name | None,
    Field(title="Cluster", description="Id of the cluster to run on. Empty for the organisation's default."),
]
TemplateFields = Annotated[
    TextSettings,
    Field(
        title="Engine settings",
        description="Values for the engine's job template, such as language=en-US.",
    ),
]
ExportFormat = Annotated[Name, Field(json_schema_extra={"enum": [*fields.EXPORT_FORMATS]})]


def is_within(day: date | None, since: date | None, until: date | None) -> bool:
    """Whether a day is in the range. An unknown day is only in a range without limits."""
    return not (since or until) if day is None else (since or day) <= day <= (until or day)


class ParameterCheck:
    """Validate a flow's parameters by its signature.

    Prefect's validation ends the run in a state with the name Failed and logs all parameters.
    """

    def __init__(self, name: str, signature: Signature) -> None:
        types: dict[str, Any] = {
            parameter.name: (parameter.annotation, ... if parameter.default is Parameter.empty else parameter.default)
            for parameter in signature.parameters.values()
        }
        self._signature = signature
        self._model: type[BaseModel] = create_model(name, __config__=ConfigDict(hide_input_in_errors=True), **types)

    def checked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the validated parameters by name. Raises `InvalidInput`, which names the wrong ones."""
        given = self._signature.bind_partial(*args, **kwargs).arguments
        try:
            values = self._model.model_validate(given)
        except ValidationError as error:
            raise invalid_input(error, "parameters") from None
        return {name: getattr(values, name) for name in self._model.model_fields}


def described(docstring: str, signature: Signature) -> str:
    """Return the docstring, with the missing `Args:` of parameters whose types have a description."""
    arguments, returns, rest = inspect.cleandoc(docstring).partition("\n\nReturns:")
    for parameter in signature.parameters.values():
        found = [one for one in getattr(parameter.annotation, "__metadata__", ()) if isinstance(one, FieldInfo)]
        description = next((one.description for one in found if one.description), None)
        if description and f"\n    {parameter.name}: " not in arguments:
            arguments += f"\n    {parameter.name}: {description}"
    return arguments + returns + rest
