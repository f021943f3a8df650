"""Who takes part, and one run of one contestant after another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from benchmarks.contest import Result, compete
from benchmarks.floors import request_floor
from benchmarks.gates import no_wrong_ends
from benchmarks.ours import alias_batch
from graphql_jobs.providers.aiware import documents as aiware_documents
from graphql_jobs.providers.datasaur import documents as datasaur_documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from benchmarks.workloads import Scale, Workload

#: Our choice, below what ours sends in a second after an outage or a pause without a budget (16 and 9): what it is told
#: not to exceed, and is held to.
REQUESTS_PER_S = 4.0
#: Our choice, for two cores: a contestant with a thousand waits takes less than a tenth of one.
_AT_ONCE = 3


@dataclass(frozen=True)
class Entrant:
    """How a contestant is called in the tables, and how it asks."""

    label: str
    #: Whether it asks for many jobs at once: for all of them (`is_whole`), or for a batch.
    is_batched: bool = True
    is_whole: bool = False
    by_aliases: bool = False

    def batch(self, workload: Workload) -> int:
        """Jobs per request."""
        if not self.is_batched:
            return 1
        if self.is_whole:
            return workload.jobs
        return alias_batch(workload.batch) if self.by_aliases else workload.batch


ENTRANTS = {
    "raw-ids": Entrant("floor: raw loop by ids"),
    "raw-spread": Entrant("raw loop by ids, spread over T"),
    "ours-ids": Entrant("ours: wait_many by ids"),
    "ours-bare": Entrant("ours by ids, looks by raw posts"),
    "raw-aliases": Entrant("floor: raw loop by aliases", by_aliases=True),
    "ours-aliases": Entrant("ours: wait_many by aliases", by_aliases=True),
    "feed-30": Entrant("list of what ended, pages of 30", by_aliases=True),
    "feed-500": Entrant("list of what ended, pages of 500", by_aliases=True),
    "ours-each": Entrant("ours: one wait() per job"),
    "ours-prefect": Entrant("ours: wait_for_jobs under Prefect"),
    "robosaur": Entrant("Robosaur's loop", is_whole=True),
    "aiohttp": Entrant("aiohttp coroutine per wait", is_batched=False),
    "gql": Entrant("gql loop per wait", is_batched=False),
    "prefect-each": Entrant("one Prefect task per wait", is_batched=False),
}


class Lineup:
    """Runs contests and remembers them, so that no two sections run the same one twice."""

    def __init__(self, scale: Scale, console: Console) -> None:
        self.scale = scale
        self.console = console
        self._known: dict[tuple[str, str], Result] = {}

    def run(self, contestant: str, workload: Workload, environment: Mapping[str, str] | None = None) -> Result:
        """The contestant's result on this workload."""
        key = (contestant, workload.name)
        if key not in self._known:
            self._say(f"{ENTRANTS[contestant].label}: {workload.name}")
            self._known[key] = self._compete(contestant, workload, environment)
        return self._known[key]

    def run_in_turns(self, contestants: Sequence[str], workload: Workload, rounds: int) -> None:
        """Let some compete so many times, in turns, and remember each one's result with the median of its CPU.

        Other machines share our caches: two runs of one contestant differ by a tenth, now and then by half.
        `cpu_least_s` and `cpu_most_s` become its figures. A run that went wrong counts before all others.
        """
        found: dict[str, list[Result]] = {contestant: [] for contestant in contestants}
        for number in range(rounds):
            for contestant in contestants:
                self._say(f"{ENTRANTS[contestant].label}: {workload.name}, {number + 1} of {rounds}")
                found[contestant].append(self._compete(contestant, workload, None))
        for contestant, results in found.items():
            wrong = [one for one in results if not no_wrong_ends("", one.verdict, one.failure).passed]
            ordered = sorted(results, key=lambda one: one.figures.get("cpu_s", inf))
            counted = wrong[0] if wrong else ordered[rounds // 2]
            if rounds > 1 and not wrong:
                range_s = {"cpu_least_s": ordered[0].figures["cpu_s"], "cpu_most_s": ordered[-1].figures["cpu_s"]}
                counted = replace(counted, figures=counted.figures | range_s)
            self._known[contestant, workload.name] = counted

    def run_together(self, pairs: Sequence[tuple[str, Workload]]) -> list[Result]:
        """Some at the same time, each with an emulator of its own: where nobody's CPU is measured."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda pair: self.run(*pair), pairs))

    def _say(self, what: str) -> None:
        self.console.print(f"  {what} ...", style="dim", highlight=False)

    def request_floor(self, result: Result, workload: Workload) -> int:
        """Of the result's jobs, in the batches of its contestant."""
        batch = min(ENTRANTS[result.contestant].batch(workload), workload.server_batch or workload.jobs)
        at_most_s = self.scale.of(workload.waits_at_most_s)
        return request_floor(result.durations_s, self.scale.interval_s, batch, at_most_s)

    def _compete(self, contestant: str, workload: Workload, environment: Mapping[str, str] | None) -> Result:
        entrant = ENTRANTS[contestant]
        provider, document = "datasaur", datasaur_documents.GET_JOBS.text
        if entrant.by_aliases:
            workload = replace(workload, batch=entrant.batch(workload))
            provider, document = "aiware", aiware_documents.check_jobs(workload.batch).text
        return compete(
            contestant,
            workload,
            self.scale,
            provider=provider,
            document=document,
            requests_per_s=REQUESTS_PER_S if workload.budgeted else None,
            environment=environment,
        )
