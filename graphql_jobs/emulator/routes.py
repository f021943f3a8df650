"""The routes of all paths."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from graphql_jobs.emulator.accounts import Accounts, bearer_token
from graphql_jobs.emulator.aiware import media
from graphql_jobs.emulator.aiware.errors import AiwareDialect
from graphql_jobs.emulator.aiware.schema import aiware_executor
from graphql_jobs.emulator.aiware.world import AiwareWorld
from graphql_jobs.emulator.answers import Answer
from graphql_jobs.emulator.behaviour import Behaviour
from graphql_jobs.emulator.call import Dialect
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

RestWork = Callable[[web.Request], Awaitable[Answer]]


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
        self._accounts, self._clock, self._ledger = accounts, clock, ledger
        self._interceptor = interceptor
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
            dialect=DatasaurDialect(behaviour.auth_failure_http_status),
            world=datasaur,
            knows_token=accounts.knows_datasaur_token,
            rate=RateWindow(clock, behaviour.requests_per_window),
            takes_operations=True,
            fast_path=FastPath(datasaur) if takes_shortcuts else None,
        )

    def table(self) -> list[web.RouteDef]:
        """Return the routes for the application; the last one matches all other paths."""
        aiware, datasaur = self._aiware, self._datasaur
        return [
            web.post("/v3/graphql", aiware.handle),
            web.put("/_media/{key:.+}", self._rest("upload", partial(media.put, aiware.world), aiware)),
            web.get("/_media/{key:.+}", self._rest("download", partial(media.get, aiware.world), aiware)),
            web.get("/_results/{result_id}", self._rest("download", partial(media.result, aiware.world), aiware)),
            web.post("/graphql", datasaur.handle),
            web.get("/api/health", self._rest("health", rest.health, datasaur)),
            web.post("/api/oauth/token", self._rest("token", self._token, datasaur, self._token_dialect)),
            web.post("/api/static/proxy/upload", self._rest("upload", self._upload, datasaur)),
            web.get("/_files/{file_id}/{file_name}", self._rest("download", self._download, datasaur)),
            web.route("*", "/{path:.*}", self._elsewhere),
        ]

    def _rest(
        self, operation: str, work: RestWork, service: GraphqlService, dialect: Dialect | None = None
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler of a request that is not GraphQL, with faults and records under the name `operation`."""

        async def handle(request: web.Request) -> web.StreamResponse:
            outline = Outline(fields=(operation,), batch_size=1)
            exchange = Exchange(service.provider, dialect or service.dialect, outline)
            return await self._interceptor.serve(request, exchange, partial(work, request))

        return handle

    async def _token(self, request: web.Request) -> Answer:
        return await rest.issue_token(request, self._accounts, self._datasaur.world)

    async def _upload(self, request: web.Request) -> Answer:
        if not self._accounts.knows_datasaur_token(bearer_token(request.headers.get("Authorization"))):
            return self._datasaur.dialect.failure("authentication_error", Outline())
        return await rest.upload(request, self._datasaur.world)

    async def _download(self, request: web.Request) -> Answer:
        return files.download(self._datasaur.world, request.match_info["file_id"], request.query, request.headers)

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Answer 404 and record it, so that a test can see that no redirect was followed."""
        has_authorization = "Authorization" in request.headers
        record = RequestRecord(self._clock.now(), "none", (request.path,), None, 404, (), 0, 0, None, has_authorization)
        self._ledger.requests.append(record)
        return web.Response(status=404, text="Not found")
