"""One GraphQL endpoint, which turns a request into an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from graphql_jobs.emulator.accounts import Accounts, bearer_token
from graphql_jobs.emulator.answers import Answer, json_answer
from graphql_jobs.emulator.bodies import GraphqlRequest, MalformedRequest, read_graphql
from graphql_jobs.emulator.call import Call, Dialect
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.execution import Document, Executor, Outline, outline
from graphql_jobs.emulator.interceptor import Exchange, Interceptor
from graphql_jobs.emulator.ledger import Provider
from graphql_jobs.emulator.load.fast_path import FastPath
from graphql_jobs.emulator.ratelimit import WINDOW_S, RateWindow


@dataclass(frozen=True)
class GraphqlService:
    """The parts of one provider's endpoint."""

    provider: Provider
    executor: Executor
    dialect: Dialect
    world: Any
    accounts: Accounts
    clock: Clock
    interceptor: Interceptor
    knows_token: Callable[[str], bool]
    base_url: Callable[[], str]
    body_limit_bytes: int
    rate: RateWindow
    # Root fields that need no token.
    open_fields: frozenset[str] = frozenset()
    takes_operations: bool = False
    # For load: known checks are answered without being executed.
    fast_path: FastPath | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle a request of aiohttp."""
        exchange = Exchange(self.provider, self.dialect)
        try:
            asked = await read_graphql(request, takes_operations=self.takes_operations)
        except MalformedRequest as error:
            return await self._refuse(request, exchange, self._malformed(str(error)))
        except web.HTTPRequestEntityTooLarge:
            return await self._refuse(request, exchange, self._too_large(request))
        exchange.variables = asked.variables
        document = self.executor.read(asked.query)
        exchange.outline = outline(document, asked)

        async def work() -> Answer:
            return await self._work(request, exchange, asked, document)

        return await self.interceptor.serve(request, exchange, work)

    async def _refuse(self, request: web.Request, exchange: Exchange, answer: Answer) -> web.StreamResponse:
        async def work() -> Answer:
            return answer

        return await self.interceptor.serve(request, exchange, work)

    async def _work(
        self, request: web.Request, exchange: Exchange, asked: GraphqlRequest, document: Document
    ) -> Answer:
        if request.content.total_bytes > self.body_limit_bytes:
            return self._too_large(request)
        if self.rate.is_exceeded():
            return self._rate_limited()
        if not self._may_ask(request, exchange.outline):
            return self.dialect.failure("authentication_error", exchange.outline)
        now_at = self.clock.now()
        if self.fast_path is not None and (fast := self.fast_path.reply(asked, document, now_at)):
            exchange.job_ids = fast.job_ids
            return json_answer(self.dialect.finish({"data": fast.data}))
        call = Call(self.world, self.accounts, asked, now_at, self.base_url())
        reply = await self.executor.execute(asked, document, call, self.dialect.format_error)
        exchange.job_ids = tuple(call.job_ids)
        call.place_unknown_words(reply.get("data"))
        return json_answer(self.dialect.finish(reply), 200 if _reached_resolvers(reply) else 400)

    def _may_ask(self, request: web.Request, asked: Outline) -> bool:
        if asked.fields and self.open_fields.issuperset(asked.fields):
            return True
        return self.knows_token(bearer_token(request.headers.get("Authorization")))

    def _malformed(self, reason: str) -> Answer:
        """Return a 400 with `errors`. Invented: neither vendor shows this body."""
        return json_answer({"errors": [self.dialect.entry("invalid_input", reason)]}, 400)

    def _rate_limited(self) -> Answer:
        """Return a 429 with an invented body and a Retry-After of one whole window."""
        errors = [self.dialect.entry("rate_limited", "Too many requests")]
        return json_answer({"errors": errors}, 429, {"Retry-After": f"{WINDOW_S:.0f}"})

    def _too_large(self, request: web.Request) -> Answer:
        return self.dialect.too_large(request.content.total_bytes, self.body_limit_bytes)


def _reached_resolvers(reply: dict[str, Any]) -> bool:
    """Whether the document ran: syntax, validation and variable errors have no path and leave no data."""
    return bool(reply.get("data")) or any("path" in error for error in reply.get("errors", ()))
