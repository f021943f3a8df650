"""The handle of a job, plain JSON that any process can wait with, and what came of a cancel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from graphql_jobs.errors import InvalidInput, JobNotFound, RequestFailed
from graphql_jobs.job import Job
from graphql_jobs.kept_addresses import keep_address, kept_address

#: Our choice: long enough for every id seen (76 characters, aiWARE's older tasks), short enough to log.
MAX_ID_CHARACTERS = 200
#: In a handle's details: the id of the job that it does again. What comes next is started once for both.
REPEATS = "repeats"
#: The name of the address of an export's file.
FILE_URL = "file_url"


class JobHandle(BaseModel):
    """All that is needed to wait for, read, cancel or collect a job, from any process and on any later day.

    Plain JSON both ways (`to_json`, `from_json`); holds no credentials. `details` keeps what only the answer to the
    submission told, such as an aiWARE job's `target_id`, and which job a repeated one `REPEATS`. An address among them,
    such as a Datasaur export's `file_url`, lets anyone download for some hours: it is taken out of the handle and stays
    in this process (`address`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    job_id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    operation: str | None = None
    submitted_at: AwareDatetime | None = None
    details: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _put_addresses_aside(self) -> Self:
        for name in [name for name, value in self.details.items() if name == FILE_URL or "://" in value]:
            keep_address(self.details.pop(name), self.endpoint, self.job_id, name)
        return self

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(mode="json")

    def address(self, name: str) -> str | None:
        """The address that the answer to the submission told, if this process has read that answer."""
        return kept_address(self.endpoint, self.job_id, name)

    @classmethod
    def from_json(cls, plain: object) -> Self:
        """Read what `to_json` wrote. Raises `InvalidInput` that names the first wrong field."""
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = ".".join(["handle", *map(str, first["loc"])])
            raise InvalidInput(name, f"{first['msg']}.") from None


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What came of a cancel. `confirmed`: the provider was read again and no longer runs the job."""

    job_id: str
    confirmed: bool
    message: str
    job: Job | None = field(default=None, repr=False)


#: What one poll of one job can give. A failed check concerns the check, not the job.
Seen = Job | JobNotFound | RequestFailed
