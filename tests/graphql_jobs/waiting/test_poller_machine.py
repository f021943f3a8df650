"""The poller against a simple model: random joins, cancels, faults and clock jumps; every wait ends once, correctly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from graphql_jobs import errors, wait_many
from graphql_jobs.handle import JobHandle
from graphql_jobs.job import Job, JobState
from graphql_jobs.waiting.policy import Deadlines, Schedule, WaitPolicy
from graphql_jobs.waiting.poller import MAX_UNDER_WAY, poller_of
from tests.clocks import FakeClock
from tests.graphql_jobs.conftest import ScriptedClient

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from graphql_jobs.handle import Seen

INTERVAL_S = 5.0
NAMES = [f"j{number}" for number in range(12)]
SOME_NAMES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True)
SETS = st.sets(st.sampled_from(NAMES))
DOWN = errors.ServerFailed("fake", "check", "", "HTTP 503")
#: A year: longer than any test.
LONG_S = 365 * 86400.0
#: The largest delay until an end is seen without faults.
LATE_S = INTERVAL_S + 4.0
#: The smaller outage budget.
BUDGET_S = 20.0


@dataclass
class Caller:
    """One caller: its jobs, its deadline and outage budget, and the ends that it got."""

    names: list[str]
    joined_at: float
    gives_up_at: float
    budget_s: float
    task: asyncio.Task[None] | None = None
    ended: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)
    cancelled: bool = False


class PollerMachine(RuleBasedStateMachine):
    """The model: each job ends at an instant, and each caller gets that end, or gives up at its own instant."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.began_at = self.clock.monotonic()
        self.ends_at = dict.fromkeys(NAMES, inf)
        self.down = False
        self.poisonous: set[str] = set()
        self.hidden: set[str] = set()
        self.slow = 0
        self.last_trouble_at = -inf
        #: Starts and ends of the periods with faults; a period with a fault in any part of it counts as a whole.
        self.troubles: list[tuple[float, float]] = []
        self.callers: list[Caller] = []
        self.at_once = 0
        #: The jobs of the requests that are under way.
        self.asked: set[str] = set()
        self.client = ScriptedClient(self.clock, self.seen)
        self.client.failing = lambda job_ids, at_s: DOWN if self.down else None
        answer = self.client.check_batch

        async def check(job_ids: Sequence[str]) -> dict[str, Seen]:
            self.at_once += 1
            assert not self.asked.intersection(job_ids)
            self.asked |= set(job_ids)
            try:
                assert self.at_once <= MAX_UNDER_WAY
                if self.slow:
                    self.slow -= 1
                    await self.clock.sleep(30)
                return await answer(job_ids)
            finally:
                self.at_once -= 1
                self.asked -= set(job_ids)

        self.client.check_batch = check  # type: ignore[method-assign]

    def seen(self, name: str, at_s: float) -> Seen | None:
        """The answer about one job."""
        if name in self.poisonous:
            return DOWN
        if name in self.hidden:
            return None
        state = JobState.SUCCEEDED if self.clock.monotonic() >= self.ends_at[name] else JobState.RUNNING
        return Job("fake", name, state, state.lower())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the loop run until `work` is done."""
        self.loop.run_until_complete(work)

    @rule(
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True),
        total_s=st.sampled_from([40, inf]),
        budget_s=st.sampled_from([BUDGET_S, LONG_S]),
    )
    def join(self, names: list[str], total_s: float, budget_s: float) -> None:
        """A wait for some jobs begins, without a deadline or with one of 40 s, and with an outage budget."""
        caller = Caller(names, self.clock.monotonic(), self.clock.monotonic() + total_s, budget_s)
        policy = WaitPolicy(
            Schedule(INTERVAL_S, 0, INTERVAL_S),
            Deadlines(total_s=min(total_s, LONG_S)),
            outage_budget_s=budget_s,
            not_found_grace_s=LONG_S,
        )
        handles = [JobHandle(provider="fake", endpoint=self.client.session.url, job_id=name) for name in names]

        async def waiting() -> None:
            async for one, ended in wait_many(self.client, handles, policy):
                caller.ended.setdefault(one.job_id, []).append((self.clock.monotonic(), ended))

        async def start() -> None:
            caller.task = asyncio.create_task(waiting())
            await asyncio.sleep(0)

        self.run(start())
        self.callers.append(caller)

    @precondition(lambda self: any(not caller.cancelled for caller in self.callers))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A wait is cancelled."""
        caller = data.draw(st.sampled_from([one for one in self.callers if not one.cancelled]))
        caller.cancelled = True

        async def stop() -> None:
            assert caller.task is not None
            caller.task.cancel()
            await asyncio.gather(caller.task, return_exceptions=True)

        self.run(stop())

    @rule(name=st.sampled_from(NAMES), in_s=st.floats(0, 60))
    def end(self, name: str, in_s: float) -> None:
        """A job will end."""
        self.ends_at[name] = min(self.ends_at[name], self.clock.monotonic() + in_s)

    @rule(
        down=st.booleans(),
        poisonous=st.sets(st.sampled_from(NAMES), max_size=2),
        hidden=st.sets(st.sampled_from(NAMES)),
    )
    def change_faults(self, down: bool, poisonous: set[str], hidden: set[str]) -> None:
        """The endpoint fails or recovers; some jobs cannot be checked, some are absent."""
        self.down, self.poisonous, self.hidden = down, poisonous, hidden
        self.last_trouble_at = self.clock.monotonic()

    @rule(requests=st.integers(1, 3))
    def be_slow(self, requests: int) -> None:
        """The next requests take half a minute."""
        self.slow = requests
        self.last_trouble_at = self.clock.monotonic()

    @rule(for_s=st.floats(1, 90))
    def ask_for_a_delay(self, for_s: float) -> None:
        """The server asks for a delay."""
        self.client.session.server_delay.extend(for_s)
        self.last_trouble_at = self.clock.monotonic() + for_s + 1

    @rule(max_batch=st.sampled_from([1, 5, 100]))
    def take_less(self, max_batch: int) -> None:
        """The server accepts fewer jobs per request, or more."""
        self.client.max_batch = max_batch

    @rule(by_s=st.floats(-1e6, 1e6))
    def set_the_clock(self, by_s: float) -> None:
        """The wall clock is set."""
        self.clock.set_by_s += by_s

    @rule(for_s=st.floats(0.1, 60))
    def pass_time(self, for_s: float) -> None:
        """Time passes."""
        self.run(self.elapse(for_s))

    async def elapse(self, for_s: float) -> None:
        """Let time pass, and record whether there was a fault."""
        began_at, was_troubled = self.clock.monotonic(), self.is_troubled()
        await self.clock.sleep(for_s)
        if self.is_troubled():
            self.last_trouble_at = max(self.last_trouble_at, self.clock.monotonic())
        if was_troubled or self.is_troubled():
            self.troubles.append((began_at, self.clock.monotonic()))

    def is_troubled(self) -> bool:
        """Whether any fault prevents a poll from showing the state of a job."""
        faults = self.down or self.poisonous or self.hidden or self.slow
        return bool(faults or self.at_once or self.client.session.server_delay.is_active())

    def troubled_s(self, from_at: float, to_at: float) -> float:
        """The seconds of that period with faults."""
        return sum(max(0.0, min(until, to_at) - max(since, from_at)) for since, until in self.troubles)

    @invariant()
    def every_end_is_right(self) -> None:
        """Each job ended at most once for each caller: with the job's own end, not before it, or at its deadline."""
        for caller in self.callers:
            assert not caller.task or not caller.task.done() or caller.task.cancelled() or not caller.task.exception()
            for name, ends in caller.ended.items():
                [(at, ended)] = ends
                if isinstance(ended, Job):
                    assert ended.state is JobState.SUCCEEDED
                    assert at >= self.ends_at[name]
                elif isinstance(ended, errors.ProviderLost):  # only the next answer shows that it is over
                    assert caller.budget_s < LONG_S
                    assert self.troubled_s(at - caller.budget_s, at) >= caller.budget_s - LATE_S
                else:
                    assert isinstance(ended, errors.WaitTimedOut | errors.JobNotFound)
                    assert at >= caller.gives_up_at - 0.01

    @invariant()
    def no_end_is_missed(self) -> None:
        """All waits for a job see its end soon, if there was no fault since."""
        now = self.clock.monotonic()
        for caller in self.callers:
            for name in caller.names:
                due_at = max(caller.joined_at, self.ends_at[name], self.last_trouble_at + 35) + LATE_S
                if not caller.cancelled and not self.is_troubled() and now > due_at:
                    assert name in caller.ended, f"{name} ended at {self.ends_at[name]}, it is {now}"

    def teardown(self) -> None:
        """All faults and all jobs end: each wait gets its ends, and the poller stops."""
        try:
            self.run(self.finish())
            self.every_end_is_right()
        finally:
            self.run(self.stop_all())
            self.loop.close()

    async def stop_all(self) -> None:
        """Stop what a failed example left running."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Let everything that is under way end."""
        self.change_faults(False, set(), set())
        for name in NAMES:
            self.end(name, 0)
        await self.elapse(60)
        await self.elapse(60)
        tasks = [caller.task for caller in self.callers if caller.task]
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, return_exceptions=True)
        for caller in self.callers:
            assert caller.cancelled or caller.ended.keys() == set(caller.names)
        poller = poller_of(self.client)
        assert not (poller._waiters)
        assert not (poller._jobs)
        assert not (poller._polls)
        assert not (poller._timer)


PollerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
TestPoller = PollerMachine.TestCase
