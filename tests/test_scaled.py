"""The scaled stack: PostgreSQL, Redis, two API servers, two workers, two watchers. A killed part loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

from scripts import scaled
from scripts.balancer import balance
from scripts.demo_runs import save_blocks
from scripts.processes import free_port
from scripts.up import main
from tests.deployed_runs import GIVE_UP_AFTER_S, all_ended, start
from tests.expected_errors import OF_KILLED_SERVER, check_logs
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from prefect.client.schemas.objects import FlowRun

    from scripts.stack import Stack

SUSPENDING = {
    "suspend": True,
    "suspend_after_s": 0,
    "max_poll_interval_s": 2,
    "downstream": ["store-results/store-results"],
}
AIWARE = {"engine_id": "c0e55cde-340b-44d7-bb42-2e0d65e98255", "upload_url": "https://media.example.com/a"}
LABEL = {"project_id": "HvdyIL2iwZn", "labeler_email": "a@example.com"}


@pytest.mark.prefect
@pytest.mark.skipif(bool(scaled.missing()), reason=scaled.missing())
async def test_killed_server_and_watcher_lose_nothing() -> None:
    """Both are killed while runs are suspended: each job is submitted once, each run completes, no process remains."""
    with scaled.scaled_stack(emulator_options=("--queued-s", "1", "--running-s", "8")) as stack:
        async with client_of(stack) as client:
            await save_blocks(stack)
            runs = [
                await start(client, "run-aiware-job/aiware-tasks", AIWARE | SUSPENDING),
                await start(client, "run-datasaur-auto-label/datasaur-auto-label", LABEL | SUSPENDING),
            ]
            await were_suspended(client, runs)
            for name in ("api-1", "watcher-1"):
                stack.parts[name].kill()
            ended = await all_ended(client, runs)
            await downstream_completed_once(client, ended)
        assert [run.state.name for run in ended if run.state] == ["Completed"] * 2
        made = [entry["operation"] for entry in stack.ledger()["submissions"] if entry["job_id"]]
        assert sorted(made) == ["autoLabelTokenBasedProject", "launchSingleEngineJob"]
        check_logs(stack.errors(OF_KILLED_SERVER))
        assert stack.leaks() == []
        listening = ports_of(stack)
    assert not stack.folder.exists()
    assert processes_of(stack) == []
    assert [port for port in listening if is_open(port)] == []


async def were_suspended(client: PrefectClient, runs: list[FlowRun]) -> None:
    states: list[set[str | None]] = []
    for _ in range(GIVE_UP_AFTER_S):
        states = [{state.name for state in await client.read_flow_run_states(run.id)} for run in runs]
        if all("Suspended" in names for names in states):
            return
        await asyncio.sleep(1)
    pytest.fail(f"not all runs were suspended: {states}")


async def downstream_completed_once(client: PrefectClient, runs: list[FlowRun]) -> None:
    deployment = await client.read_deployment_by_name("store-results/store-results")
    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    followers = await all_ended(client, await client.read_flow_runs(deployment_filter=only))
    assert [run.state.name for run in followers if run.state] == ["Completed"] * len(runs)
    assert len({run.parameters["jobs"][0]["job_id"] for run in followers}) == len(runs)


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[PrefectClient]:
    with api_at(stack.environment["PREFECT_API_URL"]):
        async with get_client() as client:
            yield client


def processes_of(stack: Stack) -> list[psutil.Process]:
    """All processes that were started with the stack's environment, also by a process that has ended."""
    home = stack.environment["PREFECT_HOME"]
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PREFECT_HOME") == home:
                found.append(process)
    return found


def ports_of(stack: Stack) -> set[int]:
    connections = []
    for process in processes_of(stack):
        with suppress(psutil.NoSuchProcess):  # the process of a run that has just ended
            connections += process.net_connections()
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_missing_programs_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither PostgreSQL nor Redis: both of Debian's packages in one command."""
    monkeypatch.setattr(scaled, "_find", lambda program: None)
    assert "`apt-get install -y postgresql redis-server`" in scaled.missing()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers are restored when the test ends."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_interrupt_does_not_stop_the_end_of_the_stack(number: signal.Signals) -> None:
    """Ctrl-C while the stack starts, and again while it is ended."""
    ended = []

    @contextmanager
    def stack(**_: Any) -> Iterator[Any]:
        try:
            os.kill(os.getpid(), number)
            yield
        finally:
            os.kill(os.getpid(), number)
            ended.append(True)

    assert main(stack) == 0
    assert ended == [True]


async def echo_name(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(name + await reader.readline())
    writer.close()


async def test_balancer_deals_connections_in_turn_and_skips_a_dead_server() -> None:
    """Two servers and a port without a listener: both servers answer, and no connection fails."""
    async with AsyncExitStack() as closing:
        servers = [
            await closing.enter_async_context(await asyncio.start_server(partial(echo_name, name), "127.0.0.1", 0))
            for name in (b"one ", b"two ")
        ]
        port, targets = free_port(), [server.sockets[0].getsockname()[1] for server in servers]
        balancer = asyncio.create_task(balance(port, [targets[0], free_port(), targets[1]]))
        closing.callback(balancer.cancel)
        answers = [await ask(port) for _ in range(6)]
    assert set(answers) == {b"one hello\n", b"two hello\n"}


async def test_balancer_ends_a_connection_that_no_server_takes() -> None:
    """All servers are stopped: the client sees the end of the connection, and does not wait."""
    port = free_port()
    balancer = asyncio.create_task(balance(port, [free_port(), free_port()]))
    assert await ask(port) == b""
    balancer.cancel()


async def ask(port: int) -> bytes:
    while True:
        with suppress(ConnectionRefusedError):  # the balancer does not listen yet
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        await asyncio.sleep(0.01)
    writer.write(b"hello\n")
    answer = await reader.read()
    writer.close()
    return answer
