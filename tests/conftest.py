"""Fixtures of the blocks, tasks and flows tests: one Prefect server, and emulators whose clock the waits advance."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from scripts.stack import Stack, write_authority

# Prefect reads its settings and makes its home at import: neither may come from the developer's own Prefect profile.
PREFECT_HOME = Path(tempfile.mkdtemp(prefix="graphql-jobs-tests-"))
atexit.register(shutil.rmtree, PREFECT_HOME, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[_name]
_AUTHORITY = write_authority(PREFECT_HOME)
os.environ |= {
    "PREFECT_HOME": str(PREFECT_HOME),
    "PREFECT_API_SSL_CERT_FILE": _AUTHORITY,
    "SSL_CERT_FILE": _AUTHORITY,  # aiohttp loads it when it is imported
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
    # Each new client would ask the server for a token, which this server does not demand.
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # It writes at the same instants as the flows; SQLite answers 503, and Prefect's client waits 2 s each time, which
    # trebles the tests' time. The events hold the same data.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "NO_PROXY": "127.0.0.1,localhost",
}

from prefect.types import SecretDict  # noqa: E402 (as above)
from pydantic import BaseModel, SecretStr  # noqa: E402 (as above)
from pydantic_core import to_jsonable_python  # noqa: E402 (as above)

from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi  # noqa: E402 (as above)
from blocks.api import one_client  # noqa: E402 (as above)
from graphql_jobs.emulator import Emulator, ManualClock, Pace, SystemClock  # noqa: E402 (as above)
from scripts.logs import errors  # noqa: E402 (as above)
from tests import scheduling  # noqa: E402 (as above)
from tests.clocks import DrivenClock, use_clock  # noqa: E402 (as above)
from tests.expected_errors import OF_SERVER, OF_SHARED_STACK, check_logs  # noqa: E402 (as above)
from tests.migrated import make_folder, migrated_database  # noqa: E402 (as above)
from tests.prefect_api import output_to  # noqa: E402 (as above)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
    from uuid import UUID

    from prefect.blocks.core import Block
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

#: The key that Datasaur sends to the model; no test may see it in clear.
TARGET_SECRET = "tgt-5ecret-that-nobody-may-see"
#: The durations of a job in real time.
SHORT = Pace(queued_s=0.05, running_s=0.1)

make_folder()
# The documents of the saved blocks, by their names.
_documents: dict[str, UUID] = {}
# Every secret of the emulators of this process; the files of the Prefect server are searched for them at its end.
_secrets: set[str] = {TARGET_SECRET}


def pytest_configure(config: pytest.Config) -> None:
    """Prefect leaves the sockets of its synchronous clients to the garbage collector, which may run in any test.

    Sockets of asyncio, which this project opens, have another message ("unclosed transport").
    """
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket.socket:ResourceWarning")
    config.option.maxworkerrestart = "0"  # not in pyproject.toml, so that pytest also runs without xdist


pytest_collection_modifyitems = scheduling.pytest_collection_modifyitems
pytest_runtest_teardown = scheduling.pytest_runtest_teardown
pytest_xdist_make_scheduler = scheduling.pytest_xdist_make_scheduler


class Deploy(Protocol):
    """Creates a deployment without a worker and returns its name; the default schema is that of store_results."""

    def __call__(
        self, flow_name: str, schema: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Awaitable[str]: ...


class RunsOf(Protocol):
    """The flow runs of a deployment."""

    def __call__(self, deployment: str) -> Awaitable[list[FlowRun]]: ...


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[Path]:
    """A Prefect server on a free port; returns the file of its database. Takes 10 s: only for tests marked `prefect`.

    At the end of the session it fails if the server's log has an error that is not expected, or if the database or
    Prefect's home holds a secret of any test in clear.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
    from prefect.testing import utilities

    log, folder = PREFECT_HOME / "server.log", Path(tempfile.mkdtemp(prefix="graphql-jobs-server-"))
    with ExitStack() as resources, pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))  # the harness removes it when the process ends
        database = Path(shutil.copy(migrated_database(), folder / "prefect-test.db"))
        resources.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        with output_to(log):
            resources.enter_context(utilities.prefect_test_harness(server_startup_timeout=180))
        address = get_current_settings().server.database.connection_url
        assert address is not None
        assert address.get_secret_value() == f"sqlite+aiosqlite:///{database}"
        yield database
        check_logs(errors(log.read_text(errors="replace"), OF_SERVER))
        assert files_with_secrets(database) == []


def files_with_secrets(database: Path) -> list[str]:
    """The files beside the database and in Prefect's home that hold a secret of this process in clear."""
    files = [*database.parent.rglob("*"), *PREFECT_HOME.rglob("*")]
    contents = {file.name: file.read_bytes() for file in files if file.is_file()}
    return [name for name, content in contents.items() if any(secret.encode() in content for secret in _secrets)]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole installation with one process worker, like `make up`, on free ports. Takes half a minute.

    At the end of the session it fails if a log has an error that is not expected.
    """
    with Stack(emulator_options=("--queued-s", "0.5", "--running-s", "1"), database=migrated_database()) as stack:
        stack.deploy()
        stack.start_worker()
        yield stack
        check_logs(stack.errors(OF_SHARED_STACK))


@pytest.fixture
def secrets() -> set[str]:
    """Every secret of this session so far."""
    return _secrets


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Both services; only the delays of the blocks below advance the clock."""
    async with Emulator(clock=ManualClock(), seed=7) as running:
        yield running
    _note_secrets(running)


