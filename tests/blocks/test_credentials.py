"""Credentials blocks: wrong fields, secrets, and the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from blocks import AiwareCredentials, DatasaurCredentials, DatasaurTargetApi
from graphql_jobs.errors import InvalidInput
from tests.conftest import aiware_credentials, datasaur_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect.blocks.core import Block

    from graphql_jobs.emulator import Emulator

S3CRET = "s3cret-value"
SIGN_IN: dict[str, Any] = {"client_id": "someone", "client_secret": S3CRET}
BAD_URLS = {
    "user info": f"https://someone:{S3CRET}@api.example.invalid",
    "another scheme": f"ftp://{S3CRET}.example.invalid",
    "no scheme": f"{S3CRET}.example.invalid",
    "no host": "https:///v3/graphql",
    "a query": f"https://api.example.invalid/?token={S3CRET}",
    "a fragment": f"https://api.example.invalid/#{S3CRET}",
    "white space": f"https://api.example.invalid/{S3CRET} x",
}
MAKERS: Mapping[str, Callable[[str], Block]] = {
    "aiware": lambda url: AiwareCredentials(base_url=url, token=SecretStr(S3CRET)),
    "datasaur": lambda url: DatasaurCredentials(base_url=url, **SIGN_IN),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_wrong_url_or_url_with_credentials_is_refused(make: Callable[[str], Block], url: str) -> None:
    """ftp, no host, user:password@, ?token=...: refused when the block is made, by the field's name, never shown."""
    with pytest.raises(ValidationError) as raised:
        make(url)
    assert "base_url" in str(raised.value)
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [f"https://someone:{S3CRET}/x@api.example.invalid", f"https://someone:{S3CRET}\u2100@api.example.invalid"],
    ids=["password with a slash", "password with an odd character"],
)
def test_unparsable_url_is_not_shown(url: str) -> None:
    """Python's own error has a part of such a URL: "Port could not be cast to integer value as 's3cret'"."""
    with pytest.raises(ValidationError) as raised:
        AiwareCredentials(base_url=url, token=SecretStr("t"))
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://x.invalid", f"https://me:{S3CRET}@x.invalid/token"], ids=["ftp", "user info"])
def test_token_url_is_checked_like_the_base_url(url: str) -> None:
    """The client secret is sent to it: a wrong address is refused at creation, with the field's name."""
    with pytest.raises(ValidationError, match="token_url") as raised:
        DatasaurCredentials(**SIGN_IN, token_url=url)
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://x.invalid", f"https://me:{S3CRET}@x.invalid"], ids=["ftp", "user info"])
def test_endpoint_of_a_model_is_checked_when_its_block_is_created(url: str) -> None:
    """An address that Datasaur cannot call is refused in the form, not at the first project."""
    with pytest.raises(ValidationError, match="endpoint") as raised:
        DatasaurTargetApi(endpoint=url, secret_key=SecretStr(S3CRET))
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"client_id": "someone"},
        {"client_secret": S3CRET},
        {"client_id": "someone", "client_secret": ""},
        {"token": ""},
        {**SIGN_IN, "token": S3CRET},
        {"client_id": "someone", "token": S3CRET},
    ],
    ids=lambda given: "+".join(given) or "nothing",
)
def test_datasaur_credentials_need_exactly_one_way_to_sign_in(given: dict[str, Any]) -> None:
    """Id and secret, or only a token; half a pair, both or neither is refused without showing a value."""
    with pytest.raises(ValidationError, match="client_id and client_secret, or a token") as raised:
        DatasaurCredentials(**given)
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize("given", [SIGN_IN, {"token": S3CRET}], ids=["id and secret", "token"])
def test_datasaur_signs_in_either_way(given: dict[str, Any]) -> None:
    """Each of the two ways is accepted."""
    assert DatasaurCredentials(**given).base_url == "https://app.datasaur.ai"


@pytest.mark.parametrize(
    "block",
    [
        AiwareCredentials(token=SecretStr(S3CRET)),
        DatasaurCredentials(**SIGN_IN),
        DatasaurCredentials(token=SecretStr(S3CRET)),
        DatasaurTargetApi(endpoint="https://model.example.invalid", secret_key=SecretStr(S3CRET)),
    ],
    ids=["aiware", "datasaur by secret", "datasaur by token", "target api"],
)
def test_no_secret_shows_in_a_blocks_text_or_dump(block: Block) -> None:
    """repr, str, model_dump and its JSON show asterisks."""
    for text in (repr(block), str(block), str(block.model_dump()), block.model_dump_json()):
        assert S3CRET not in text


def test_client_outside_of_async_code_is_refused_with_advice() -> None:
    """Sessions belong to an event loop: without one the error says "async def", not "no running event loop"."""
    for block in (AiwareCredentials(token=SecretStr("t")), DatasaurCredentials(token=SecretStr("t"))):
        with pytest.raises(InvalidInput, match="async def") as raised:
            block.get_client()
        assert raised.value.parameter == "get_client"


