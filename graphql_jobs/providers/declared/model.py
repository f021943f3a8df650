"""The settings of a declaration: the parts of the YAML file. Pure.

Nothing in a declaration is evaluated, and no text of it is inserted into a document: values are GraphQL variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator

from graphql_jobs import errors
from graphql_jobs.job import JobState
from graphql_jobs.providers.recovery import Recovery

if TYPE_CHECKING:
    from graphql_jobs.transport.diagnosis import Kind

#: The classes of errors, as a declaration writes them.
KINDS: dict[str, Kind] = {
    "refused": errors.RequestRefused,
    "not found": errors.NotFound,
    "not allowed": errors.NotAllowed,
    "sign-in failed": errors.SignInFailed,
    "rate limited": errors.RateLimited,
    "too much at once": errors.TooMuchAtOnce,
    "server failed": errors.ServerFailed,
    "operation failed": errors.OperationFailed,
}
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
#: The transport sets these itself.
_OWN_HEADERS = {"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"}


def _steps(text: Any) -> Any:
    if not isinstance(text, str) or not all(map(_NAME.fullmatch, text.split("."))):
        raise ValueError("it is no path. Write names of fields with dots between them, such as launchRun.run.runId")
    return tuple(text.split("."))


def _is_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        words = f"it is no regular expression ({error}). Write one in quotes, such as '[0-9a-f-]{{36}}'"
        raise ValueError(words) from None
    return text


def _is_kind(word: str) -> str:
    if word not in KINDS:
        raise ValueError(f"it is no kind of error. Write one of: {', '.join(KINDS)}")
    return word


#: The names of the fields on the way to a value in an answer; in YAML with dots between them.
FieldPath = Annotated[tuple[str, ...], BeforeValidator(_steps)]
Document = Annotated[str, Field(examples=["query Check($ids: [ID!]!) { jobs(ids: $ids) { id status } }"])]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SignIn(_Part):
    """A header with a token, or OAuth client credentials; with neither, requests carry no credentials."""

    header: str | None = Field(default=None, examples=["Api-Token"])
    scheme: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$", examples=["Bearer"])
    client_credentials: str | None = Field(default=None, pattern="^/", examples=["/oauth/token"])
    style: Literal["body", "basic"] = "body"

    @field_validator("header")
    @classmethod
    def _check_header(cls, name: str | None) -> str | None:
        if name is not None and (not re.fullmatch(r"[A-Za-z0-9-]+", name) or name.lower() in _OWN_HEADERS):
            raise ValueError("it cannot carry a token. Write the name of a header, such as Api-Token")
        return name


def _sign_in(given: Any) -> Any:
    short = {"none": {}, "bearer": {"header": "Authorization", "scheme": "Bearer"}}
    if isinstance(given, str) and given not in short:
        raise ValueError("write none, bearer, {header: NAME, scheme: WORD} or {client_credentials: /oauth/token}")
    return short[given] if isinstance(given, str) else given


class Submit(_Part):
    """How a job is started. `values` are defaults of variables; `subject` is the variable that messages show."""

    document: Document
    id: FieldPath = Field(examples=["launchRun.run.runId"])
    values: dict[str, JsonValue] = {}
    subject: str | None = None


class Jobs(_Part):
    """A query for jobs. `jobs` leads to a list of them, or with the variable `$id` to one; other paths start there."""

    document: Document
    jobs: FieldPath = Field(examples=["runsOrError.results"])
    id: FieldPath = Field(examples=["runId"])
    created: FieldPath | None = None


class Check(Jobs):
    """How the states of jobs are read."""

    status: FieldPath = Field(examples=["status"])
    modified: FieldPath | None = None
    failure: FieldPath | None = None
    result: FieldPath | None = None


class Find(Jobs):
    """How a job is found by its key. With `key`, only jobs that have it there count."""

    key: FieldPath | None = None


class Cancel(_Part):
    """How a job is cancelled."""

    document: Document


class Result(_Part):
    """How the result is fetched: a `value` in an answer, or a file at the address at `download`."""

    document: Document
    value: FieldPath | None = None
    download: FieldPath | None = None


class Declaration(_Part):
    """A provider. `load.read_declaration` reads one from YAML, and checks also what the fields do not show."""

    provider: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$", examples=["dagster"])
    title: str = Field(min_length=1, max_length=60, examples=["Dagster"])
    path: str = Field(default="/graphql", pattern=r"^/[!-~]*$", examples=["/graphql"])
    sign_in: Annotated[SignIn, BeforeValidator(_sign_in)] = SignIn(header="Authorization", scheme="Bearer")
    job_id: Annotated[str, AfterValidator(_is_pattern)] = "[!-~]+"
    visibility_s: float = Field(default=30.0, ge=0, le=86_400, examples=[30])
    max_batch: int = Field(default=100, ge=1, le=500, examples=[100])
    submit: Submit = Field(examples=["{document: ..., id: ...}"])
    check: Check = Field(examples=["{document: ..., jobs: ..., id: ..., status: ...}"])
    find: Find | None = None
    recovery: Recovery | None = None
    cancel: Cancel | None = None
    result: Result | None = None
    states: dict[str, JobState] = Field(examples=["{QUEUED: PENDING, DONE: SUCCEEDED, BROKEN: FAILED}"])
    errors: dict[str, Annotated[str, AfterValidator(_is_kind)]] = {}

    @property
    def recovers_by(self) -> Recovery:
        """What is done after a lost answer: by default a search, if one is declared."""
        return self.recovery or (Recovery.FIND if self.find else Recovery.NONE)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The class of error of each word."""
        return {word: KINDS[kind] for word, kind in self.errors.items()}
