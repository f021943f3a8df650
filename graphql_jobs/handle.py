"""The handle of a job, with which any process can wait for it, and the outcome of a cancel."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from graphql_jobs.errors import InvalidInput, JobNotFound, RequestFailed
from graphql_jobs.job import Job
from graphql_jobs.titles import job_name

#: Our choice: long enough for every id seen (76 characters, aiWARE's older tasks), short enough to log.
MAX_ID_CHARACTERS = 200
#: In a handle's details: the id of the job that it repeats. Downstream is started once for both.
REPEATS = "repeats"
#: The name of an export's URL in a handle's details.
FILE_URL = "file_url"

#: The URLs that were removed from handles, by endpoint, job and name. Anyone can download with them, and a handle is
#: stored in parameters, results and databases (guarantee 7). Another process does not have them: it exports again.
_urls: dict[tuple[str, str, str], str] = {}
_changing_urls = Lock()
#: Our choice: the maximum number of URLs. Beyond it, the oldest are dropped.
_MAX_URLS = 10_000


class JobHandle(BaseModel):
    """All data that any process needs to wait for, read, cancel or collect a job, at any later time.

    `to_json` and `from_json` convert it; it holds no credentials. `details` keeps data that only the response to the
    submission has, such as an aiWARE job's `target_id`, and the job that this one `REPEATS`. A URL among them, such as
    a Datasaur export's `file_url`, lets anyone download for some hours: it is removed from the handle and stays in
    this process (`address`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    job_id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    operation: str | None = None
    submitted_at: AwareDatetime | None = None
    details: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _take_urls_out(self) -> Self:
        for name in [name for name, value in self.details.items() if name == FILE_URL or "://" in value]:
            with _changing_urls:
                key = (self.endpoint, self.job_id, name)
                _urls.pop(key, None)
                _urls[key] = self.details.pop(name)
                if len(_urls) > _MAX_URLS:
                    del _urls[next(iter(_urls))]
        return self

    @property
    def name(self) -> str:
        """The job in sentences: "aiWARE job 7"."""
        return job_name(self.provider, self.job_id)

    def to_json(self) -> dict[str, Any]:
        """Return the handle as plain JSON."""
        return self.model_dump(mode="json")

    def address(self, name: str) -> str | None:
        """Return a URL from the response to the submission, or None if another process read that response."""
        return _urls.get((self.endpoint, self.job_id, name))

    @property
    def has_addresses(self) -> bool:
        """Whether this process has a URL from the response to the submission. No other process has it."""
        return any(key[:2] == (self.endpoint, self.job_id) for key in list(_urls))

    @classmethod
    def from_json(cls, plain: object) -> Self:
        """Return the handle from `to_json`'s output. Raises `InvalidInput`, which names the first wrong field."""
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = ".".join(["handle", *map(str, first["loc"])])
            raise InvalidInput(name, f"{first['msg']}.") from None


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """The outcome of a cancel. `confirmed`: the job was read again, and the provider no longer runs it."""

    job_id: str
    confirmed: bool
    message: str
    job: Job | None = field(default=None, repr=False)


#: The result of one poll of one job. A `RequestFailed` concerns the poll, not the job.
Seen = Job | JobNotFound | RequestFailed
