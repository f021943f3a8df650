"""How the outcome of a submission whose answer was lost is determined."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from graphql_jobs.errors import GraphqlJobsError

#: Where to search for a job, as plain JSON in the provider's terms.
Location = dict[str, Any]


class Recovery(StrEnum):
    """What can be done if it is not known whether a job was started."""

    #: The provider can be searched for it (`JobClient.find`).
    FIND = "find"
    #: A second job does no harm: submit again.
    REPEAT = "repeat"
    #: Neither: `SubmissionUnknown`, unless the caller accepts a second job.
    NONE = "none"


class Evidence(StrEnum):
    """Why a job that `find` returns is the one that was submitted."""

    #: It has the label, so no job from before the first intent is found.
    LABEL = "label"
    #: Its location has only this submission's jobs and jobs whose ids were recorded before.
    LOCATION = "location"
    #: It has only the operation, the location and the time of the submission: it may be someone else's.
    NONE = "none"


class Undecided(GraphqlJobsError):
    """The search proves nothing. The text says why. `submit_once` raises `SubmissionUnknown` for it."""
