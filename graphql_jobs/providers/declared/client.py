"""The client of a declared provider: I/O between the documents of its declaration and the reader."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from graphql_jobs import errors
from graphql_jobs.errors import InvalidInput
from graphql_jobs.label import KEY_PREFIX
from graphql_jobs.parsing import MAX_ADDRESS_CHARACTERS, MAX_ANSWER_ID_CHARACTERS, brief
from graphql_jobs.providers.base import JobClient
from graphql_jobs.providers.cleaning import cleaned
from graphql_jobs.providers.declared.check import variables_of
from graphql_jobs.providers.declared.load import read_declaration
from graphql_jobs.providers.declared.reader import dialect_of, read_job, text_at, value_at
from graphql_jobs.providers.declared.spec import DeclaredSpec
from graphql_jobs.providers.recovery import Evidence
from graphql_jobs.providers.status_table import StatusTable
from graphql_jobs.transport.auth import ClientCredentials, HeaderToken, NoSignIn
from graphql_jobs.transport.download import download
from graphql_jobs.transport.operation import Operation
from graphql_jobs.urls import base_url, without_queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.job import Job
    from graphql_jobs.label import Label
    from graphql_jobs.providers.declared.model import Declaration, Jobs
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.responses import Response
    from graphql_jobs.transport.retry import OutageBudget
    from graphql_jobs.transport.session import Before

#: Our choice: the maximum length of a subject in messages.
_SUBJECT_CHARACTERS = 80


class DeclaredClient(JobClient):
    """Base of the clients of declared providers. `declared_client` makes the class for a declaration."""

    declaration: ClassVar[Declaration]
    states: ClassVar[StatusTable]
    #: The documents, by the section of the declaration.
    operations: ClassVar[Mapping[str, Operation]]
    #: The variables of `submit`, each with whether it needs a value.
    variables: ClassVar[Mapping[str, bool]]
    #: Whether one request reads several jobs.
    reads_lists: ClassVar[bool]

    @classmethod
    def sign_in(cls, url: str, token: str = "", client_id: str = "", client_secret: str = "") -> Auth:
        """Return the sign-in at the base URL with these secrets. Raises `InvalidInput` for a missing or extra one."""
        how = cls.declaration.sign_in
        needed = {"client_id", "client_secret"} if how.client_credentials else {"token"} if how.header else set()
        given = {"token": token, "client_id": client_id, "client_secret": client_secret}
        for name, secret in given.items():
            if bool(secret) != (name in needed):
                word = "does not use it" if secret else "needs it"
                raise InvalidInput(name, f"the sign-in of {cls.title} {word}.")
        if how.client_credentials:
            token_url = f"{base_url(url)}{how.client_credentials}"
            return ClientCredentials(token_url, client_id, client_secret, how.style)
        return HeaderToken(token, how.header, how.scheme) if how.header else NoSignIn()

    @classmethod
    def spec(cls, values: Mapping[str, Any]) -> DeclaredSpec:
        """Return the spec of a job with these values and the defaults. Raises `InvalidInput` for wrong names."""
        submit = cls.declaration.submit
        needed = {name: is_needed for name, is_needed in cls.variables.items() if name != "key"}
        whole = {**submit.values, **values}
        for name in whole:
            if name not in needed:
                raise InvalidInput(f"values.{name[:80]}", f"{cls.title} takes {', '.join(needed) or 'no values'}.")
        for name, is_required in needed.items():
            if is_required and whole.get(name) is None:
                raise InvalidInput(f"values.{name}", "it is missing.")
        about = brief(without_queries(whole.get(submit.subject or "")))
        return DeclaredSpec.of(values=whole, about=about[:_SUBJECT_CHARACTERS] or "job")

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Start a job. `$key` is the label's key."""
        if not isinstance(spec, DeclaredSpec):
            raise self.wrong_spec(spec)
        operation, path = self.operations["submit"], self.declaration.submit.id
        variables = dict(self.spec(spec.values).values)
        self.session.kept_secrets.keep_queries(variables)
        if "key" in self.variables:
            variables["key"] = label.key if label else f"{KEY_PREFIX}{uuid4().hex}"
        value = await self.session.create(operation, variables, spec.subject)
        job_id = text_at({operation.alias: value}, path, MAX_ANSWER_ID_CHARACTERS)
        if job_id is None:
            detail = f"the answer has no id at {'.'.join(path)}{self._told(value)}."
            raise self.session.unknown(operation.field, spec.subject, detail)
        return self.started(spec.operation, {"id": job_id})

    async def find(self, operation: str, location: Location, label: Label, since: float) -> list[JobHandle]:
        """Return the jobs with the label's key, oldest first."""
        find = self.declaration.find
        assert find is not None  # noqa: S101 (only then `recoveries` has FIND)
        response = await self.session.read(self.operations["find"], {"key": label.key}, "jobs by key")
        if failure := response.error_at(self.operations["find"].alias):
            raise failure
        found: list[JobHandle] = []
        for entry in self._list(response, "find", find, "jobs by key"):
            job_id = text_at(entry, find.id, MAX_ANSWER_ID_CHARACTERS)
            if job_id is None:
                raise self._odd("find", "jobs by key", find.id, entry)
            if find.key is None or label.key in brief(value_at(entry, find.key)):
                created = value_at(entry, find.created) if find.created else None
                found.append(self.started(operation, {"id": job_id}, created=created))
        return sorted(found, key=lambda handle: handle.submitted_at.timestamp() if handle.submitted_at else 0.0)

    def evidence(self, operation: str, location: Location) -> Evidence:
        """Each job that `find` returns has the label's key."""
        return Evidence.LABEL

    async def check_batch(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        """Read jobs in one request. Omitted jobs are requested again, since the server may have cut the list."""
        if not self.reads_lists:
            return {job_ids[0]: await self._check_one(job_ids[0])}
        seen = await self._check_list(job_ids)
        while seen and (left := [job_id for job_id in job_ids if job_id not in seen]):
            more = await self._check_list(left)
            if not more:
                break
            seen |= more
            detail = "the list was shorter than requested."
            self.batches.shrink(len(job_ids), self.session.bad_answer(self.operations["check"].field, "jobs", detail))
        return seen

    async def _check_one(self, job_id: str) -> Seen:
        operation, check, subject = self.operations["check"], self.declaration.check, f"job {job_id}"
        response = await self.session.read(operation, {"id": job_id}, subject)
        entry = value_at(response.data, check.jobs)
        if entry is None:
            failure, root = response.error_at(operation.alias), response.data.get(operation.alias)
            if failure is None and (root is not None or operation.alias not in response.data):
                return self._odd("check", subject, check.jobs, root)
            return self.not_found(job_id) if isinstance(failure, errors.NotFound) or not failure else failure
        if text_at(entry, check.id) != job_id:
            return self.session.bad_answer(operation.field, subject, "the answer lacks this job.")
        return self._read(response, check.jobs, job_id, entry)

    async def _check_list(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        operation, check = self.operations["check"], self.declaration.check
        subject = f"job {job_ids[0]}" + (f" and {len(job_ids) - 1} more" if len(job_ids) > 1 else "")
        response = await self.session.read(operation, {"ids": list(job_ids)}, subject)
        asked = set(job_ids)
        seen: dict[str, Seen] = {}
        for number, entry in enumerate(self._list(response, "check", check, subject)):
            if entry is None and not response.error_below(*check.jobs, number):
                continue
            job_id = text_at(entry, check.id)
            if job_id is None:
                raise response.error_below(*check.jobs, number) or self._odd("check", subject, check.id, entry)
            if job_id in asked:
                seen[job_id] = self._read(response, (*check.jobs, number), job_id, entry)
        if failure := response.error_at(operation.alias):  # it may be why a job is missing
            seen |= dict.fromkeys(asked.difference(seen), failure)
        return seen

    def _list(self, response: Response, section: str, jobs: Jobs, subject: str) -> list[Any]:
        """Return the list of jobs in an answer. Raises the error that explains why there is none."""
        alias = self.operations[section].alias
        value = value_at(response.data, jobs.jobs)
        if not isinstance(value, list):
            raise response.error_at(alias) or self._odd(section, subject, jobs.jobs, response.data.get(alias))
        return value

    def _odd(self, section: str, subject: str, path: Sequence[str], value: Any) -> errors.RequestFailed:
        """Return the error for a root value that does not lead to `path`, such as an undeclared member of a union."""
        kind = errors.OperationFailed if isinstance(value, dict) and value.get("__typename") else errors.BadReply
        detail = f"it has nothing of use at {'.'.join(path)}{self._told(value)}."
        return self.session.bad_answer(self.operations[section].field, subject, detail, kind)

    def _told(self, value: Any) -> str:
        """Return what a value of another shape says about itself, without secrets."""
        if not isinstance(value, dict):
            return "" if value is None else f"; it is {type(value).__name__}"
        words = [brief(value.get(name)) for name in ("__typename", "message") if value.get(name)]
        return self.session.redact(f"; it is {': '.join(words) or 'an object'}")

    def _read(self, response: Response, at: tuple[str | int, ...], job_id: str, entry: Any) -> Seen:
        job = read_job(self.provider, job_id, entry, self.declaration.check, self.states, self.session.redact)
        if job is None:
            detail = f"the status of job {job_id} cannot be read."
            field = self.operations["check"].field
            return response.error_below(*at) or self.session.bad_answer(field, f"job {job_id}", detail)
        return cleaned(job, self.session.kept_secrets)

    async def send_cancel(self, job_id: str, before: Before | None) -> errors.RequestFailed | None:
        """Send the declared cancel. An error in the answer is its refusal."""
        if not self.can_cancel:
            return await super().send_cancel(job_id, before)
        operation = self.operations["cancel"]
        response = await self.session.read(operation, {"id": job_id}, f"job {job_id}", before)
        return response.error_at(operation.alias)

    async def collect(self, handle: JobHandle, job: Job, folder: Path, budget: OutageBudget) -> dict[str, Any]:
        """Return the declared value, or the file at the declared address, downloaded into `folder`."""
        result = self.declaration.result
        if result is None:
            return await super().collect(handle, job, folder, budget)
        operation, subject = self.operations["result"], f"result of job {handle.job_id}"
        response = await self.session.read(operation, {"id": handle.job_id}, subject)
        if failure := response.error_at(operation.alias):
            raise failure
        path = result.download or result.value or ()
        value = (
            text_at(response.data, path, MAX_ADDRESS_CHARACTERS) if result.download else value_at(response.data, path)
        )
        if value is None:
            told = self._told(response.data.get(operation.alias))
            detail = f"the job is done, but the answer has nothing at {'.'.join(path)}{told}."
            raise errors.ResultUnavailable(self.provider, handle.job_id, detail)
        if result.download is None:
            return value if isinstance(value, dict) else {"value": value}
        self.session.kept_secrets.keep_query(value)
        to = folder / _file_name(handle.job_id)
        return {"file": str(to), "size_bytes": await download(self.session, value, to, budget=budget)}


def _file_name(job_id: str) -> str:
    """Return a file name for an id such as gid://shopify/BulkOperation/720918. Different ids have different ones."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", job_id)
    return name if name == job_id else f"{name}-{hashlib.sha256(job_id.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=64)
def declared_client(text: str, file: str = "declaration") -> type[DeclaredClient]:
    """Return the class of clients for the provider that a YAML text declares. Raises `InvalidInput` with all problems.

    It is the same class for the same text, so its clients share sessions and polls.
    """
    declared = read_declaration(text, file)
    sections = ("submit", "check", "find", "cancel", "result")
    documents = {name: section.document for name in sections if (section := getattr(declared, name))}

    class Client(DeclaredClient):
        declaration = declared
        provider = declared.provider
        title = declared.title
        path = declared.path
        dialect = dialect_of(declared)
        states = StatusTable(declared.provider, declared.states)
        operations = {name: Operation(document) for name, document in documents.items()}  # noqa: RUF012 (never changed)
        recoveries = {DeclaredSpec.operation: declared.recovers_by}  # noqa: RUF012 (as above)
        variables = variables_of(declared.submit.document)
        reads_lists = "ids" in variables_of(declared.check.document)
        can_cancel = declared.cancel is not None
        visibility_s = declared.visibility_s
        max_batch = declared.max_batch if reads_lists else 1
        _job_id = re.compile(declared.job_id)

    return Client
