"""Looking for the job of an intent whose outcome nobody knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from graphql_jobs.errors import RequestFailed, some
from graphql_jobs.providers.recovery import Undecided

if TYPE_CHECKING:
    from graphql_jobs.handle import JobHandle
    from graphql_jobs.label import Label
    from graphql_jobs.providers.base import JobClient
    from graphql_jobs.submission.journal import Journal
    from graphql_jobs.submission.record import Record

#: Our choice: the first pause between two looks, at a provider or at another's work; each further one is twice as long.
POLL_S = 0.2


async def find_again(client: JobClient, label: Label, record: Record) -> list[JobHandle]:
    """The jobs that came of the record's last intent, oldest first, by one look at the provider.

    Raises `RequestFailed` or `Undecided`, also if the look takes longer than a whole submission may.
    """
    if record.location is None:
        return []
    longest_s = client.session.limits.submission_s
    try:
        async with asyncio.timeout(longest_s):
            found = await client.find(record.operation, record.location, label, record.at)
    except TimeoutError:
        raise Undecided(f"One look for it took longer than submission_s={longest_s:g}.") from None
    return [handle for handle in found if handle.job_id not in record.before | record.handled]


class Search:
    """Looks for one submission's job, until `give_up_at` at the latest."""

    def __init__(self, client: JobClient, label: Label, journal: Journal, give_up_at: float) -> None:
        self._client = client
        self._label = label
        self._journal = journal
        self._give_up_at = give_up_at

    async def until_sure(self, record: Record, sure_at: float) -> list[JobHandle]:
        """The jobs of the last intent, oldest first; none if by `sure_at`, when all would be visible, none is there.

        Where what is found may be somebody else's, one that is seen early proves nothing, since ours may still hide:
        then it is ours only if it is the only one at `sure_at`. Raises `Undecided`.
        """
        clock, delay_s = self._client.session.clock, POLL_S
        surely = self._client.finds_surely(record.operation, record.location or {})
        while True:
            now = clock.now()
            found = await self.look(record)
            if (found and surely) or now >= sure_at:
                return found if surely else await self._the_only_one(found)
            now = clock.now()
            if now >= self._give_up_at:
                seen = (
                    f"{some([one.job_id for one in found])} may be it, but it" if found else "It is not to be seen, and"
                )
                raise Undecided(f"{seen} may stay hidden {max(sure_at - now, 0):.0f} s more: longer than this wait.")
            await clock.sleep(min(delay_s, max(sure_at - now, 0), self._give_up_at - now))
            delay_s *= 2

    async def look(self, record: Record) -> list[JobHandle]:
        """`find_again`, of which nothing is taken for an answer but an answer. Raises `Undecided`."""
        try:
            return await find_again(self._client, self._label, record)
        except RequestFailed as failure:
            raise Undecided(f"It could not be looked up: {failure}") from None

    async def _the_only_one(self, found: list[JobHandle]) -> list[JobHandle]:
        """The one that no other submission of this store has. Raises `Undecided` if there are several."""
        held = await self._journal.held_by_others() if found else set()
        left = [handle for handle in found if handle.job_id not in held]
        if len(left) > 1:
            raise Undecided(f"{some([handle.job_id for handle in left])} may be it, and nothing tells which.")
        return left
