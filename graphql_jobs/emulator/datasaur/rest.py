"""Datasaur's REST endpoints: the health, the access token and the upload."""

from pathlib import PurePosixPath

from aiohttp import web
from aiohttp.web_request import FileField

from graphql_jobs.emulator.accounts import Accounts, basic_pair
from graphql_jobs.emulator.answers import Answer, json_answer
from graphql_jobs.emulator.datasaur.errors import DatasaurDialect
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.execution import Outline


class TokenDialect(DatasaurDialect):
    """The format of the token endpoint's failures, which is OAuth2's if possible."""

    def failure(self, name: str, outline: Outline) -> Answer:
        """Return RFC 6749 5.2's failure for a refused client, else Datasaur's."""
        if name == "authentication_error":
            return json_answer({"error": "invalid_client"}, 401)
        return super().failure(name, outline)


async def health(_request: web.Request) -> Answer:
    """Answer that the service runs. The body is invented; the version is that of the vendor's change log of 2026-07."""
    return json_answer({"status": "ok", "version": "6.167.0"})


async def issue_token(request: web.Request, accounts: Accounts, world: DatasaurWorld) -> Answer:
    """OAuth2 client credentials in the body or as Basic. Failures follow RFC 6749 5.2 (none is published)."""
    form = await request.post()
    if form.get("grant_type") != "client_credentials":
        return json_answer({"error": "unsupported_grant_type"}, 400)
    pair = basic_pair(request.headers.get("Authorization"))
    client_id, client_secret = pair or (str(form.get("client_id", "")), str(form.get("client_secret", "")))
    if not accounts.is_datasaur_client(client_id, client_secret):
        return json_answer({"error": "invalid_client"}, 401)
    world.count_token()
    return json_answer(
        {
            "access_token": accounts.issue_datasaur_token(),
            "token_type": "bearer",
            "expires_in": int(accounts.token_lifetime_s),
        }
    )


async def upload(request: web.Request, world: DatasaurWorld) -> Answer:
    """Accept one file per request, part name `file`; the content is not kept."""
    part = (await request.post()).get("file")
    if not isinstance(part, FileField):
        # Invented, after the failures of the REST user API.
        return json_answer({"message": "part `file` is missing"}, 400)
    object_key = f"temp/upload-proxy/{world.ids.uuid()}{PurePosixPath(part.filename).suffix}"
    world.record("upload", None, None, object_key, {"fileName": part.filename})
    return json_answer({"objectKey": object_key})
