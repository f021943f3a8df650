"""The routes of all paths."""

from collections.abc import Callable
from functools import partial

from aiohttp import web

from graphql_jobs.emulator.accounts import Accounts, bearer_token
from graphql_jobs.emulator.aiware.errors import AiwareDialect
from graphql_jobs.emulator.aiware.schema import aiware_executor
from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.answers import Answer
from graphql_jobs.emulator.behaviour import Behaviour
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.datasaur import files, rest
from graphql_jobs.emulator.datasaur.errors import DatasaurDialect
from graphql_jobs.emulator.datasaur.schema import datasaur_executor
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.execution import Outline
from graphql_jobs.emulator.ids import IdFactory
from graphql_jobs.emulator.interceptor import Exchange, Interceptor
from graphql_jobs.emulator.ledger import Ledger, RequestRecord
from graphql_jobs.emulator.load.fast_path import FastPath
from graphql_jobs.emulator.ratelimit import RateWindow
from graphql_jobs.emulator.service import GraphqlService


class Routes:
    """The handlers of both services."""

    def __init__(
        self,
        aiware: AiwareWorld,
        datasaur: DatasaurWorld,
        *,
        accounts: Accounts,
        clock: Clock,
        ids: IdFactory,
        interceptor: Interceptor,
        ledger: Ledger,
        behaviour: Behaviour,
        base_url: Callable[[], str],
        takes_shortcuts: bool,
    ) -> None:
        self._world, self._accounts, self._clock, self._ledger = datasaur, accounts, clock, ledger
        self._interceptor = interceptor
        self._dialect = DatasaurDialect(behaviour.auth_failure_http_status)
        self._token_dialect = rest.TokenDialect(behaviour.auth_failure_http_status)
        service = partial(
            GraphqlService,
            accounts=accounts,
            clock=clock,
            interceptor=interceptor,
            base_url=base_url,
            body_limit_bytes=behaviour.body_limit_bytes,
        )
        self._aiware = service(
            provider="aiware",
            executor=aiware_executor(),
            dialect=AiwareDialect(clock, ids, behaviour.auth_failure_http_status),
            world=aiware,
            knows_token=accounts.knows_aiware_token,
            rate=RateWindow(clock, behaviour.requests_per_window),
            open_fields=frozenset({"userLogin"}),
        )
        self._datasaur = service(
            provider="datasaur",
            executor=datasaur_executor(),
            dialect=self._dialect,
            world=datasaur,
            knows_token=accounts.knows_datasaur_token,
            rate=RateWindow(clock, behaviour.requests_per_window),
            takes_operations=True,
            fast_path=FastPath(datasaur) if takes_shortcuts else None,
        )

    def table(self) -> list[web.RouteDef]:
        """Return the routes for the application; the last one matches all other paths."""
        return [
            web.post("/v3/graphql", self._aiware.handle),
            web.post("/graphql", self._datasaur.handle),
            web.get("/api/health", self._health),
            web.post("/api/oauth/token", self._token),
            web.post("/api/static/proxy/upload", self._upload),
            web.get("/_files/{file_id}/{file_name}", self._download),
            web.route("*", "/{path:.*}", self._elsewhere),
        ]

    async def _health(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            return rest.health()

        return await self._interceptor.serve(request, self._exchange("health", self._dialect), work)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            return await rest.issue_token(request, self._accounts, self._world)

        return await self._interceptor.serve(request, self._exchange("token", self._token_dialect), work)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            if not self._accounts.knows_datasaur_token(bearer_token(request.headers.get("Authorization"))):
                return self._dialect.failure("authentication_error", Outline())
            return await rest.upload(request, self._world)

        return await self._interceptor.serve(request, self._exchange("upload", self._dialect), work)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            return files.download(self._world, request.match_info["file_id"], request.query, request.headers)

        return await self._interceptor.serve(request, self._exchange("download", self._dialect), work)

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Answer 404 and record it, so that a test can see that no redirect was followed."""
        has_authorization = "Authorization" in request.headers
        record = RequestRecord(self._clock.now(), "none", (request.path,), None, 404, (), 0, 0, None, has_authorization)
        self._ledger.requests.append(record)
        return web.Response(status=404, text="Not found")

    def _exchange(self, operation: str, dialect: DatasaurDialect) -> Exchange:
        return Exchange("datasaur", dialect, Outline(fields=(operation,), batch_size=1))
