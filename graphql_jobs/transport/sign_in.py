"""The sign-in of a session: one at a time, and its outcome is that of all requests that wait for it."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

from graphql_jobs.errors import RequestFailed, SignInFailed
from graphql_jobs.parsing import decoded
from graphql_jobs.transport.auth import can_stand_in_a_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from graphql_jobs.clock import Clock
    from graphql_jobs.transport.auth import Auth
    from graphql_jobs.transport.diagnosis import Kind
    from graphql_jobs.transport.redaction import KeptSecrets

#: Our choice: tokens with many claims have some thousand characters, and servers refuse longer headers.
_MAX_TOKEN_CHARACTERS = 16_000


class Requests(Protocol):
    """What a sign-in needs of its session."""

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
    """Gives the token of one session in one event loop."""

    def __init__(self, session: Requests) -> None:
        self._session = session
        # A lock that was waited for keeps its event loop alive, and `sharing` forgets loops that are gone.
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failure: RequestFailed | None = None

    async def token(self) -> str:
        """The token to send. Raises `RequestFailed`, and the request that needs the token was not sent.

        A failure is also that of the requests that waited for it: one after the other, each would wait as long again.
        """
        failures = self._failures
        async with self._lock:
            if self._failure and self._failures > failures:
                raise copy(self._failure)  # each has a traceback of its own
            try:
                return await self._session.auth.token(self.post_form, self._session.clock)
            except RequestFailed as failure:
                failure.unexecuted = True
                self._failures, self._failure = self._failures + 1, failure
                raise

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, object]:
        """Sign in, once: the request that needs the token is what is tried again.

        What RFC 6749 5.2 answers with 400 is a matter of the credentials.
        """
        kinds: Mapping[int, Kind] = {400: SignInFailed}
        self._session.kept_secrets.keep_query(url)
        shown = url.partition("?")[0].partition("#")[0]
        answer = await self._session.fetch(
            "POST", url, _json, "sign-in", shown, kinds, to_endpoint=True, data=dict(form), headers=headers
        )
        if not isinstance(answer, dict) or not _is_token(answer.get("access_token")):
            raise self._session.bad_answer("sign-in", shown, "the answer holds no access_token that can be used.")
        return answer


def _is_token(value: object) -> bool:
    return can_stand_in_a_header(value) and len(str(value)) <= _MAX_TOKEN_CHARACTERS


async def _json(response: aiohttp.ClientResponse) -> object:
    answer: object = await response.json(loads=decoded, content_type=None)
    return answer
