"""How a provider lets us find out what came of a submission whose answer was lost."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from graphql_jobs.errors import GraphqlJobsError

#: Where a job would be found, as plain JSON in the provider's own terms.
Location = dict[str, Any]


class Recovery(StrEnum):
    """What can be done if nobody knows whether a job was started."""

    #: The provider can be searched for it (`JobClient.find`).
    FIND = "find"
    #: A second job does no harm: submit again.
    REPEAT = "repeat"
    #: Neither: `SubmissionUnknown`, unless the caller accepts a second job.
    NONE = "none"


class Evidence(StrEnum):
    """Why a job that `find` gives is the one that was submitted."""

    #: It has the label, so that no job from before the first intent is among those found.
    LABEL = "label"
    #: Only jobs of this submission are at its location, but for those whose ids were noted before.
    LOCATION = "location"
    #: It has the operation, the location and the time of the submission: it may be someone else's.
    NONE = "none"


class Undecided(GraphqlJobsError):
    """A search that proves nothing. The text says why. `submit_once` raises `SubmissionUnknown` for it."""
