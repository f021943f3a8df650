"""Search the provider for the job of a submission whose answer was lost (docs/explanation/guarantees.md, 2).

`Search.lost` searches until the job would be visible, and only then concludes that it does not exist.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from graphql_jobs.errors import RequestFailed
from graphql_jobs.providers.recovery import Evidence, Recovery, Undecided
from graphql_jobs.titles import job_name, some

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from graphql_jobs.handle import JobHandle
    from graphql_jobs.label import Label
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.submission.journal import Journal
    from graphql_jobs.submission.record import Record

logger = logging.getLogger(__name__)

#: Our choice: the first delay between two searches, or two reads of the store; each further one is twice as long.
FIRST_DELAY_S = 0.2


async def find_again(client: JobClient, label: Label, record: Record) -> list[JobHandle]:
    """Return the jobs that were created by the record's last intent, oldest first, from one search at the provider.

    Raises `RequestFailed` or `Undecided`, also if the search takes longer than a whole submission may.
    """
    if record.location is None:
        return []
    longest_s = client.session.limits.submission_s
    try:
        async with asyncio.timeout(longest_s):
            found = await client.find(record.operation, record.location, label, record.at)
    except TimeoutError:
        raise Undecided(f"One search took longer than submission_s={longest_s:g}.") from None
    return [handle for handle in found if handle.job_id not in record.before | record.handled]


class Search:
    """Searches for the jobs of one submission. `lost` and `before` need a `recovery` of FIND."""

    def __init__(
        self, client: JobClient, label: Label, journal: Journal, recovery: Recovery, give_up_at: float
    ) -> None:
        """Stop each search at `give_up_at` (epoch seconds)."""
        self._client = client
        self._clock = client.session.clock
        self._label = label
        self._journal = journal
        self._can_find = recovery is Recovery.FIND
        self._give_up_at = give_up_at

    async def lost(self, record: Record, visible_at: float, failure: BaseException | None) -> JobHandle | None:
        """Return the job of the last intent, or None if it is proven that there is none.

        Every job of the intent is visible at `visible_at`. Raises `SubmissionUnknown` for `failure`, the error of the
        create, if the search is undecided.
        """
        return await self._kept(record, self._until_visible(record, visible_at), failure)

    async def late(self, record: Record) -> JobHandle | None:
        """Search once for a job that became visible after it was given up, or beside one that failed."""
        if not self._can_find or record.location is None:
            return None
        by_label = self._client.evidence(record.operation, record.location) is Evidence.LABEL
        if not by_label and not (record.void and record.given_up and self._is_proof(record)):
            return None
        return await self._kept(record, self._once(record), None)

    async def early(self, record: Record) -> JobHandle | None:
        """Search once for the job of an intent that another process may be submitting. Return None if unclear."""
        if self._can_find and self._is_proof(record):  # otherwise only `lost` is certain
            with suppress(RequestFailed, Undecided):  # the other process may succeed
                if found := await find_again(self._client, self._label, record):
                    await self._keep_oldest(record, found)
                    return record.handle  # None if it could not be written, or another process wrote
        return None

    async def before(self, operation: str, location: Location, *, is_first: bool) -> list[str]:
        """Return the ids of the jobs at `location` before an intent: none of them is the intent's job."""
        if not is_first and self._client.evidence(operation, location) is Evidence.LABEL:
            return []  # an earlier intent created any job with the label
        return [one.job_id for one in await self._client.find(operation, location, self._label, self._clock.now())]

    async def superseded(self, record: Record) -> list[str]:
        """Log and return the ids of the known jobs that a forced submission replaces."""
        ids = [record.handle.job_id] if record.handle else []
        if self._can_find and not record.handle and self._is_proof(record):
            with suppress(Undecided):
                ids = [handle.job_id for handle in await find_again(self._client, self._label, record)]
        for job_id in ids:
            logger.warning(
                "%s is superseded because of force_resubmit and was not cancelled. If it still runs and is not "
                "needed, cancel it by its id.",
                job_name(self._client.provider, job_id),
            )
        return ids

    def _is_proof(self, record: Record) -> bool:
        return self._client.evidence(record.operation, record.location or {}) is not Evidence.NONE

    async def _kept(
        self, record: Record, search: Awaitable[list[JobHandle]], failure: BaseException | None
    ) -> JobHandle | None:
        try:
            found = await search
        except Undecided as why:
            await self._journal.fail_unknown(record, failure, str(why))
        return await self._keep_oldest(record, found) if found else None

    async def _keep_oldest(self, record: Record, found: list[JobHandle]) -> JobHandle:
        ids = [handle.job_id for handle in found]
        if len(found) > 1:
            logger.warning(
                "%s: several jobs have the key %s: %s. The oldest is adopted. Check the others and cancel them if they "
                "are not needed.",
                *(self._client.title, self._label.key, ", ".join(ids)),
            )
        logger.info("%s was found by its key.", job_name(self._client.provider, ids[0]))
        return await self._journal.keep(record, found[0])

    async def _until_visible(self, record: Record, visible_at: float) -> list[JobHandle]:
        """Return the jobs of the last intent, oldest first, or none if none exists at `visible_at`.

        Without evidence, a job that is found early proves nothing, since the submission's job may still be hidden: it
        is accepted only if it is the only one at `visible_at`. Raises `Undecided`.
        """
        delay_s, is_proof = FIRST_DELAY_S, self._is_proof(record)
        while True:
            now = self._clock.now()
            found = await self._once(record)
            if (found and is_proof) or now >= visible_at:
                return found if is_proof else await self._the_only_one(found)
            now = self._clock.now()
            if now >= self._give_up_at:
                ids = [one.job_id for one in found]
                seen = f"{some(ids)} may be it, but it" if found else "It is not visible, and"
                raise Undecided(f"{seen} may stay hidden {max(visible_at - now, 0):.0f} s more: longer than this wait.")
            await self._clock.sleep(min(delay_s, max(visible_at - now, 0), self._give_up_at - now))
            delay_s *= 2

    async def _once(self, record: Record) -> list[JobHandle]:
        """Search once. Raises `Undecided`, also for a failed request."""
        try:
            return await find_again(self._client, self._label, record)
        except RequestFailed as failure:
            raise Undecided(f"The search failed: {failure}") from None

    async def _the_only_one(self, found: list[JobHandle]) -> list[JobHandle]:
        """Return the job that no other submission of this store has. Raises `Undecided` if there are several."""
        held = await self._journal.held_by_others() if found else set()
        left = [handle for handle in found if handle.job_id not in held]
        if len(left) > 1:
            raise Undecided(f"{some([handle.job_id for handle in left])} may be it, and it is not known which.")
        return left
