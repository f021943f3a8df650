"""The protocol of the flows without Prefect's engine: submit once, wait, collect, hand over; and its results.

The same functions as in `tasks/pipeline.py` in the same order, without its tasks and flow runs, which would cost a
hundred times as much. The store is that of a real flow run.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks.runs.store import RunStore
from graphql_jobs import Deadlines, Label, Schedule, WaitPolicy, require_success, submission_key, submit_once, wait
from graphql_jobs.emulator import ManualClock
from graphql_jobs.errors import SubmissionUnknown
from graphql_jobs.providers.aiware import AiwareClient, AiwareJobSpec, EngineJobSpec
from graphql_jobs.providers.aiware.reader import DIALECT as AIWARE
from graphql_jobs.providers.aiware.specs import EngineTask
from graphql_jobs.providers.datasaur import AutoLabelSpec, DatasaurClient, ExportSpec, ProjectSpec
from graphql_jobs.providers.datasaur.reader import DIALECT as DATASAUR
from graphql_jobs.providers.datasaur.specs import ProjectDocument
from graphql_jobs.transport.auth import BearerToken, ClientCredentials
from graphql_jobs.waiting.checkpoints import Checkpoints
from tasks.downstream import downstream_key, started
from tasks.outcome import outcome_of
from tests.clocks import DrivenClock
from tests.exhaustive.fuse import Died, Fuse, FusedSession, FusedTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from uuid import UUID

    from graphql_jobs import JobClient, JobSpec
    from graphql_jobs.emulator import Emulator
    from graphql_jobs.emulator.ledger import Submission

ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
#: Real seconds: a case takes a tenth of a second, and clocks are driven. But a Prefect server that is busy waits for up
#: to 60 s until SQLite is not locked; then its client sends the request again.
HANGS_AFTER_S = 150.0
#: Driven seconds: a search lasts at most 300 s, another process's lease 130 s.
POLICY = WaitPolicy(Schedule(first_delay_s=6, growth=1, max_delay_s=6), Deadlines(total_s=3600, running_s=1800))

_KEPT = {"after keep intent", "after keep handle", "after keep unknown"}


class LateClock(DrivenClock):
    """A driven clock; a late request arrives at its instant."""

    late: tuple[float, Callable[[], Awaitable[object]]] | None = None

    async def advance(self, by_s: float) -> None:
        """Let time pass, in two parts if a request arrives in between."""
        until = self.now() + by_s
        if self.late and self.late[0] <= until:
            await super().advance(max(self.late[0] - self.now(), 0.0))
            await self.deliver()
        await super().advance(max(until - self.now(), 0.0))

    async def deliver(self) -> None:
        """Let the late request arrive now, if there is one. Its answer is lost."""
        late, self.late = self.late, None
        if late:
            with suppress(Exception):
                await late[1]()


@dataclass
class Case:
    """One key: the points at which its processes were stopped, the end of the last one, and the jobs in the ledger."""

    number: str
    stops: list[str] = field(default_factory=list)
    ended: str = ""
    jobs: list[Submission] = field(default_factory=list)
    #: Whether a process was stopped when the intent was recorded and the handle was not.
    in_doubt: bool = False

    def __str__(self) -> str:
        jobs = [f"{job.operation} {job.job_id} (key {job.key})" for job in self.jobs]
        return f"case {self.number}, stopped at {self.stops or 'nothing'}: ended with {self.ended}; ledger: {jobs}"


class Protocol:
    """One operation against one emulator and one flow run, any number of times, each with its own key."""

    def __init__(
        self, operation: str, emulator: Emulator, prefect: FusedTransport, run_id: UUID, deployment: str, folder: Path
    ) -> None:
        self.operation = operation
        self.emulator = emulator
        self.prefect = prefect
        self.run_id = run_id
        self.deployment = deployment
        self.folder = folder
        assert isinstance(emulator.clock, ManualClock)
        self.clock = LateClock(emulator.clock)
        # Of one length: Datasaur searches projects by a keyword, and no name of a case may contain another one.
        self._numbers = (f"{number:06}" for number in count(1))

    def spec(self, number: str) -> JobSpec:
        """The job of this case; it prepares the emulator."""
        task = EngineTask(engine_id=ENGINE_ID)
        if self.operation == "aiware createJob":
            return AiwareJobSpec.of(tasks=[task])
        if self.operation == "aiware createJob on a shared target":
            return AiwareJobSpec.of(tasks=[task], target_id=self._shared_target(number))
        if self.operation == "aiware launchSingleEngineJob":
            return EngineJobSpec.of(engine_id=ENGINE_ID, upload_url="https://media.example.invalid/a.mp4?signature=s")
        if self.operation == "aiware launchSingleEngineJob on a shared target":
            return EngineJobSpec.of(engine_id=ENGINE_ID, target_id=self._shared_target(number))
        if self.operation == "datasaur createProject":
            document = ProjectDocument(name="a.txt", external_url="https://files.example.invalid/a.txt")
            return ProjectSpec.of(name=f"project-{number}", documents=[document])
        project_id = self.emulator.datasaur.plant_project(name=f"planted-{number}").id
        if self.operation == "datasaur exportTextProject":
            return ExportSpec.of(project_ids=[project_id], file_name=f"file-{number}")
        return AutoLabelSpec.of(
            project_id=project_id,
            labeler_email="labeler@example.invalid",
            target_endpoint="https://model.example.invalid/predict",
            target_secret=SecretStr("s3cret"),
        )

    def _shared_target(self, number: str) -> str:
        """A target on which another caller's job of the same engine runs already."""
        target = self.emulator.aiware.add_tdo({"name": f"shared-{number}"})
        self.emulator.aiware.plant(target_id=target.id).tasks[0].engine_id = ENGINE_ID
        return target.id

    def client(self, fuse: Fuse) -> JobClient:
        """A client of a separate process: it shares no connections and no tokens."""
        accounts, url = self.emulator.accounts, self.emulator.url
        if self.operation.startswith("aiware"):
            token = BearerToken(accounts.aiware_token)
            return AiwareClient(FusedSession(f"{url}/v3/graphql", token, AIWARE, self.clock, fuse))
        sign_in = ClientCredentials(
            f"{url}/api/oauth/token", accounts.datasaur_client_id, accounts.datasaur_client_secret
        )
        return DatasaurClient(FusedSession(f"{url}/graphql", sign_in, DATASAUR, self.clock, fuse))

    async def run(self, *stops: int, late_s: float | None = None) -> tuple[Case, list[str]]:
        """A new key: a process that is stopped at the first of `stops`, one at the second, ..., and one that is not.

        With `late_s`, the request that was about to be sent arrives that much later, or when all processes have ended.
        Returns the case and the points of the last process. Raises `AssertionError` if a process ends before its stop.
        """
        async with AsyncExitStack() as connections:
            return await self._run(stops, late_s, connections)

    async def _run(
        self, stops: Sequence[int], late_s: float | None, connections: AsyncExitStack
    ) -> tuple[Case, list[str]]:
        case, begun = Case(next(self._numbers)), len(self.emulator.ledger.submissions)
        spec = self.spec(case.number)
        fuse, kept = Fuse(), ""
        for stop in [*stops, None]:
            fuse = Fuse(stop)
            client = self.client(fuse)
            await connections.enter_async_context(client)  # for a late request
            case.ended = await self._process(case.number, spec, client, fuse)
            if stop is not None:
                assert fuse.blown, f"{self.operation}: {case}; a process ended before stop {stop}: {fuse.points}"
                case.stops.append(fuse.points[-1])
                kept = next((point for point in reversed(fuse.points) if point in _KEPT), kept)
                case.in_doubt |= kept == "after keep intent"
                if late_s is not None and fuse.in_flight:
                    self.clock.late = (self.clock.now() + late_s, fuse.in_flight)
                    case.in_doubt &= fuse.points[-1] != "before keep handle"
        await self.clock.deliver()
        case.jobs = [made for made in self.emulator.ledger.submissions[begun:] if made.job_id]
        return case, fuse.points

    async def _process(self, number: str, spec: JobSpec, client: JobClient, fuse: Fuse) -> str:
        self.prefect.fuse = fuse
        try:
            async with asyncio.timeout(HANGS_AFTER_S):
                return f"job {self.job_of(await self._to_the_end(number, spec, client))}"
        except Died:
            return "death"
        except SubmissionUnknown:
            return "SubmissionUnknown"
        except TimeoutError:
            raise AssertionError(f"{self.operation}: case {number} hangs after {fuse.points[-10:]}") from None
        finally:
            self.prefect.fuse = None

    def job_of(self, job_id: str) -> str:
        """The job in the ledger: a project that was found again stands for the job that created it."""
        project = self.emulator.datasaur.projects.get(job_id.removeprefix("project:"))
        return project.job.id if project and project.job else job_id

    async def _to_the_end(self, number: str, spec: JobSpec, client: JobClient) -> str:
        """The same steps as `run_to_the_end`."""
        store = RunStore(self.run_id)
        location = (client.provider, client.session.url, client.account, spec.operation)
        label = Label(submission_key(*location, "key", f"case-{number}"), str(self.run_id))
        async with client:
            handle = await submit_once(client, spec, store, label, wait_at_most_s=POLICY.deadlines.total_s)
            checkpoints = Checkpoints(store, f"gqs-{number}-")
            job = require_success(await wait(client, handle, POLICY, checkpoints=checkpoints))
            result = await client.result(handle, job, self.folder)
            finished = outcome_of(handle, job, result)
            key = downstream_key(self.deployment, handle.provider, handle.endpoint, [finished])
            await started(self.deployment, {"jobs": [finished]}, key)
        return job.job_id
