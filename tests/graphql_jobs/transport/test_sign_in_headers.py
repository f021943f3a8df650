"""The header in which each way to sign in sends its token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphql_jobs.transport.auth import Auth, HeaderToken, NoSignIn

if TYPE_CHECKING:
    from graphql_jobs.transport.operation import Operation
    from tests.graphql_jobs.conftest import OpenSession, Serve


@pytest.mark.parametrize(
    ("auth", "header", "sent"),
    [
        (HeaderToken("t0k3n", "Dagster-Cloud-Api-Token"), "Dagster-Cloud-Api-Token", "t0k3n"),
        (HeaderToken("t0k3n", "Authorization", "token"), "Authorization", "token t0k3n"),
        (NoSignIn(), "Authorization", None),
    ],
)
async def test_token_is_sent_in_the_header_of_its_sign_in(
    serve: Serve, open_session: OpenSession, operation: Operation, auth: Auth, header: str, sent: str | None
) -> None:
    """Dagster's own header without a scheme, another scheme, and no header at all."""
    server = await serve({"data": {"job": {"id": "1"}}})
    session = await open_session(server.url, auth)
    await session.read(operation, {"id": "1"})
    assert server.headers[0].get(header) == sent
    assert ("Authorization" in server.headers[0]) == (sent is not None and header == "Authorization")
    assert session.redact("not t0k3n") == ("not ***" if sent else "not t0k3n")
