"""The clean-up of one cancelled run by one layer: it cancels the run's jobs while the run stays cancelled.

Jobs with the same credentials are cancelled together: one request for each, and one read per batch. Before a
cancel is sent, the clean-up checks that the run is still cancelled and, for a caller's key, that no other run waits
for the job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import inf

from prefect.client.schemas.objects import FlowRun
from prefect.logging.loggers import flow_run_logger
from tenacity import AsyncRetrying, retry_if_result

from blocks.api import ask, one_client
from blocks.load import load_credentials
from blocks.reporting.events import Change, tell
from blocks.runs.cancelled_by_person import by_a_person
from graphql_jobs import JobClient, JobHandle, Label, Recovery
from graphql_jobs.clock import Clock, instant
from graphql_jobs.errors import InvalidInput
from graphql_jobs.many import each
from graphql_jobs.providers.recovery import Evidence, Undecided
from graphql_jobs.submission.record import read_record
from graphql_jobs.submission.search import find_again
from graphql_jobs.titles import title_of
from tasks.cancelling.jobs import EARLY_LAYER_S, Done, LeftAlone, Target, cancel_together, delays, unknown
from tasks.flow_runs import Submission, submissions_of, who_waits_too

#: Our choice: the maximum number of attempts to append an entry while other processes append.
_WRITES = 100
#: Our choices: the maximum numbers of concurrent batches, searches and writes.
_BATCHES_AT_ONCE = 2
_SEARCHES_AT_ONCE = 10
_NOTES_AT_ONCE = 10
#: Our choice: how long the last read of the run's state is used.
_FRESH_S = 0.5


def is_cancelled_still(run: FlowRun, now: FlowRun) -> bool:
    """Whether the run is still cancelled and was not started again since it was read as `run`."""
    return by_a_person(now.state) and now.run_count == run.run_count


async def note_cancelled(
    submission: Submission, of: str, sentence: str, *, confirmed: bool, runs_on: bool = False
) -> str:
    """Record the result of the cancel `of` a job, once. Return the sentence that was recorded first.

    A later attempt of the run does not adopt a job whose cancel was confirmed, even if the provider no longer knows it.
    """
    home, key, record = submission.store, submission.key, submission.record
    assert record is not None  # noqa: S101 (it named the job)
    entry: dict[str, object] = {"kind": "cancelled", "of": of, "message": sentence}
    entry |= ({"confirmed": True} if confirmed else {}) | ({"runs_on": True} if runs_on else {})
    treated = record.intent
    for _ in range(_WRITES):
        if said := record.cancelled.get(of):
            return said
        if record.intent != treated or await home.append(key, record.count, entry):
            break
        record = read_record(await home.read(key))
    return sentence


class CleanUp:
    """The clean-up of one run, which was read as `run`."""

    def __init__(self, run: FlowRun, is_last: bool) -> None:
        self.run = run
        self.is_last = is_last
        #: The name of this cancel. A later cancel of the run has another.
        self.cancel_id = f"{run.id}/{run.run_count}"
        self.logger = flow_run_logger(run)
        self._reading = asyncio.Lock()
        self._fresh_until = -inf

    async def all(self) -> list[Done]:
        """Return the result for each job, those not cancelled first. An error with one job does not stop the others.

        A submission that started no job has no result.
        """
        done: list[Done] = []
        work: dict[tuple[str, str], list[Target | Submission]] = {}
        async with one_client():
            for submission in await submissions_of(self.run.id):
                for one in self._work(submission):
                    if isinstance(one, Done):
                        done.append(one)
                    else:
                        work.setdefault(_credentials(submission), []).append(one)
            answers = await each(work, lambda credentials: self._with(credentials, work[credentials]))
            for credentials, answer in answers.items():
                if isinstance(answer, Exception):
                    answer = [unknown(_what(one), answer) for one in work[credentials]]
                done += answer
        return sorted(done, key=lambda one: one.confirmed)

    def _work(self, submission: Submission) -> Iterator[Target | Submission | Done]:
        """Yield the run's jobs of a submission, the submission itself if no job id is known, or a result."""
        record, run_id = submission.record, str(self.run.id)
        if record is None:
            why = "its entries cannot be read. Were they edited by hand?"
            yield Done(f"{_what(submission)}: it is not known whether it was cancelled: {why}")
            return
        for handle, owner in record.late:
            of = f"{self.cancel_id}/{handle.job_id}"
            if owner == run_id and (said := record.cancelled.get(of)):
                yield Done(said, True, runs_on=of in record.left_running)
            elif owner == run_id:
                yield Target(handle, submission, is_late=True)
        if record.count == 0 or record.has_no_job:
            return
        if said := record.cancelled.get(self.cancel_id):
            yield Done(said, True, record.cancel_confirmed, self.cancel_id in record.left_running)
        elif run_id in record.left_behind:
            yield Done(
                f"{_what(submission)}: left running, since it is the job of run {record.owner}, not of this run."
            )
        else:
            yield Target(record.handle, submission) if record.handle else submission

    async def _with(self, credentials: tuple[str, str], work: Sequence[Target | Submission]) -> list[Done]:
        """Cancel all jobs that have the same credentials."""
        try:
            block = await load_credentials(*credentials)
        except InvalidInput as error:
            why = f"left as it is, since its credentials cannot be loaded: {error.problem}"
            return [Done(f"{_what(one)}: {why}") for one in work]
        targets = [one for one in work if isinstance(one, Target)]
        unseen = {one.key: one for one in work if isinstance(one, Submission)}
        async with block.get_client() as client:
            done, searched = await asyncio.gather(
                self._targets(client, targets),
                each(unseen, lambda key: self._search(client, unseen[key]), _SEARCHES_AT_ONCE),
            )
        return done + [
            unknown(_what(unseen[key]), answer) if isinstance(answer, Exception) else answer
            for key, answer in searched.items()
        ]

    async def _targets(self, client: JobClient, targets: Sequence[Target]) -> list[Done]:
        """Cancel the jobs whose ids are known, batch by batch."""
        batches = [targets[start : start + client.max_batch] for start in range(0, len(targets), client.max_batch)]
        done: list[Done] = []

        async def cancel(number: int) -> None:
            done.extend(await self._batch(client, batches[number]))
            if len(batches) > 1:
                self.logger.info("Clean-up: %d of %d %s jobs are done.", len(done), len(targets), client.title)

        for number, answer in (await each(range(len(batches)), cancel, _BATCHES_AT_ONCE)).items():
            if isinstance(answer, Exception):
                done += [unknown(_what(target), answer) for target in batches[number]]
        return done

    async def _batch(self, client: JobClient, targets: Sequence[Target]) -> list[Done]:
        wrong: list[Done] = []
        right: dict[str, Target] = {}
        for target in targets:
            try:
                right[client.handle(target.handle, "handle").job_id] = target
            except InvalidInput as error:  # the block's address was changed
                wrong.append(unknown(_what(target), error))
        done = await cancel_together(client, right.values(), partial(self._before, client), is_last=self.is_last)

        async def note(job_id: str) -> Done:
            of = f"{self.cancel_id}/{job_id}" if right[job_id].is_late else self.cancel_id
            if done[job_id].is_final and (done[job_id].confirmed or done[job_id].runs_on):
                change: Change = "cancelled" if done[job_id].confirmed else "left-running"
                tell(change, right[job_id].handle, self.run.id, why=done[job_id].sentence)
            return await self._noted(right[job_id].submission, of, done[job_id], right[job_id].is_late)

        noted = await each(done, note, _NOTES_AT_ONCE)
        return wrong + [done[job_id] if isinstance(one, Exception) else one for job_id, one in noted.items()]

    async def _noted(self, submission: Submission, of: str, done: Done, is_late: bool = False) -> Done:
        """Log the result for a job, and record it if it is final. The last one about a job that runs is a warning."""
        level = logging.WARNING if done.runs_on and done.is_final else logging.INFO
        self.logger.log(level, "%s", done.sentence)
        if not done.is_final:
            return done
        confirmed = done.confirmed and not is_late
        try:
            said = await note_cancelled(submission, of, done.sentence, confirmed=confirmed, runs_on=done.runs_on)
        except Exception:  # any error of Prefect's client: it must not hide the result
            self.logger.exception("The result of cancelling the job of key %s could not be recorded.", submission.key)
            return done
        return replace(done, sentence=said)

    async def _search(self, client: JobClient, submission: Submission) -> Done:
        """Cancel a job whose id is not known: find it by its key, if the provider has a search."""
        if other := await who_waits_too(submission, self.run.id):
            return Done(f"{_what(submission)}: left running, since {other}.")
        try:
            done = await self._cancel_unseen(client, submission)
        except Undecided as why:
            done = Done(f"{_what(submission)}: left running. {why} Check it by hand.", self.is_last)
        return await self._noted(submission, self.cancel_id, done)

    async def _cancel_unseen(self, client: JobClient, submission: Submission) -> Done:
        what, record, clock = _what(submission), submission.record, client.session.clock
        assert record is not None  # noqa: S101 (it could be understood)
        if not client.can_cancel or client.recoveries.get(record.operation) is not Recovery.FIND:
            return Done(f"{what}: it is unknown whether it was started. If it was, it was left running.", True)
        search_s = client.visibility_s if self.is_last else min(client.visibility_s, EARLY_LAYER_S)
        label = Label(submission.key, record.owner or str(submission.store.flow_run_id))
        found = await _search_for(search_s, clock, partial(find_again, client, label, record))
        if not found:
            seen = f"not found within {search_s:.0f} s"
            said = f"{what}: {seen}. If it was started and shows later, it was left running."
            return Done(said, self.is_last, runs_on=not self.is_last)
        if client.evidence(record.operation, record.location or {}) is Evidence.NONE:
            ids = ", ".join(handle.job_id for handle in found)
            return Done(
                f"{what}: {ids} may be it, but this is not sure. It was left running. Check it by hand.", self.is_last
            )
        targets = [
            Target(handle.model_copy(update={"submitted_at": instant(record.at)}), submission) for handle in found
        ]
        done = (await cancel_together(client, targets, partial(self._before, client), is_last=self.is_last)).values()
        return Done(
            " ".join(one.sentence for one in done),
            all(one.is_final for one in done),
            all(one.confirmed for one in done),
            any(one.runs_on for one in done),
        )

    async def _before(self, client: JobClient, target: Target) -> None:
        """Raise `LeftAlone` if the job must not be cancelled. Called just before its cancel is sent."""
        await self._require_cancelled(client.session.clock)
        if not target.is_late and (other := await who_waits_too(target.submission, self.run.id)):
            raise LeftAlone(f"left running, since {other}.")

    async def _require_cancelled(self, clock: Clock) -> None:
        """Raise `LeftAlone` if a person has started the run again: then the run needs its jobs."""
        async with self._reading:
            if clock.monotonic() < self._fresh_until:
                return
            now = await ask(lambda api: api.read_flow_run(self.run.id))
            if not is_cancelled_still(self.run, now):
                raise LeftAlone("left as it is, since its run was started again meanwhile.")
            self._fresh_until = clock.monotonic() + _FRESH_S


async def _search_for(search_s: float, clock: Clock, find: Callable[[], Awaitable[list[JobHandle]]]) -> list[JobHandle]:
    """Call `find` until it finds a job, for up to `search_s` seconds."""
    give_up_at = clock.now() + search_s
    retrying = AsyncRetrying(
        retry=retry_if_result(lambda found: not found),
        wait=delays(clock, lambda: give_up_at),
        stop=lambda _: clock.now() >= give_up_at,
        sleep=clock.sleep,
        retry_error_callback=lambda state: [],
    )
    found: list[JobHandle] = await retrying(find)
    return found


def _credentials(submission: Submission) -> tuple[str, str]:
    assert submission.record is not None  # noqa: S101 (there is work for it)
    return submission.record.provider, submission.record.credentials


def _what(one: Target | Submission) -> str:
    submission = one.submission if isinstance(one, Target) else one
    record = submission.record
    if record is None:
        return f"the job of key {submission.key}"
    if handle := one.handle if isinstance(one, Target) else record.handle:
        return handle.name
    return f"{title_of(record.provider)} {record.operation} ({record.subject})"
