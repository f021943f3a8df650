"""What one layer does about one cancelled run: it cancels the jobs that are the run's own, while it stays cancelled.

Jobs of the same credentials are cancelled together: a request for each, and one read for a batch of them. Before each
cancel is sent it is asked whether the run is still cancelled, and for a caller's own key whether another run waits for
the job too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import inf

from prefect.client.schemas.objects import FlowRun
from prefect.logging.loggers import flow_run_logger

from blocks.api import ask, one_client
from blocks.load import load_credentials
from blocks.runs.cancelled_by_person import by_a_person
from graphql_jobs import JobClient, Label, Recovery
from graphql_jobs.clock import Clock, instant
from graphql_jobs.errors import InvalidInput
from graphql_jobs.many import each
from graphql_jobs.providers.recovery import Evidence, Undecided
from graphql_jobs.submission.record import read_record
from graphql_jobs.submission.submit import find_again
from tasks.cancelling.jobs import DELAYS_S, LOOK_S, Done, LeftAlone, Target, cancel_together, unknown
from tasks.flow_runs import Submission, submissions_of, who_waits_too

#: Our choice: so many others may write just before us.
_WRITES = 100
#: Our choices: batches of jobs that are cancelled together, submissions whose job is looked for, and notes, at once.
_BATCHES_AT_ONCE = 2
_SEARCHES_AT_ONCE = 10
_NOTES_AT_ONCE = 10
#: Our choice: for so long it is known whether the run is still cancelled, in seconds.
_FRESH_S = 0.5


def is_cancelled_still(run: FlowRun, now: FlowRun) -> bool:
    """Whether nobody has started the run again since it was read as `run`."""
    return by_a_person(now.state) and now.run_count == run.run_count


async def note_cancelled(submission: Submission, of: str, sentence: str, *, confirmed: bool) -> str:
    """Write down what came of the cancel `of` a job, once; if another was quicker, its words are the ones that count.

    A job whose cancel was confirmed is not gone on with, also if the provider does not know it any more.
    """
    home, key, record = submission.home, submission.key, submission.record
    assert record is not None  # noqa: S101 (it named the job)
    entry = {"kind": "cancelled", "of": of, "message": sentence} | ({"confirmed": True} if confirmed else {})
    treated = record.intent
    for _ in range(_WRITES):
        if said := record.cancelled.get(of):
            return said
        if record.intent != treated or await home.append(key, record.count, entry):
            break
        record = read_record(await home.read(key))
    return sentence


class CleanUp:
    """What one layer does for one run, which was read as it is in `run`."""

    def __init__(self, run: FlowRun, is_last: bool) -> None:
        self.run = run
        self.is_last = is_last
        #: This cancel, so that a later one of the same run is not taken for done.
        self.cancel_id = f"{run.id}/{run.run_count}"
        self.logger = flow_run_logger(run)
        self._reading = asyncio.Lock()
        self._fresh_until = -inf

    async def all(self) -> list[Done]:
        """What became of each job, those that were not cancelled first. Of surely no job, nothing is said.

        Nothing that goes wrong with one job keeps another from being cancelled.
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
        """The jobs of a submission that are the run's; itself, if no job's id is known; or what can be said now."""
        record, run_id = submission.record, str(self.run.id)
        if record is None:
            why = "its entries cannot be read. Were they edited by hand?"
            yield Done(f"{_what(submission)}: it is not known whether it was cancelled: {why}")
            return
        for handle, owner in record.late:
            said = record.cancelled.get(f"{self.cancel_id}/{handle.job_id}")
            if owner == run_id:
                yield Done(said, True) if said else Target(handle, submission, is_late=True)
        if record.count == 0 or record.has_no_job:
            return
        if said := record.cancelled.get(self.cancel_id):
            yield Done(said, True, record.cancel_confirmed)
        elif run_id in record.left_behind:
            yield Done(
                f"{_what(submission)}: left running, since it is the job of run {record.owner}, not of this run."
            )
        else:
            yield Target(record.handle, submission) if record.handle else submission

    async def _with(self, credentials: tuple[str, str], work: Sequence[Target | Submission]) -> list[Done]:
        """Do all that takes the same credentials."""
        try:
            block = await load_credentials(*credentials)  # type: ignore[arg-type] # checked there
        except InvalidInput as error:
            why = f"left as it is, since its credentials cannot be had: {error.problem}"
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
                self.logger.info("Clean-up: %d of %d %s jobs are done with.", len(done), len(targets), client.provider)

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
            return await self._noted(right[job_id].submission, of, done[job_id], right[job_id].is_late)

        noted = await each(done, note, _NOTES_AT_ONCE)
        return wrong + [done[job_id] if isinstance(one, Exception) else one for job_id, one in noted.items()]

    async def _noted(self, submission: Submission, of: str, done: Done, is_late: bool = False) -> Done:
        """Log and write down what became of a job, if that will not change."""
        self.logger.info("%s", done.sentence)
        if not done.is_final:
            return done
        try:
            said = await note_cancelled(submission, of, done.sentence, confirmed=done.confirmed and not is_late)
        except Exception:  # whatever Prefect's client raises: it must not hide what happened
            self.logger.exception("What became of the job of key %s could not be written down.", submission.key)
            return done
        return replace(done, sentence=said)

    async def _search(self, client: JobClient, submission: Submission) -> Done:
        """A job whose id nobody got: found by its key where the provider lets us look."""
        if other := await who_waits_too(submission, self.run.id):
            return Done(f"{_what(submission)}: left running, since {other}.")
        try:
            done = await self._cancel_unseen(client, submission)
        except Undecided as why:
            done = Done(f"{_what(submission)}: left running. {why} Look after it.", self.is_last)
        return await self._noted(submission, self.cancel_id, done)

    async def _cancel_unseen(self, client: JobClient, submission: Submission) -> Done:
        what, record, clock = _what(submission), submission.record, client.session.clock
        assert record is not None  # noqa: S101 (it could be understood)
        if not client.can_cancel or client.recoveries.get(record.operation) is not Recovery.FIND:
            return Done(f"{what}: nobody can tell whether it was started; if it was, it was left running.", True)
        patience_s = client.visibility_s if self.is_last else min(client.visibility_s, LOOK_S)
        delay_s, longest_s = DELAYS_S
        give_up_at = clock.now() + patience_s
        label = Label(submission.key, record.owner or str(submission.home.flow_run_id))
        while not (found := await find_again(client, label, record)):
            if clock.now() >= give_up_at:
                seen = f"not to be seen within {patience_s:.0f} s"
                return Done(f"{what}: {seen}; if it was started and shows later, it was left running.", self.is_last)
            await clock.sleep(delay_s)
            delay_s = min(2 * delay_s, longest_s)
        if client.evidence(record.operation, record.location or {}) is Evidence.NONE:
            ids = ", ".join(handle.job_id for handle in found)
            return Done(f"{what}: {ids} may be it, and nothing tells; left running. Look after it.", self.is_last)
        targets = [
            Target(handle.model_copy(update={"submitted_at": instant(record.at)}), submission) for handle in found
        ]
        done = (await cancel_together(client, targets, partial(self._before, client), is_last=self.is_last)).values()
        return Done(
            " ".join(one.sentence for one in done),
            all(one.is_final for one in done),
            all(one.confirmed for one in done),
        )

    async def _before(self, client: JobClient, target: Target) -> None:
        """Raise `LeftAlone` if the job must not be cancelled, now that its cancel is about to be sent."""
        await self._require_cancelled(client.session.clock)
        if not target.is_late and (other := await who_waits_too(target.submission, self.run.id)):
            raise LeftAlone(f"left running, since {other}.")

    async def _require_cancelled(self, clock: Clock) -> None:
        """A clean-up may take minutes, in which a person may start the run again: then its jobs are its own."""
        async with self._reading:
            if clock.monotonic() < self._fresh_until:
                return
            now = await ask(lambda api: api.read_flow_run(self.run.id))
            if not is_cancelled_still(self.run, now):
                raise LeftAlone("left as it is, since its run was started again meanwhile.")
            self._fresh_until = clock.monotonic() + _FRESH_S


def _credentials(submission: Submission) -> tuple[str, str]:
    assert submission.record is not None  # noqa: S101 (there is work for it)
    return submission.record.provider, submission.record.credentials


def _what(one: Target | Submission) -> str:
    submission = one.submission if isinstance(one, Target) else one
    record = submission.record
    if record is None:
        return f"the job of key {submission.key}"
    handle = one.handle if isinstance(one, Target) else record.handle
    return f"{record.provider} {f'job {handle.job_id}' if handle else f'{record.operation} ({record.subject})'}"
