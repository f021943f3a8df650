"""Credentials: the token that a request carries, and whether a new sign-in may help after a refusal."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from graphql_jobs.clock import Clock

#: Our choice: a token is renewed when a tenth of its lifetime is left, or a minute if that is less.
_EARLY_SHARE = 0.1
_EARLY_MAX_S = 60.0
#: Used when the answer has no `expires_in` (RFC 6749 5.1 allows that): Datasaur's documented hour.
_DEFAULT_LIFETIME_S = 3600.0

#: Our choice: a token with a longer lifetime is renewed after a week.
_MAX_LIFETIME_S = 7 * 86_400.0

#: The number of replaced tokens that are still kept out of messages: they stay valid, and are in pending requests.
_REMEMBERED_TOKENS = 8

#: Posts a form with headers and returns the JSON object of the response, whose `access_token` `fits_a_header`.
#: Raises `RequestFailed`.
PostForm = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Mapping[str, object]]]


class Auth(Protocol):
    """A way to sign in."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal credentials; the credentials cannot be derived from it."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts that no message may contain."""
        ...

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """Return the token to send now. Raises `RequestFailed`. It is never called concurrently."""
        ...

    def headers(self, token: str) -> Mapping[str, str]:
        """Return the headers of a request that carries `token`."""
        ...

    def reject(self, token: str) -> bool:
        """Record that the server refused `token`. Return whether a new sign-in may help."""
        ...


class NoSignIn:
    """For an endpoint that takes requests without credentials."""

    fingerprint = "none"
    secrets = ()

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """Return an empty text, which is not sent."""
        return ""

    def headers(self, token: str) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    def reject(self, token: str) -> bool:
        """Return False: there is no token."""
        return False


class HeaderToken:
    """A token that was created elsewhere, sent in the header `header`, after the word `scheme` if there is one."""

    def __init__(self, token: str, header: str, scheme: str = "") -> None:
        self._token = _clean("token", token)
        if any(character.isspace() for character in self._token):
            word = scheme or "Bearer"
            raise InvalidInput("token", f"it has white space. Set the token alone, without the word {word}.")
        self._header, self._scheme = header, scheme

    @property
    def fingerprint(self) -> str:
        """Equal for equal tokens in the same header."""
        return _digest("header", self._header, self._scheme, self._token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self._token,)

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """Return the token."""
        return self._token

    def headers(self, token: str) -> Mapping[str, str]:
        """Return the header with the token."""
        return {self._header: f"{self._scheme} {token}".strip()}

    def reject(self, token: str) -> bool:
        """Return False: there is no other token."""
        return False


class BearerToken(HeaderToken):
    """A token that was created elsewhere: an aiWARE API key, or a token of either provider."""

    def __init__(self, token: str) -> None:
        super().__init__(token, "Authorization", "Bearer")


class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749 4.4), as Datasaur issues them.

    Concurrent requests share one token, which is renewed before it expires and when the server refuses it. `style` says
    where id and secret are sent: in the form ("body", as in Datasaur's documentation) or in an HTTP Basic header
    ("basic", as in its sample clients). Source: docs/providers/datasaur.md.
    """

    def __init__(
        self, token_url: str, client_id: str, client_secret: str, style: Literal["body", "basic"] = "body"
    ) -> None:
        self._token_url = token_url
        self._client_id = _clean("client_id", client_id)
        self._client_secret = _clean("client_secret", client_secret)
        self._style = style
        self._basic = b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        self._current: str | None = None
        self._renew_at = 0.0
        self._given: deque[str] = deque(maxlen=_REMEMBERED_TOKENS)

    @property
    def fingerprint(self) -> str:
        """Equal for equal credentials at the same address."""
        return _digest("client", self._token_url, self._client_id, self._client_secret, self._style)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the client secret, its form in a Basic header, and the latest tokens."""
        return (self._client_secret, self._basic, *self._given)

    async def token(self, post_form: PostForm, clock: Clock) -> str:
        """Return the current token. If there is none, or it is about to expire, fetch one first."""
        if self._current is None or clock.monotonic() >= self._renew_at:
            self._current = await self._fetch(post_form, clock)
        return self._current

    def headers(self, token: str) -> Mapping[str, str]:
        """Return the Authorization header of RFC 6750 2.1."""
        return {"Authorization": f"Bearer {token}"}

    def reject(self, token: str) -> bool:
        """Drop `token`, unless it was already replaced."""
        if token == self._current:
            self._current = None
        return True

    async def _fetch(self, post_form: PostForm, clock: Clock) -> str:
        form, headers = {"grant_type": "client_credentials"}, {}
        if self._style == "basic":
            headers = {"Authorization": f"Basic {self._basic}"}
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        asked_at = clock.monotonic()
        answer = await post_form(self._token_url, form, headers)
        lifetime_s = _lifetime_s(answer.get("expires_in"))
        self._renew_at = asked_at + lifetime_s - min(lifetime_s * _EARLY_SHARE, _EARLY_MAX_S)
        token = str(answer["access_token"])
        self._given.append(token)
        return token


def _lifetime_s(expires_in: object) -> float:
    """Return how long a token may be used, from the server's `expires_in`."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not expires_in > 0:  # NaN is not
        return _DEFAULT_LIFETIME_S
    return float(min(expires_in, _MAX_LIFETIME_S))


def fits_a_header(token: object) -> bool:
    """Whether `token` is text that fits an HTTP header, and not blank."""
    return isinstance(token, str) and bool(token.strip()) and token.isprintable() and token.isascii()


def _clean(parameter: str, secret: str) -> str:
    stripped = secret.strip()
    if not stripped:
        raise InvalidInput(parameter, "it is empty.")
    if not fits_a_header(stripped):
        raise InvalidInput(parameter, "it has characters that an HTTP header cannot contain.")
    return stripped


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
