"""Credentials, random at each start and never stored, and access tokens that expire."""

import base64
import binascii
import hmac
import secrets
import string
import uuid

from graphql_jobs.emulator.clock import Clock

_ALPHANUMERIC = string.ascii_lowercase + string.digits


class Accounts:
    """The valid credentials: one aiWARE API key and user, one Datasaur client, and their tokens."""

    def __init__(self, clock: Clock, token_lifetime_s: float) -> None:
        if not 0 < token_lifetime_s < float("inf"):
            raise ValueError(f"token_lifetime_s must be above 0, got {token_lifetime_s}")
        self.token_lifetime_s = token_lifetime_s
        # The format of an aiWARE organisation key: docs/providers/aiware.md#sign-in. It is valid until revoked.
        self.aiware_token = "".join(secrets.choice(_ALPHANUMERIC) for _ in range(6)) + ":" + secrets.token_hex(32)
        self.aiware_user_name = f"user-{secrets.token_hex(4)}@example.invalid"
        self.aiware_password = secrets.token_urlsafe(18)
        self.datasaur_client_id = secrets.token_hex(16)
        self.datasaur_client_secret = secrets.token_hex(32)
        self._clock = clock
        self._aiware_sessions: dict[str, float] = {}
        self._datasaur_tokens: dict[str, float] = {}
        self._aiware_token_revoked = False

    def open_session(self) -> str:
        """Return a new aiWARE session token: a UUID that is valid for `token_lifetime_s`."""
        token = str(uuid.uuid4())
        self._aiware_sessions[token] = self._clock.now() + self.token_lifetime_s
        return token

    def close_session(self, token: str) -> bool:
        """Remove an aiWARE session. Return whether there was one."""
        return self._aiware_sessions.pop(token, None) is not None

    def issue_datasaur_token(self) -> str:
        """Return a new Datasaur access token: 40 hex digits that are valid for `token_lifetime_s`."""
        token = secrets.token_hex(20)
        self._datasaur_tokens[token] = self._clock.now() + self.token_lifetime_s
        return token

    def revoke_all(self) -> None:
        """Revoke all tokens, and the aiWARE API key."""
        self._aiware_sessions.clear()
        self._datasaur_tokens.clear()
        self._aiware_token_revoked = True

    def knows_aiware_token(self, token: str) -> bool:
        """Whether the token is the API key, unless revoked, or of a current session."""
        if hmac.compare_digest(token.encode(), self.aiware_token.encode()):
            return not self._aiware_token_revoked
        return self._clock.now() < self._aiware_sessions.get(token, 0.0)

    def knows_datasaur_token(self, token: str) -> bool:
        """Whether the token is a current access token."""
        return self._clock.now() < self._datasaur_tokens.get(token, 0.0)

    def is_aiware_user(self, user_name: str, password: str) -> bool:
        """Whether this pair may log in."""
        return (user_name, password) == (self.aiware_user_name, self.aiware_password)

    def is_datasaur_client(self, client_id: str, client_secret: str) -> bool:
        """Whether this pair may get a token."""
        return (client_id, client_secret) == (self.datasaur_client_id, self.datasaur_client_secret)


def bearer_token(authorization: str | None) -> str:
    """Return the token of `Authorization: Bearer <token>`, or an empty text for other values."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def basic_pair(authorization: str | None) -> tuple[str, str] | None:
    """Return user and password of `Authorization: Basic ...`, or None."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password
