"""Signing in: the token that a request carries, and what to do when it is not accepted."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from graphql_jobs.clock import Clock

#: Our choice: a token is renewed when a tenth of its life, and at most a minute, is left.
_EARLY_SHARE = 0.1
_EARLY_MAX_S = 60.0
#: Used when the answer has no `expires_in` (RFC 6749 5.1 allows that): Datasaur's documented hour.
_DEFAULT_LIFETIME_S = 3600.0

#: Our choice: a token that is said to live for longer is renewed all the same.
_MAX_LIFETIME_S = 7 * 86_400.0

#: Replaced tokens that are still secrets: they live on at the provider, and requests with them may be in flight.
_REMEMBERED_TOKENS = 8

#: Posts a form with headers and gives the JSON object of the answer, whose `access_token` can stand in a header.
#: Raises `RequestFailed`.
PostForm = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Mapping[str, object]]]


class Auth(Protocol):
    """A way to sign in."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal credentials, and no help in diagnosis them out."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that must never be shown."""
        ...

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """The bearer token to send now. Raises `RequestFailed` if it could not be had. Never called twice at once."""
        ...

    def reject(self, token: str) -> bool:
        """The server did not accept `token`. True if asking for another may help."""
        ...


class BearerToken:
    """A token that somebody else made: an aiWARE API key, or a token of either provider."""

    def __init__(self, token: str) -> None:
        self._token = _clean("token", token)
        if any(character.isspace() for character in self._token):
            raise InvalidInput("token", "it holds white space. Give the token alone, without the word Bearer.")

    @property
    def fingerprint(self) -> str:
        """Equal for equal tokens."""
        return _digest("bearer", self._token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self._token,)

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """The token itself."""
        return self._token

    def reject(self, token: str) -> bool:
        """There is no other."""
        return False


class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749 4.4), as Datasaur gives them out.

    The token is fetched once for any number of concurrent requests, renewed before it expires and when the server
    rejects it. `style` says where id and secret go: in the form ("body", as Datasaur's documentation shows) or into
    an HTTP Basic header ("basic", as its sample clients do).
    """

    def __init__(
        self, token_url: str, client_id: str, client_secret: str, style: Literal["body", "basic"] = "body"
    ) -> None:
        self._token_url = token_url
        self._client_id = _clean("client_id", client_id)
        self._client_secret = _clean("client_secret", client_secret)
        self._style = style
        self._current: str | None = None
        self._renew_at = 0.0
        self._given: deque[str] = deque(maxlen=_REMEMBERED_TOKENS)

    @property
    def fingerprint(self) -> str:
        """Equal for equal credentials at the same address."""
        return _digest("client", self._token_url, self._client_id, self._client_secret, self._style)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The client secret, what Basic makes of it, and the latest tokens."""
        return (self._client_secret, self._basic(), *self._given)

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """The current token, fetched first if there is none or it is about to expire."""
        if self._current is None or clock.monotonic() >= self._renew_at:
            self._current = await self._fetch(post_form, clock)
        return self._current

    def reject(self, token: str) -> bool:
        """Forget `token`; a rejection of one that was already replaced changes nothing."""
        if token == self._current:
            self._current = None
        return True

    async def _fetch(self, post_form: PostForm, clock: Clock) -> str:
        form, headers = {"grant_type": "client_credentials"}, {}
        if self._style == "basic":
            headers = {"Authorization": f"Basic {self._basic()}"}
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        asked_at = clock.monotonic()
        answer = await post_form(self._token_url, form, headers)
        lifetime_s = _lifetime_s(answer.get("expires_in"))
        self._renew_at = asked_at + lifetime_s - min(lifetime_s * _EARLY_SHARE, _EARLY_MAX_S)
        token = str(answer["access_token"])
        self._given.append(token)
        return token

    def _basic(self) -> str:
        return b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()


def _lifetime_s(expires_in: object) -> float:
    """How long a token may be used, by what a server says of it."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not expires_in > 0:  # NaN is not
        return _DEFAULT_LIFETIME_S
    return float(min(expires_in, _MAX_LIFETIME_S))


def can_stand_in_a_header(token: object) -> bool:
    """Whether `token` is text that HTTP lets into a header, and not empty."""
    return isinstance(token, str) and bool(token.strip()) and token.isprintable() and token.isascii()


def _clean(parameter: str, secret: str) -> str:
    stripped = secret.strip()
    if not stripped:
        raise InvalidInput(parameter, "it is empty.")
    if not can_stand_in_a_header(stripped):
        raise InvalidInput(parameter, "it holds characters that cannot stand in an HTTP header.")
    return stripped


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