BAD_TOKENS = {
    "empty": "",
    "blank": "  ",
    "a line break within": f"{S3CRET}\n{S3CRET}",
    "a NUL": f"{S3CRET}\0",
    "an umlaut": f"{S3CRET}\u00fc",
    "the word alone": "Bearer ",
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
@pytest.mark.parametrize("kind", [AiwareCredentials, DatasaurCredentials])
def test_token_that_cannot_be_sent_is_refused_when_the_block_is_created(kind: type[Block], token: str) -> None:
    """Blanks, a line break within it, or no token: the error names the field, not the value."""
    with pytest.raises(ValidationError, match="token") as raised:
        kind(token=token)
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize(
    "pasted", [f"{S3CRET}\n", f'"{S3CRET}"', f"Bearer {S3CRET}", f"'authorization: bearer {S3CRET}'"]
)
def test_pasted_token_is_freed_from_what_surrounds_it(pasted: str) -> None:
    """A line break from a terminal, quotes from a shell, or the whole header: only the token is kept."""
    for block in (AiwareCredentials(token=SecretStr(pasted)), DatasaurCredentials(token=SecretStr(pasted))):
        assert block.token is not None
        assert block.token.get_secret_value() == S3CRET


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
@pytest.mark.parametrize("value", ["  ", f"{S3CRET}\0"], ids=["blank", "a NUL"])
def test_client_id_or_secret_that_cannot_be_sent_is_refused(field: str, value: str) -> None:
    """A client secret of blanks is refused."""
    with pytest.raises(ValidationError, match=field) as raised:
        DatasaurCredentials(**{**SIGN_IN, field: value})
    assert S3CRET not in str(raised.value)


@pytest.mark.parametrize("url", ["", "  ", "tokens.example.invalid", "none"])
def test_token_url_that_is_no_url_is_refused(url: str) -> None:
    """The form sends an empty text for a cleared field: no secret may be sent there."""
    with pytest.raises(ValidationError, match="token_url"):
        DatasaurCredentials(**SIGN_IN, token_url=url)


@pytest.mark.parametrize("path", ["/v3/graphql", "/graphql", "/graphql/", "/v3/GraphQL"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_path_of_the_api_is_removed_from_a_base_url(make: Callable[[str], Block], path: str) -> None:
    """The path is added to the base URL, so every request would end as 404. Quotes around it are removed, too."""
    assert make(f'"https://api.example.invalid/at{path}" ').base_url == "https://api.example.invalid/at"  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", ["visibility_s", "submission_s"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e9])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_absurd_seconds_are_refused(make: Callable[[str], Block], value: float, field: str) -> None:
    """A search of 30 years would not end."""
    block = make("https://api.example.invalid")
    with pytest.raises(ValidationError, match=field):
        type(block)(**{**block.model_dump(context={"include_secrets": True}), field: value})


async def test_two_clients_in_one_loop_share_one_session(emulator: Emulator) -> None:
    """Two blocks with the same address and secret: one session, one token and one server delay."""
    for make in (aiware_credentials, datasaur_credentials):
        assert make(emulator).get_client().session is make(emulator).get_client().session


@pytest.mark.parametrize("name", MAKERS)
async def test_rate_limit_and_batch_size_reach_the_client(name: str) -> None:
    """requests_per_s is the session's, max_batch the client's. Empty: no rate limit, and the default size."""
    block = MAKERS[name]("https://budget.example.invalid")
    assert isinstance(block, AiwareCredentials | DatasaurCredentials)
    usual = block.get_client()
    assert (usual.session.limits.requests_per_s, usual.max_batch) == (None, type(usual).max_batch)
    fields = {"requests_per_s": 0.2, "max_batch": 7, "base_url": "https://other.example.invalid"}
    client = block.model_copy(update=fields).get_client()
    assert (client.session.limits.requests_per_s, client.max_batch) == (0.2, 7)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requests_per_s", 0),
        ("requests_per_s", -1),
        ("requests_per_s", float("inf")),
        ("requests_per_s", 1e300),
        ("max_batch", 0),
        ("max_batch", 501),
        ("max_batch", 1.5),
    ],
)
def test_wrong_rate_limit_or_batch_size_is_refused(field: str, value: float, name: str) -> None:
    """With 0 requests per second, a wait would not end."""
    block = MAKERS[name]("https://api.example.invalid")
    secrets = {"token": S3CRET} if name == "aiware" else SIGN_IN
    with pytest.raises(ValidationError, match=field):
        type(block)(**{**secrets, field: value})


async def test_other_credentials_get_another_session(emulator: Emulator) -> None:
    """The same address with another token must not use the first token."""
    other = AiwareCredentials(base_url=emulator.url, token=SecretStr("another"))
    assert aiware_credentials(emulator).get_client().session is not other.get_client().session


async def test_datasaur_signs_in_once_for_many_clients(emulator: Emulator, datasaur: DatasaurCredentials) -> None:
    """Ten clients from one block, one after the other: one token is fetched."""
    job_id = emulator.datasaur.plant().id
    for _ in range(10):
        async with datasaur.get_client() as client:
            await client.check([job_id])
    assert emulator.ledger.count("token") == 1


@pytest.mark.parametrize("style", ["body", "basic"])
async def test_both_styles_of_signing_in_work(emulator: Emulator, style: Any) -> None:
    """Id and secret in the form, and in a Basic header."""
    accounts = emulator.accounts
    pair: dict[str, Any] = {"client_id": accounts.datasaur_client_id, "client_secret": accounts.datasaur_client_secret}
    block = DatasaurCredentials(base_url=emulator.url, sign_in_style=style, **pair)
    job_id = emulator.datasaur.plant().id
    async with block.get_client() as client:
        assert list(await client.check([job_id])) == [job_id]
