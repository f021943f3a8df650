"""Whose token this is, and its rights. Source: docs/providers/aiware.md#sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql_jobs.parsing import text_or_none
from graphql_jobs.providers.aiware import documents
from graphql_jobs.providers.identity import Identity

if TYPE_CHECKING:
    from graphql_jobs.transport.session import Session

#: A job cannot be started without the first, or waited for without the second.
_NEEDED = ("job:create", "job:read")


async def identify(session: Session) -> Identity:
    """Return the user or organisation of the token, and its rights. Raises `RequestFailed`."""
    reply = await session.read(documents.WHO_AM_I, {})
    me, listing = reply.data.get("me"), reply.data.get("myRights")
    if not isinstance(me, dict) and not isinstance(listing, dict):
        raise reply.error_at("me") or session.bad_answer("me", "", "it has neither an account nor rights.")
    rights = listing.get("operations") if isinstance(listing, dict) else None
    if not isinstance(rights, list):
        return Identity(_account(me))
    names = tuple(sorted(str(right) for right in rights))
    return Identity(_account(me), names, tuple(right for right in _NEEDED if right not in names))


def _account(me: object) -> str:
    if not isinstance(me, dict):
        return "an organisation's API key"
    organization = me.get("organization")
    name = text_or_none(me, "name") or text_or_none(me, "id") or "an account without a name"
    at = text_or_none(organization, "name") if isinstance(organization, dict) else None
    return f"{name} of {at}" if at else name
