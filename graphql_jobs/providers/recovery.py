"""What can be done about a job when the answer to its submission was lost."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from graphql_jobs.errors import GraphqlJobsError

#: Where a job would be found, as plain JSON in the provider's own terms.
Location = dict[str, Any]


class Recovery(StrEnum):
    """What can be done about a job of which nobody knows whether it was started."""

    #: The provider can be asked for it.
    FIND = "find"
    #: A second one does no harm.
    REPEAT = "repeat"
    #: Nothing shows it.
    NONE = "none"


class Undecided(GraphqlJobsError):
    """What was seen, or not, tells nothing. The text says why. `submit_once` raises `SubmissionUnknown` for it."""
