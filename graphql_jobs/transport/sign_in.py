"""The sign-in of a session, one at a time. All requests that wait for it get its result."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

from graphql_jobs.errors import RequestFailed, SignInFailed
from graphql_jobs.parsing import decoded
from graphql_jobs.transport.auth import fits_a_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from graphql_jobs.clock import Clock
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Kind
    from graphql_jobs.transport.redaction import KeptSecrets

#: Our choice: tokens with many claims have a few thousand characters, and servers refuse longer headers.
_MAX_TOKEN_CHARACTERS = 16_000


class Requests(Protocol):
    """The part of a session that a sign-in uses."""

    auth: Auth
    clock: Clock
    kept_secrets: KeptSecrets

    @property
    def fetch(self) -> Callable[..., Any]:
        """As `Session.fetch`."""
        ...

    @property
    def bad_answer(self) -> Callable[[str, str, str], RequestFailed]:
        """As `Session.bad_answer`."""
        ...


class SignIn:
    """Provide the token of one session."""

    def __init__(self, session: Requests) -> None:
        self._session = session
        # A lock that was waited for keeps its event loop alive, so a session drops this object when it closes.
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failure: RequestFailed | None = None

    async def token(self) -> str:
        """Return the token to send. Raises `RequestFailed`: then the request that needs it was not sent.

        A failure is raised by all requests that waited for this sign-in. If each signed in again, one after the other,
        the last would wait for the time-outs of all.
        """
        failures = self._failures
        async with self._lock:
            if self._failure and self._failures > failures:
                raise copy(self._failure)  # each needs its own traceback
            try:
                return await self._session.auth.token(self.post_form, self._session.clock)
            except RequestFailed as failure:
                failure.unexecuted = True
                self._failures, self._failure = self._failures + 1, failure
                raise

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, object]:
        """Sign in once, without retries: the request that needs the token is retried as a whole.

        A 400 means that the credentials were refused (RFC 6749 5.2).
        """
        kinds: Mapping[int, Kind] = {400: SignInFailed}
        self._session.kept_secrets.keep_query(url)
        shown = url.partition("?")[0].partition("#")[0]
        answer = await self._session.fetch(
            "POST", url, _json, "sign-in", shown, kinds, to_endpoint=True, data=dict(form), headers=headers
        )
        if not isinstance(answer, dict) or not _is_token(answer.get("access_token")):
            raise self._session.bad_answer("sign-in", shown, "the answer has no access_token that can be used.")
        return answer


def _is_token(value: object) -> bool:
    return fits_a_header(value) and len(str(value)) <= _MAX_TOKEN_CHARACTERS


async def _json(response: aiohttp.ClientResponse) -> object:
    answer: object = await response.json(loads=decoded, content_type=None)
    return answer
