"""Send all requests of this package to one endpoint with one credential, with retries where that is safe.

No other module retries requests. Reads are sent again after transient failures, creates only if the
first one was certainly not executed (guarantee 2). No error message contains a secret (guarantee 7).

What happens on a 429 (guarantee 6):

1. `diagnose` (diagnosis.py) makes it a `RateLimited`; `retry_after_s` reads `Retry-After`.
2. The session's `ServerDelay` (rate_limit.py) is extended by that, or by `DEFAULT_DELAY_S` without it: until the delay
   ends, no request of the session is sent.
3. `retried` sends the request again when the delay is over. A delay that is longer than `Limits.budget_s` ends the
   request with `RateLimited` at once; a wait then polls again after the delay.
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
from graphql_jobs.telemetry import Telemetry
from graphql_jobs.transport.creates import note_create
from graphql_jobs.transport.diagnosis import (
    Diagnosis,
    Dialect,
    Kind,
    diagnose,
    diagnose_http,
    retry_after_s,
    with_errors_in_data,
)
from graphql_jobs.transport.http import Connections, Exchange
from graphql_jobs.transport.limits import Limits
from graphql_jobs.transport.network import Network
from graphql_jobs.transport.rate_limit import DEFAULT_DELAY_S, RateLimit, RateWindow, ServerDelay, delayed
from graphql_jobs.transport.redaction import KeptSecrets
from graphql_jobs.transport.responses import Response, read_response
from graphql_jobs.transport.retry import is_transient, retried, surely_undone
from graphql_jobs.transport.sign_in import SignIn

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import aiohttp
    from graphql import ExecutionResult
    from yarl import URL

    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.operation import Operation

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: It is called right before each request is sent. An exception ends the request.
Before = Callable[[], Awaitable[None]]


class Session:
    """Send operations to one GraphQL endpoint with one credential. Use it in `async with`."""

    def __init__(
        self,
        url: str,
        auth: Auth,
        dialect: Dialect,
        limits: Limits = Limits(),
        clock: Clock | None = None,
        network: Network = Network(),
    ) -> None:
        self.url = url
        self.auth = auth
        self.dialect = dialect
        self.limits = limits
        self.clock: Clock = SteadyClock(clock or SystemClock())
        self._connections = Connections(url, limits, network)
        self.server_delay = ServerDelay(self.clock)
        self.rate_limit = RateLimit(self.clock, RateWindow(limits.requests_per_s))
        #: Where address and credentials come from, such as "the block 'aiware'", for messages.
        self.source = ""
        #: The number of answered requests. It shows callers whether a failure is an outage.
        self.answers = 0
        #: "requests": how many were sent to the endpoint; "rate_limited": how many of them were refused as too many.
        self.sent = Counter[str]()
        self.telemetry = Telemetry(dialect.provider, url)
        #: The last exchange, and when it ended.
        self.last_heard: tuple[Exchange, float] | None = None
        self.kept_secrets = KeptSecrets(lambda: (*auth.secrets, *self._connections.secrets))
        #: Objects of other layers that live as long as the session, under their own keys.
        self.attached: dict[object, Any] = {}
        self._sign_in = SignIn(self)

    async def __aenter__(self) -> Self:
        await self._connections.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if await self._connections.close():
            self._sign_in = SignIn(self)
            self.rate_limit.forget_loop()

    async def read(
        self, operation: Operation, variables: Mapping[str, object], subject: str = "", before: Before | None = None
    ) -> Response:
        """Send a query about `subject`, with retries after transient failures.

        Raises `RequestFailed`, or what `before` raises.
        """
        return await self.retried(lambda: self._attempt(operation, variables, subject, before))

    async def create(self, operation: Operation, variables: Mapping[str, object], subject: str = "") -> Any:
        """Send a mutation that must happen at most once, and return the value of its root field.

        It is sent again only after failures that prove that nothing was executed. Raises `RequestFailed` if nothing
        happened, `SubmissionUnknown` if that is not known.
        """
        sent_at: list[float] = []

        async def note_instant() -> None:
            sent_at.append(self.clock.now())
            note_create(sent_at[-1])

        async def attempt() -> Response:
            self._require_turn(operation.field, subject)
            return await self._attempt(operation, variables, subject, note_instant)

        try:
            reply = await self.retried(attempt, surely_undone)
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
        """Return the value of the root field. An error below it proves that the create was executed."""
        value = reply.data.get(operation.alias)
        if value is None:
            failure = reply.error_at(operation.alias)
            if failure and failure.unexecuted and not any(len(path) > 1 for path in reply.field_errors):
                raise failure
            raise self.unknown(operation.field, subject, str(failure or "the answer has no result."), sent_at)
        for path, partial in reply.field_errors.items():
            logger.warning("%s was done, but a part of the answer is missing at %s: %s", operation.name, path, partial)
        return value

    def _count(self, name: str) -> None:
        self.sent[name] += 1
        self.telemetry.add(**{name: 1})

    def redact(self, text: str) -> str:
        """Return `text` on one line, cut to a limited length, without the session's secrets."""
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
        """Send a plain HTTP request once, with the limits of a read and without an Authorization header.

        `consume` reads a response with status 2xx or one of `also`; `kinds` maps other statuses to errors. The server's
        delay applies to it only if it goes `to_endpoint`. Raises `RequestFailed`.
        """
        await (self._await_turn(operation, subject) if to_endpoint else self.rate_limit.take())
        exchange = Exchange()
        request |= self._connections.plain_options(url, request.get("headers") or {}, exchange)
        try:
            async with self._connections.http().request(method, url, **request) as response:
                if 200 <= response.status < 300 or response.status in also:
                    return await consume(response)
                if to_endpoint:
                    await response.read()  # the body may say that this is a rate limit
            diagnosis = diagnose_http(self.dialect, exchange, None)
        except Exception as error:  # `diagnose_http` raises a bug of ours again
            diagnosis = diagnose_http(self.dialect, exchange, error)
        assert diagnosis is not None  # noqa: S101 (neither a good status nor an exception: not possible)
        if to_endpoint:
            self._keep_delay(exchange)
        if diagnosis.kind is not errors.RateLimited:
            diagnosis = replace(diagnosis, kind=kinds.get(exchange.status or 0, diagnosis.kind))
        raise self._error(operation, subject, diagnosis)

    def bad_answer(
        self, operation: str, subject: str, detail: str, kind: Kind = errors.BadReply
    ) -> errors.RequestFailed:
        """Return the error for an answer that differs from the provider's documentation, of the class `kind`."""
        return self._error(operation, subject, Diagnosis(kind, detail))

    def unknown(
        self, operation: str, subject: str, cause: str, sent_at: float | None = None
    ) -> errors.SubmissionUnknown:
        """Return the error for a create that was sent, now or at `sent_at`, and may have been executed."""
        at = instant(self.clock.now() if sent_at is None else sent_at).isoformat(timespec="seconds")
        return errors.SubmissionUnknown(self.dialect.provider, operation, subject, at, cause)

    async def _attempt(
        self, operation: Operation, variables: Mapping[str, object], subject: str, before: Before | None
    ) -> Response:
        """Send the request, and once more if a new token may help."""
        await self._await_delay(operation.field, subject)  # a sign-in during the delay would be refused, too
        token = await self._sign_in.token()
        try:
            return await self._send_in_turn(operation, variables, subject, token, before)
        except errors.SignInFailed as failure:
            # A refused token means that no work was done (guarantee 2), so this is safe for creates, too.
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
        self._count("requests")
        try:
            options = self._connections.options(self.url, self.auth.headers(token), exchange)
            transport = self._connections.transport(reuses=not operation.is_mutation)
            answer = await transport.execute(operation.bind(variables), extra_args=options)
            result = with_errors_in_data(self.dialect, answer)
        except Exception as error:  # gql wraps everything, bugs too: `diagnose` raises those again
            raised = error
        self.last_heard = exchange, self.clock.now()
        self._keep_delay(exchange)
        if diagnosis := diagnose(self.dialect, exchange, raised, result):
            if diagnosis.kind is errors.RateLimited:
                self._count("rate_limited")
                self.server_delay.extend(diagnosis.retry_after_s or DEFAULT_DELAY_S)
            if exchange.status == 401:
                self.auth.reject(token)  # also if it is a delay: the next request signs in again
            # Without gql's error, whose text is the server's and may have secrets: Prefect logs tracebacks.
            raise self._error(operation.field, subject, diagnosis) from None
        self.answers += 1
        return read_response(self.dialect, result, lambda diagnosis: self._error(operation.field, subject, diagnosis))

    def _keep_delay(self, exchange: Exchange) -> None:
        """Keep the delay that the server asks for, with any answer (guarantee 6)."""
        if asked_s := retry_after_s(exchange):
            self.server_delay.extend(asked_s)

    def _error(self, operation: str, subject: str, diagnosis: Diagnosis) -> errors.RequestFailed:
        detail = self.redact(diagnosis.detail)
        error = diagnosis.kind(self.dialect.provider, operation, subject, detail, diagnosis.retry_after_s)
        error.transient |= diagnosis.retry_after_s is not None  # the server says when to retry
        if diagnosis.begun:
            error.unexecuted = False
        if self.source and isinstance(error, errors.SignInFailed | errors.NotAllowed | errors.BadEndpoint):
            error.advice += f" Address and credentials come from {self.source}."
        return error

    def _require_turn(self, operation: str, subject: str) -> None:
        """Refuse a create whose turn would come too late for its submission: its outcome might be unknown."""
        wait_s = self.rate_limit.wait_s()
        at_most_s = self.limits.submission_s / 2  # our choice: the other half is for the requests before and after it
        if wait_s > at_most_s:
            detail = f"requests_per_s={self.rate_limit.window.requests_per_s:g} is used up for the next {wait_s:.0f} s."
            raise errors.RateLimited(self.dialect.provider, operation, subject, detail, wait_s)

    async def _await_turn(self, operation: str, subject: str) -> None:
        """Wait for the server's delay and for the rate limit. Another delay may begin in between."""
        await self._await_delay(operation, subject)
        while not await self.rate_limit.take(self.server_delay.is_active):
            await self._await_delay(operation, subject)

    async def _await_delay(self, operation: str, subject: str) -> None:
        """Wait until the server's delay is over. Raises `RateLimited` at once if it is longer than the retry budget."""
        if delay_s := await self.server_delay.wait(self.limits.budget_s):
            raise delayed(self.dialect.provider, operation, subject, delay_s)

    async def retried(
        self, call: Callable[[], Awaitable[T]], predicate: Callable[[BaseException], bool] = is_transient
    ) -> T:
        """Return the result of `call`, which is repeated after errors that `predicate` accepts, within the limits."""
        return await retried(call, predicate, self.limits, self.clock)