@pytest.fixture
async def live_emulator() -> AsyncIterator[Emulator]:
    """Both services in real time, for code in other threads, which use the system clock."""
    async with Emulator(clock=SystemClock(), seed=7, pace=SHORT) as running:
        yield running
    _note_secrets(running)


@pytest.fixture
async def aiware(emulator: Emulator) -> AiwareCredentials:
    """The emulator's aiWARE. Waiting in this event loop advances the emulator's clock."""
    block = aiware_credentials(emulator)
    use_clock(block.get_client().session, driven(emulator))
    return block


@pytest.fixture
async def datasaur(emulator: Emulator) -> DatasaurCredentials:
    """The emulator's Datasaur. Waiting in this event loop advances the emulator's clock."""
    block = datasaur_credentials(emulator)
    use_clock(block.get_client().session, driven(emulator))
    return block


@pytest.fixture
def target_api() -> DatasaurTargetApi:
    """A model of the caller, which is never called."""
    return DatasaurTargetApi(endpoint="https://model.example.invalid/predict", secret_key=SecretStr(TARGET_SECRET))


@pytest.fixture
async def saved(
    prefect_server: Path, aiware: AiwareCredentials, datasaur: DatasaurCredentials, target_api: DatasaurTargetApi
) -> None:
    """The blocks, saved under the default names of the flows."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        for name, block in {"aiware": aiware, "datasaur": datasaur, "datasaur-target-api": target_api}.items():
            await _save(client, name, block)


@pytest.fixture
async def one_prefect_client(prefect_server: Path) -> AsyncIterator[None]:
    """One client of Prefect's API for the whole test, for tests with many calls outside of a flow run.

    Without it each call opens a client, which takes as long as several requests. Not for tests of Prefect's outages,
    whose flow runs must open their own client.
    """
    async with one_client():
        yield


@pytest.fixture
def deploy(prefect_server: Path) -> Deploy:
    """Creates deployments."""
    from prefect.client.orchestration import get_client
    from prefect.utilities.callables import parameter_schema

    from flows.store_results import store_results

    async def make(
        flow_name: str, schema: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str:
        async with get_client() as client:
            await client.create_deployment(
                flow_id=await client.create_flow_from_name(flow_name),
                name=flow_name,
                parameter_openapi_schema=dict(schema or parameter_schema(store_results).model_dump_for_openapi()),
                parameters=dict(parameters or {}),
                enforce_parameter_schema=True,
            )
        return f"{flow_name}/{flow_name}"

    return make


@pytest.fixture
def runs_of(prefect_server: Path) -> RunsOf:
    """Reads flow runs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    async def read(deployment: str) -> list[FlowRun]:
        async with get_client() as client:
            found = await client.read_deployment_by_name(deployment)
            only = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
            return list(await client.read_flow_runs(deployment_filter=only))

    return read


async def _save(client: PrefectClient, name: str, block: Block) -> None:
    """Save a block. Prefect compares the schema with the server's at each save: here only at the first one."""
    from prefect.client.schemas.actions import BlockDocumentUpdate

    if name not in _documents:
        _documents[name] = await block.asave(name, overwrite=True)
        return
    # `model_dump` of a block computes its JSON schema for each field, which takes 100 ms.
    data = {name: _in_clear(value) for name, value in block}
    await client.update_block_document(_documents[name], BlockDocumentUpdate(data=data))


def _in_clear(value: object) -> object:
    if isinstance(value, SecretStr | SecretDict):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {name: _in_clear(field) for name, field in value}
    return to_jsonable_python(value)


def files_in(folder: Path) -> dict[str, int]:
    """The files of a folder: their paths with their sizes in bytes."""
    return {str(file): file.stat().st_size for file in folder.iterdir()}


def driven(emulator: Emulator) -> DrivenClock:
    """A clock for a session, whose delays advance the emulator's clock."""
    assert isinstance(emulator.clock, ManualClock)
    return DrivenClock(emulator.clock)


def aiware_credentials(emulator: Emulator) -> AiwareCredentials:
    """The right credentials for the emulator's aiWARE."""
    return AiwareCredentials(base_url=emulator.url, token=SecretStr(emulator.accounts.aiware_token))


def datasaur_credentials(emulator: Emulator) -> DatasaurCredentials:
    """The right credentials for the emulator's Datasaur."""
    return DatasaurCredentials(
        base_url=emulator.url,
        client_id=emulator.accounts.datasaur_client_id,
        client_secret=SecretStr(emulator.accounts.datasaur_client_secret),
    )


def _note_secrets(emulator: Emulator) -> None:
    accounts = emulator.accounts
    tokens = accounts._datasaur_tokens
    signatures = [file.signature for file in emulator.datasaur.files.values()]
    _secrets.update([accounts.aiware_token, accounts.datasaur_client_secret, *tokens, *signatures])
