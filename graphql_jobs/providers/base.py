"""The base class of an adapter: submit, check, cancel and fetch results, with a serialisable handle in between.

docs/how-to/add-a-provider.md shows a complete adapter. providers/batching.py sets the number of jobs per request.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from graphql_jobs.clock import instant
from graphql_jobs.errors import CancelRefused, InvalidInput, JobNotFound
from graphql_jobs.handle import FILE_URL, MAX_ID_CHARACTERS, CancelOutcome, JobHandle, Seen
from graphql_jobs.parsing import MAX_ANSWER_ID_CHARACTERS, instant_or_none, objects, text_or_none
from graphql_jobs.providers.batching import BatchedPoll, BatchSize
from graphql_jobs.providers.cancelling import cancel_many
from graphql_jobs.providers.collecting import collected
from graphql_jobs.providers.identity import Identity
from graphql_jobs.providers.recovery import Evidence
from graphql_jobs.titles import add_title, title_of
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.network import Network
from graphql_jobs.transport.operation import Operation
from graphql_jobs.transport.retry import OUTAGE_BUDGET_S, OutageBudget
from graphql_jobs.transport.shared_session import shared_session
from graphql_jobs.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from graphql_jobs.errors import RequestFailed
    from graphql_jobs.job import Job
    from graphql_jobs.label import Label
    from graphql_jobs.parsing import Entry
    from graphql_jobs.providers.batching import Deferred
    from graphql_jobs.providers.recovery import Location, Recovery
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Dialect
    from graphql_jobs.transport.session import Before, Session


class JobClient(ABC):
    """One provider, through one session. Use it in `async with`; any number of clients may share a session."""

    #: The provider's name in handles, messages and parameters, and in sentences.
    provider: ClassVar[str]
    title: ClassVar[str]
    #: The path of the GraphQL endpoint at the base URL, and the format of the provider's errors: for `connect`.
    path: ClassVar[str] = "/graphql"
    dialect: ClassVar[Dialect]
    #: Whether the provider can cancel a job (`send_cancel`); if not, `cancel` raises `CancelRefused`.
    can_cancel: ClassVar[bool] = False
    #: What can be submitted, by the provider's name of the operation, and what can be done after a lost answer.
    recoveries: ClassVar[Mapping[str, Recovery]] = {}
    #: For how many seconds after its submission a job may be missing from lists.
    visibility_s: float = 30.0
    #: The account that owns the jobs, without a secret: part of a submission's key.
    account: str = ""
    #: The largest number of jobs per request; a client may be given another one.
    max_batch: int = 100
    _job_id: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_:.\-]+")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "title" in vars(cls):
            add_title(cls.provider, cls.title)

    def __init__(self, session: Session) -> None:
        self.session = session

    @classmethod
    def connect(cls, url: str, auth: Auth, limits: Limits = Limits(), network: Network = Network()) -> Self:
        """Return a client for the installation at the base URL `url`, on this event loop's shared session."""
        return cls(shared_session(f"{base_url(url)}{cls.path}", auth, cls.dialect, limits, network))

    @property
    def reading(self) -> object:
        """The options for reading an answer: clients of a session with equal ones share their polls."""
        return type(self)

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.session.__aexit__(*exc_info)

    @abstractmethod
    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Start a job at the given location, with our label if the provider keeps labels.

        Use `session.create`. Raises `RequestFailed` if nothing was started, `SubmissionUnknown` if that is not known.
        """

    async def identify(self) -> Identity:
        """Return whose credentials these are, by a query that starts nothing: for `check_connection`.

        Override it if the provider tells the account or the rights. This sends the smallest query, which shows that the
        address is right; many servers answer it without a sign-in. Raises `RequestFailed`.
        """
        await self.session.read(Operation("query Identify { __typename }"), {})
        return Identity(f"{self.account or 'the owner of the token'} (not told by {self.title})")

    def recovery(self, spec: JobSpec) -> Recovery:
        """Return what to do if it is not known whether `spec` was started. Raises `InvalidInput` for another's spec."""
        if spec.operation not in self.recoveries:
            raise self.wrong_spec(spec)
        return self.recoveries[spec.operation]

    def wrong_spec(self, spec: JobSpec) -> InvalidInput:
        """Return the error for a spec of another provider."""
        names = ", ".join(self.recoveries)
        return InvalidInput("spec", f"{self.title} runs {names}, which {type(spec).__name__} is not.")

    def location(self, spec: JobSpec) -> Location | None:
        """Return where to search for a job of `spec`, or None if it first needs a container (`make_container`)."""
        return {}

    async def make_container(self, spec: JobSpec, label: Label) -> Location:
        """Create that container. A second one does no harm."""
        raise NotImplementedError  # called only if `location` returns None

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        """Return the jobs at `location` that an `operation` with `label` may have created since then, oldest first.

        Raises `RequestFailed` if the answer may be incomplete, `Undecided` if one of them may be someone else's job.
        """
        raise NotImplementedError  # called only if `recoveries` has FIND

    def evidence(self, operation: str, location: Location) -> Evidence:
        """Return why a job that `find` returns is the one that was submitted."""
        return Evidence.LOCATION

    async def cancel(self, job_id: str) -> CancelOutcome:
        """Cancel the job and poll it until that takes effect. Raises `CancelRefused` if it is refused or impossible."""
        checked = self._checked(job_id, "job_id")
        outcome = (await self.cancel_many([checked]))[checked]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def cancel_many(
        self, job_ids: Sequence[str], before: Callable[[str], Awaitable[None]] | None = None
    ) -> dict[str, CancelOutcome | Exception]:
        """Cancel several jobs at once. Return for each what `cancel` returns or raises.

        `before` is called with a job's id each time before its cancel is sent. If it raises, that cancel is not sent,
        and the exception is the job's outcome.
        """
        checked = list(dict.fromkeys(self._checked(job_id, "job_ids") for job_id in job_ids))
        return await cancel_many(self, checked, before)

    async def send_cancel(self, job_id: str, before: Before | None) -> RequestFailed | None:
        """Send a cancel. Return None if the provider accepts, else its refusal. It is retried like a read.

        `before` goes to `session.read`. Override it, and set `can_cancel`, if the provider has a cancel.
        """
        if before:
            await before()
        raise CancelRefused(
            self.provider, job_id, f"{self.title} has no way to cancel a job: left running at {self.title}."
        )

    async def result(
        self, handle: JobHandle, job: Job, folder: Path, outage_budget_s: float = OUTAGE_BUDGET_S
    ) -> dict[str, Any]:
        """Return the result of a succeeded job as plain JSON; files are stored in `folder`.

        Transient failures are retried for `outage_budget_s` without progress, as in a wait. Raises `ResultUnavailable`
        for all others.
        """
        budget = OutageBudget(outage_budget_s, self.session.clock)
        where = folder.absolute()  # noqa: ASYNC240 (reads the current folder)
        return await collected(lambda: self.collect(handle, job, where, budget), self.provider, handle.job_id, budget)

    async def collect(self, handle: JobHandle, job: Job, folder: Path, budget: OutageBudget) -> dict[str, Any]:
        """Fetch the result once, but retry a file within `budget`. Raises `RequestFailed`, `ResultUnavailable`."""
        return {"result_id": job.result_id} if job.result_id else {}

    @abstractmethod
    async def check_batch(self, job_ids: Sequence[str]) -> Mapping[str, Seen | Deferred]:
        """Read up to `max_batch` different jobs in one request. Omit ids that the provider does not know.

        A job that needs further requests, such as for its many tasks, is `Deferred`. Raises `RequestFailed`.
        """

    async def read_list(self, operation: Operation, variables: Mapping[str, object], subject: str) -> list[Entry]:
        """Return the objects in the list that the root field of a query has, for `find` and `check_batch`.

        An error in a part of the list, or an entry that is no object, may hide a job: it raises `RequestFailed`.
        """
        response = await self.session.read(operation, variables, subject)
        if failure := response.error_at(operation.alias):
            raise failure
        value = response.data.get(operation.alias)
        entries = objects(value)
        if not isinstance(value, list) or len(entries) < len(value):
            raise self.session.bad_answer(operation.field, subject, "the answer holds no list of objects.")
        return entries

    def handle(self, job: str | JobHandle, parameter: str = "job_id") -> JobHandle:
        """Return the handle for a bare id, or the given handle if it fits this client. Raises `InvalidInput`."""
        if isinstance(job, str):
            return JobHandle(provider=self.provider, endpoint=self.session.url, job_id=self._checked(job, parameter))
        if job.provider != self.provider:
            raise InvalidInput(parameter, f"the handle is for {title_of(job.provider)}, not for {self.title}.")
        if job.endpoint != self.session.url:
            raise InvalidInput(
                parameter, f"the handle is for {job.endpoint}, the credentials are for {self.session.url}."
            )
        job_id = self._checked(job.job_id, parameter)
        return job if job_id == job.job_id else job.model_copy(update={"job_id": job_id})

    @property
    def batches(self) -> BatchSize:
        """The size of batches that the session has learned."""
        batches: BatchSize = self.session.attached.setdefault(BatchSize, BatchSize())
        return batches

    @property
    def batch_size(self) -> int:
        """The current number of jobs per request: what the session has learned, up to `max_batch`."""
        return self.batches.at_most(self.max_batch)

    async def check(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        """Poll jobs, `batch_size` per request. Return for each id the job, or why it could not be read.

        Raises only `InvalidInput`: a bad job does not affect other jobs, nor a failed request other requests.
        """
        unique = list(dict.fromkeys(self._checked(job_id, "job_ids") for job_id in job_ids))
        seen, _ = await self.poll(unique, defer=False)
        return {job_id: seen[job_id] for job_id in unique}

    async def poll(self, job_ids: Sequence[str], *, defer: bool) -> tuple[dict[str, Seen], set[str]]:
        """Do `check` for distinct, valid ids, unordered. Return also the ids of the jobs that were not read.

        With `defer`, jobs that need further requests are not read, since they would delay the others.
        """
        poll = BatchedPoll(self, defer=defer)
        await poll.run(job_ids)
        seen, deferred = poll.seen, poll.deferred.difference(poll.seen)
        seen.update((job_id, self.not_found(job_id)) for job_id in set(job_ids).difference(seen, deferred))
        return seen, deferred

    def started(
        self,
        operation: str,
        entry: object,
        details: Mapping[str, str | None] | None = None,
        *,
        id_name: str = "id",
        created: object = None,
    ) -> JobHandle:
        """Return the handle of a started job, from its entry in an answer.

        `created` is the instant of its start as the provider wrote it; the default is now. Raises
        `SubmissionUnknown` if the entry has no id, or one that cannot be used.
        """
        job_id = text_or_none(entry, id_name, MAX_ANSWER_ID_CHARACTERS) if isinstance(entry, dict) else None
        if not job_id:
            raise self.session.unknown(operation, "", "the answer holds no id.")
        clean = self.session.kept_secrets.clean_id
        try:
            return JobHandle(
                provider=self.provider,
                endpoint=self.session.url,
                job_id=self._checked(clean(job_id), "id"),  # an id that contained a secret has stars and is refused
                operation=operation,
                submitted_at=instant_or_none(created) or instant(self.session.clock.now()),
                details={name: one if name == FILE_URL else clean(one) for name, one in (details or {}).items() if one},
            )
        except ValueError:  # pydantic's and ours
            shown = self.session.redact(job_id)
            raise self.session.unknown(operation, "", f"the answer's id {shown!r} cannot be used.") from None

    def not_found(self, job_id: str) -> JobNotFound:
        detail = (
            "the provider does not know it. Check the id, the account and the address. It may also be deleted: a run "
            "that submitted it keeps polling it, and `force_resubmit` starts a new one."
        )
        return JobNotFound(self.provider, job_id, detail)

    def _checked(self, job_id: str, parameter: str) -> str:
        if len(job_id) <= MAX_ID_CHARACTERS and self._job_id.fullmatch(job_id):
            return job_id
        stripped = job_id.strip()
        if not stripped:
            raise InvalidInput(parameter, "the job id is empty.")
        if len(stripped) > MAX_ID_CHARACTERS or not self._job_id.fullmatch(stripped):
            raise InvalidInput(parameter, f"{stripped[:80]!r} does not look like a job id of {self.title}.")
        return stripped
