"""Fixtures of the core's tests: a clock that does not wait, and real servers on the loopback interface."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiohttp import web
from graphql import GraphQLSchema, build_schema
from hypothesis import HealthCheck, settings

from graphql_jobs.providers.aiware import reader
from graphql_jobs.providers.base import JobClient
from graphql_jobs.transport.auth import Auth, BearerToken
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.operation import Operation
from graphql_jobs.transport.session import Session
from tests.clocks import FakeClock
from tests.graphql_jobs.fuzzing import HANG_S, Hang

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ssl import SSLContext

    from graphql_jobs.clock import Clock
    from graphql_jobs.handle import JobHandle, Seen
    from graphql_jobs.label import Label
    from graphql_jobs.providers.recovery import Location
    from graphql_jobs.spec import JobSpec
    from graphql_jobs.transport.diagnosis import Dialect

# No stored examples (a checkout stays clean) and no time limits: the machine may be busy.
settings.register_profile("house", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"

#: The response of a loopback server to one request: plain data is sent as JSON, a string as the body; a tuple adds the
#: status and headers; a callable makes the response.
Answer = dict[str, Any] | list[Any] | str | tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
Step = Answer | Callable[[web.Request], Awaitable[web.StreamResponse]]

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Answers the n-th request with the n-th step, and all later ones with the last step."""

    steps: list[Step]
    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of requests so far."""
        return len(self.bodies)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request and take the next step."""
        text = await request.text()
        step = self.steps[min(self.count, len(self.steps) - 1)]
        self.bodies.append(json.loads(text) if request.content_type == "application/json" else text)
        self.headers.append(request.headers)
        self.paths.append(request.path_qs)
        return await step(request) if callable(step) else plain_answer(step)


def plain_answer(answer: Answer) -> web.Response:
    """The response for plain data."""
    status, body, headers = 200, answer, {}
    if isinstance(answer, tuple):
        status, body = answer[0], answer[1]
        headers = dict(answer[2]) if len(answer) == 3 else {}
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers=headers, content_type="text/html")
    return web.json_response(body, status=status, headers=headers)


class ScriptedClient(JobClient):
    """A provider that exists only in the test: `script` returns the state of a job a number of seconds after the start.

    None leaves the job out of the answer; an exception fails the whole batch.
    """

    provider = "fake"
    title = "Fake"

    def __init__(self, clock: FakeClock, script: Callable[[str, float], Seen | None]) -> None:
        super().__init__(Session("http://fake.invalid/graphql", BearerToken("x"), reader.DIALECT, clock=clock))
        self.clock = clock
        self.began_at = clock.now()
        self.script = script
        #: The requests: seconds after the start, and the ids of the jobs.
        self.polls: list[tuple[float, tuple[str, ...]]] = []
        self.failing: Callable[[Sequence[str], float], Exception | None] = lambda job_ids, at_s: None

    async def submit(self, spec: JobSpec, label: Label | None = None, location: Location | None = None) -> JobHandle:
        """Not used: these tests only wait."""
        raise NotImplementedError

    async def check_batch(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        at_s = self.clock.now() - self.began_at
        self.polls.append((at_s, tuple(job_ids)))
        if error := self.failing(job_ids, at_s):
            raise error
        return {job_id: one for job_id in job_ids if (one := self.script(job_id, at_s)) is not None}


class Scripted(Protocol):
    """Makes a `ScriptedClient` on the fake clock."""

    def __call__(self, script: Callable[[str, float], Seen | None]) -> ScriptedClient: ...


class Serve(Protocol):
    """Starts a `ScriptedServer`; it is stopped when the test ends."""

    async def __call__(self, *steps: Step) -> ScriptedServer: ...


class ServeRaw(Protocol):
    """Starts a TCP server; returns its address and a list that grows by one with each connection."""

    async def __call__(self, talk: Talk, ssl: SSLContext | None = None) -> RawServer: ...


class OpenSession(Protocol):
    """Makes and opens a session; it is closed when the test ends."""

    async def __call__(
        self,
        url: str,
        auth: Auth | None = None,
        *,
        dialect: Dialect = reader.DIALECT,
        limits: Limits = Limits(),
        clock: Clock | None = None,
    ) -> Session: ...


@dataclass
class RawServer:
    """A TCP server whose behaviour the test sets."""

    url: str
    port: int
    connections: list[int] = field(default_factory=list)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that does not wait."""
    return FakeClock()


@pytest.fixture
def scripted(clock: FakeClock) -> Scripted:
    """Clients whose jobs follow the test's script."""
    return lambda script: ScriptedClient(clock, script)


@pytest.fixture
def operation() -> Operation:
    """An operation whose root field is `job`."""
    return Operation("query ReadJob($id: ID!) { job(id: $id) { id } }")


@pytest.fixture
def creation() -> Operation:
    """A create, whose root field is `createJob`."""
    return Operation("mutation CreateJob($input: CreateJob!) { createJob(input: $input) { id } }")


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """Closes what is entered here when the test ends, also when it fails."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def serve(closing: AsyncExitStack) -> Serve:
    """Starts scripted GraphQL servers at a free port."""

    async def start(*steps: Step) -> ScriptedServer:
        server = ScriptedServer(list(steps))
        app = web.Application(client_max_size=8 * 1024**2)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        closing.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
        return server

    return start


@pytest.fixture
def serve_raw(closing: AsyncExitStack) -> ServeRaw:
    """Starts TCP servers at a free port."""

    async def start(talk: Talk, ssl: SSLContext | None = None) -> RawServer:
        raw = RawServer("", 0)
        talks: set[asyncio.Task[None]] = set()

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raw.connections.append(len(raw.connections))
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            try:
                await talk(reader, writer)
            except (asyncio.CancelledError, ConnectionError):
                pass
            finally:
                writer.transport.abort()

        async def stop() -> None:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            await server.wait_closed()

        server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=ssl)
        closing.push_async_callback(stop)
        raw.port = server.sockets[0].getsockname()[1]
        raw.url = f"http://127.0.0.1:{raw.port}/graphql"
        return raw

    return start


@pytest.fixture
def open_session(closing: AsyncExitStack, clock: FakeClock) -> OpenSession:
    """Opens sessions that run on the fake clock and sign in with the token "t0k3n-of-test"."""

    async def start(
        url: str,
        auth: Auth | None = None,
        *,
        dialect: Dialect = reader.DIALECT,
        limits: Limits = Limits(),
        clock: Clock | None = clock,
    ) -> Session:
        session = Session(url, auth or BearerToken("t0k3n-of-test"), dialect, limits, clock)
        return await closing.enter_async_context(session)

    return start


@pytest.fixture(scope="session")
def schemas() -> dict[str, GraphQLSchema]:
    """Both providers' schemas, from the project's own copies."""
    folder = ROOT / "graphql_jobs" / "emulator" / "schema"
    return {path.stem: build_schema(path.read_text()) for path in sorted(folder.glob("*.graphql"))}


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Any]:
    """Reads a recorded answer: `sample("aiware/job_running")`."""
    return lambda name: json.loads((SAMPLES / f"{name}.json").read_text())


@pytest.fixture
def watchdog() -> Iterator[None]:
    """Ends an answer that hangs."""

    def bark(*args: object) -> None:
        raise Hang(f"no end after {HANG_S} s")

    before = signal.signal(signal.SIGALRM, bark)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
