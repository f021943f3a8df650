"""The emulator: both services, their files and the control plane on one loopback address."""

from types import TracebackType

from aiohttp import web

from graphql_jobs.emulator.accounts import Accounts
from graphql_jobs.emulator.aiware import samples as aiware_samples
from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.behaviour import Behaviour, Pace
from graphql_jobs.emulator.clock import Clock, SystemClock
from graphql_jobs.emulator.control import ControlPlane
from graphql_jobs.emulator.datasaur import samples as datasaur_samples
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.faults import FaultPlan
from graphql_jobs.emulator.ids import IdFactory
from graphql_jobs.emulator.interceptor import Interceptor
from graphql_jobs.emulator.ledger import Ledger
from graphql_jobs.emulator.load.workload import Workload
from graphql_jobs.emulator.routes import Routes

# Loopback only: the control plane has no password.
_HOST = "127.0.0.1"
# aiWARE's documented upload cap (docs/providers/aiware.md#endpoint); nothing larger is read.
_UPLOAD_LIMIT_BYTES = 104_857_600
# Our choice: requests that a delay fault still holds are not waited for at the end.
_SHUTDOWN_TIMEOUT_S = 0.1


class Emulator:
    """Both services, which listen during the `async with` block.

    `clock`: SystemClock unless given. `seed`: decides ids, order of tasks and faults with a probability. `port` 0: any
    free one. aiWARE is at `{url}/v3/graphql`; Datasaur at `{url}/graphql`, `{url}/api/oauth/token` and
    `{url}/api/static/proxy/upload`. `takes_shortcuts`: Datasaur's status checks
    are answered without being executed, for load.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 1,
        port: int = 0,
        pace: Pace | None = None,
        token_lifetime_s: float = 3600.0,
        behaviour: Behaviour | None = None,
        takes_shortcuts: bool = False,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.accounts = Accounts(self.clock, token_lifetime_s)
        self.ledger = Ledger()
        self.faults = FaultPlan(seed, self.clock)
        self._port = port
        self._url: str | None = None
        self._runner: web.AppRunner | None = None
        self._behaviour, pace = behaviour or Behaviour(), pace or Pace()
        # A stream of ids for each world: requests to one service cannot change the other's ids.
        self._ids = IdFactory(f"aiware:{seed}")
        self.aiware = AiwareWorld(
            self.clock, self._ids, self.faults, self.ledger, pace=pace, behaviour=self._behaviour, seed=seed
        )
        datasaur_ids = IdFactory(f"datasaur:{seed}")
        self.datasaur = DatasaurWorld(
            self.clock, datasaur_ids, self.faults, self.ledger, pace=pace, behaviour=self._behaviour
        )
        self._workload = Workload(self.clock, self.faults, self.ledger, self.datasaur)
        self._takes_shortcuts = takes_shortcuts
        aiware_samples.plant_samples(self.aiware)
        datasaur_samples.plant_samples(self.datasaur)

    @property
    def url(self) -> str:
        """The address `http://127.0.0.1:PORT`. Raises RuntimeError outside of `async with`."""
        if self._url is None:
            raise RuntimeError("the emulator is not running: enter it with `async with`")
        return self._url

    async def __aenter__(self) -> "Emulator":
        # No access log and no signal handlers: the embedding process has its own.
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, _HOST, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._url = f"http://{_HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner, self._url = self._runner, None, None
        if runner is not None:
            await runner.cleanup()

    def _app(self) -> web.Application:
        routes = Routes(
            self.aiware,
            self.datasaur,
            accounts=self.accounts,
            clock=self.clock,
            ids=self._ids,
            interceptor=Interceptor(self.clock, self.faults, self.ledger, self._workload),
            ledger=self.ledger,
            behaviour=self._behaviour,
            base_url=lambda: self.url,
            takes_shortcuts=self._takes_shortcuts,
        )
        app = web.Application(client_max_size=_UPLOAD_LIMIT_BYTES)
        app.add_routes(ControlPlane(self.clock, self.faults, self.ledger, self._workload).routes())
        app.add_routes(routes.table())
        return app
