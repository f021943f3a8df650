"""One endpoint and one credential: every request of this package goes through here, and is retried nowhere else.

A session is shared by all that runs in one event loop (`sharing.shared_session`), opened by the first `async with` and
closed by the last. It sends reads again after passing failures, creates only when nothing can have happened (guarantee
2), pauses as a whole when the server says so (guarantee 6), sends no more in a second than it may, and keeps secrets
out of every message (guarantee 7).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from graphql_jobs import errors
from graphql_jobs.clock import Clock, SteadyClock, SystemClock, instant
from graphql_jobs.transport.creates import note_create
from graphql_jobs.transport.diagnosis import Diagnosis, Dialect, Kind, diagnose, diagnose_http, retry_after_s
from graphql_jobs.transport.http import Exchange, new_transport
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.rate_limit import RateLimit, RateWindow
from graphql_jobs.transport.redaction import KeptSecrets
from graphql_jobs.transport.responses import Response, read_response
from graphql_jobs.transport.retry import is_transient, retried, surely_undone
from graphql_jobs.transport.server_delay import ServerDelay, paused
from graphql_jobs.transport.sign_in import SignIn

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import aiohttp
    from gql.transport.aiohttp import AIOHTTPTransport
    from graphql import ExecutionResult
    from yarl import URL

    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.operation import Operation

logger = logging.getLogger(__name__)

T = TypeVar("T")

Before = Callable[[], Awaitable[None]]  # called each time that a request is about to be sent


class Session:
    """Sends operations to one GraphQL endpoint with one credential. Use within `async with`."""

    def __init__(
        self, url: str, auth: Auth, dialect: Dialect, limits: Limits = Limits(), clock: Clock | None = None
    ) -> None:
        self.url = url
        self.auth = auth
        self.dialect = dialect
        self.limits = limits
        self.clock: Clock = SteadyClock(clock or SystemClock())
        #: For what may be sent again, and for what must happen at most once.
        self._transport: AIOHTTPTransport | None = None
        self._fresh: AIOHTTPTransport | None = None
        self._users = 0
        self.server_delay = ServerDelay(self.clock)
        self.rate_limit = RateLimit(self.clock, RateWindow(limits.requests_per_s))
        #: How many requests were answered so far: whoever waited in vain can tell an outage from a failure of its own.
        self.answers = 0
        #: "requests" that were sent to the endpoint, whatever they asked; those that told us to pause, "rate_limited".
        self.sent, self._told = Counter[str](), Counter[str]()
        #: The last exchange, and when it was over.
        self.last_heard: tuple[Exchange, float] | None = None
        self.kept_secrets = KeptSecrets(lambda: auth.secrets)
        #: What other layers keep for as long as the session lives, under keys of their own.
        self.attached: dict[object, Any] = {}
        self._sign_in = SignIn(self)

    async def __aenter__(self) -> Self:
        if self._transport is None:
            self._transport = new_transport(self.url, self.limits)
            self._fresh = new_transport(self.url, self.limits, reuses=False)
            self._sign_in = SignIn(self)
            for transport in (self._transport, self._fresh):
                await transport.connect()  # only builds the client; no await before `_users` counts us
        self._users += 1
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._users -= 1
        if self._users == 0:
            transports, self._transport, self._fresh = (self._transport, self._fresh), None, None
            for transport in filter(None, transports):
                await transport.close()

    async def read(
        self, operation: Operation, variables: Mapping[str, object], subject: str = "", before: Before | None = None
    ) -> Response:
        """Ask about `subject`, again after failures that pass. Raises `RequestFailed`, or what `before` does."""
        return await self.retried_read(lambda: self._attempt(operation, variables, subject, before))

    async def create(self, operation: Operation, variables: Mapping[str, object], subject: str = "") -> Any:
        """Send something that must happen at most once; gives the value of its root field.

        Sent again only after failures that prove that nothing was done. Raises `RequestFailed` if surely nothing
        happened, `SubmissionUnknown` if nobody can tell.
        """
        sent_at: list[float] = []

        async def note_instant() -> None:
            sent_at.append(self.clock.now())
            note_create(sent_at[-1])

        async def attempt() -> Response:
            self._require_turn(operation.field, subject)
            return await self._attempt(operation, variables, subject, note_instant)

        try:
            reply = await self._retried(attempt, surely_undone)
        except asyncio.CancelledError:
            if sent_at:
                words = "Cancelled while %s (%s), sent at %s, was under way: the job may exist."
                logger.warning(words, operation.name, subject, instant(sent_at[-1]).isoformat(timespec="seconds"))
            raise
        except errors.RequestFailed as error:
            if error.unexecuted:
                raise
            raise self.unknown(operation.field, subject, str(error), sent_at[-1]) from error
        return self._created(operation, subject, reply, sent_at[-1])

    def _created(self, operation: Operation, subject: str, reply: Response, sent_at: float) -> Any:
        """The value of the root field. An error below the root proves that the create ran, whatever it says."""
        value = reply.data.get(operation.alias)
        if value is None:
            failure = reply.error_at(operation.alias)
            if failure and failure.unexecuted and not any(len(path) > 1 for path in reply.field_errors):
                raise failure
            raise self.unknown(operation.field, subject, str(failure or "the answer holds no result."), sent_at)
        for path, partial in reply.field_errors.items():
            logger.warning("%s was done, but a part of the answer is missing at %s: %s", operation.name, path, partial)
        return value

    def untold(self, name: str) -> int:
        """By how much a number of `sent` has grown since this was called before."""
        grown = self.sent[name] - self._told[name]
        self._told[name] += grown
        return grown

    def redact(self, text: str) -> str:
        """`text` cut to a bounded length, on one line, without any secret that this session knows."""
        return self.kept_secrets.redact(text)

    async def fetch(
        self,
        method: str,
        url: str | URL,
        consume: Callable[[aiohttp.ClientResponse], Awaitable[T]],
        operation: str,
        subject: str,
        kinds: Mapping[int, Kind],
        *,
        to_endpoint: bool = False,
        also: Container[int] = (),
        **request: Any,
    ) -> T:
        """A plain HTTP request, once, with the bounds and errors of a read, and without an Authorization header.

        `to_endpoint` says that it goes to the endpoint's own servers, whose pauses hold for it.
        `consume` reads a response with status 2xx or `also`; `kinds` names what others mean. Raises `RequestFailed`.
        """
        await (self._await_turn(operation, subject) if to_endpoint else self.rate_limit.take())
        exchange = Exchange()
        try:
            async with self._http().request(
                method, url, allow_redirects=False, trace_request_ctx=exchange, **request
            ) as response:
                if 200 <= response.status < 300 or response.status in also:
                    return await consume(response)
                if to_endpoint:
                    await response.read()  # what it says may be that this is a rate limit
            diagnosis = diagnose_http(self.dialect, exchange, None)
        except Exception as error:  # what is not the network's doing is raised again
            diagnosis = diagnose_http(self.dialect, exchange, error)
        assert diagnosis is not None  # noqa: S101 (neither a good status nor an exception: not possible)
        if to_endpoint:
            self._keep_delay(exchange)
        if diagnosis.kind is not errors.RateLimited:
            diagnosis = replace(diagnosis, kind=kinds.get(exchange.status or 0, diagnosis.kind))
        raise self._error(operation, subject, diagnosis)

    def bad_answer(self, operation: str, subject: str, detail: str) -> errors.RequestFailed:
        """The error for an answer that is not what the provider promises."""
        return self._error(operation, subject, Diagnosis(errors.BadReply, detail))

    def unknown(
        self, operation: str, subject: str, cause: str, sent_at: float | None = None
    ) -> errors.SubmissionUnknown:
        """The error for a create that was sent, now or at `sent_at`, and may or may not have happened."""
        at = instant(self.clock.now() if sent_at is None else sent_at).isoformat(timespec="seconds")
        return errors.SubmissionUnknown(self.dialect.provider, operation, subject, at, cause)

    async def _attempt(
        self, operation: Operation, variables: Mapping[str, object], subject: str, before: Before | None
    ) -> Response:
        """Send it, and once more if a new token may help; `before` is called each time right before it is sent."""
        await self._await_delay(operation.field, subject)  # before a sign-in that would be for nothing
        token = await self._sign_in.token()
        try:
            return await self._send_in_turn(operation, variables, subject, token, before)
        except errors.SignInFailed as failure:
            # Refused before any work (guarantee 2), so that this is safe for creates too.
            if not self.auth.reject(token) or not failure.unexecuted:
                raise
        return await self._send_in_turn(operation, variables, subject, await self._sign_in.token(), before)

    async def _send_in_turn(
        self, operation: Operation, variables: Mapping[str, object], subject: str, token: str, before: Before | None
    ) -> Response:
        await self._await_turn(operation.field, subject)  # no time-out of the request runs yet
        if before:
            await before()
        return await self._send(operation, variables, subject, token)

    async def _send(self, operation: Operation, variables: Mapping[str, object], subject: str, token: str) -> Response:
        exchange = Exchange()
        result: ExecutionResult | None = None
        raised: Exception | None = None
        self.sent["requests"] += 1
        try:
            result = await self._opened(self._fresh if operation.is_mutation else self._transport).execute(
                operation.bind(variables),
                extra_args={
                    "headers": {"Authorization": f"Bearer {token}"},
                    "allow_redirects": False,
                    "trace_request_ctx": exchange,
                },
            )
        except Exception as error:  # gql wraps everything, bugs too: diagnose() raises those again
            raised = error
        self.last_heard = exchange, self.clock.now()
        self._keep_delay(exchange)
        if diagnosis := diagnose(self.dialect, exchange, raised, result):
            self.sent["rate_limited"] += diagnosis.kind is errors.RateLimited
            if exchange.status == 401:
                self.auth.reject(token)  # also where it is a delay: the next request signs in anew
            # Without gql's own error, whose text is the server's, secrets and all: Prefect logs and keeps tracebacks.
            raise self._error(operation.field, subject, diagnosis) from None
        self.answers += 1
        return read_response(self.dialect, result, lambda diagnosis: self._error(operation.field, subject, diagnosis))

    def _keep_delay(self, exchange: Exchange) -> None:
        """Keep the delay that the server asks for, whatever its answer is otherwise (guarantee 6)."""
        if asked_s := retry_after_s(exchange):
            self.server_delay.extend(asked_s)

    def _error(self, operation: str, subject: str, diagnosis: Diagnosis) -> errors.RequestFailed:
        detail = self.redact(diagnosis.detail)
        error = diagnosis.kind(self.dialect.provider, operation, subject, detail, diagnosis.retry_after_s)
        error.transient |= diagnosis.retry_after_s is not None  # then the server expects us back
        if diagnosis.begun:
            error.unexecuted = False
        return error

    def _require_turn(self, operation: str, subject: str) -> None:
        """Refuse a create whose turn would come too late for its submission: in the queue its fate would be unknown."""
        wait_s = self.rate_limit.wait_s()
        at_most_s = self.limits.submission_s / 2  # our choice: half, the rest for the rest
        if wait_s > at_most_s:
            detail = f"requests_per_s={self.rate_limit.window.requests_per_s:g} is spent for the next {wait_s:.0f} s."
            raise errors.RateLimited(self.dialect.provider, operation, subject, detail, wait_s)

    async def _await_turn(self, operation: str, subject: str) -> None:
        """Pass the gate with a request of the budget in hand; the gate may close while that is waited for."""
        await self._await_delay(operation, subject)
        while not await self.rate_limit.take(self.server_delay.is_active):
            await self._await_delay(operation, subject)

    async def _await_delay(self, operation: str, subject: str) -> None:
        """Wait until the server wants to hear from us again; `RateLimited` at once if that is too long to wait here."""
        if pause_s := await self.server_delay.wait(self.limits.budget_s):
            raise paused(self.dialect.provider, operation, subject, pause_s)

    def _http(self) -> aiohttp.ClientSession:
        http = self._opened(self._transport).session
        assert http is not None  # noqa: S101 (an opened transport has one; gql types it as optional)
        return http

    @staticmethod
    def _opened(transport: AIOHTTPTransport | None) -> AIOHTTPTransport:
        if transport is None:
            raise RuntimeError("use the session within `async with`")
        return transport

    async def retried_read(self, call: Callable[[], Awaitable[T]]) -> T:
        """`call` something that may be sent again, and call it again after failures that pass."""
        return await self._retried(call, is_transient)

    async def _retried(self, call: Callable[[], Awaitable[T]], predicate: Callable[[BaseException], bool]) -> T:
        return await retried(call, predicate, self.limits.attempts, self.limits.budget_s, self.clock)
