"""Loading a wrong block, saved by the UI or an older version, raises an error that names block and field."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentCreate
from pydantic import SecretStr

from blocks import AiwareCredentials, AiwareEngineJob, DatasaurAutoLabel, DatasaurCredentials, DatasaurTargetApi
from blocks.load import load_block, load_credentials
from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.blocks.core import Block

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

S3CRET = "s3cret-of-a-bad-block"
SIGN_IN = {"client_id": "someone", "client_secret": S3CRET}
NEW: dict[str, tuple[type[Block], dict[str, Any], str]] = {
    "no-scheme": (AiwareCredentials, {"base_url": "api.veritone.com", "token": S3CRET}, "base_url"),
    "password-in-url": (AiwareCredentials, {"base_url": f"https://u:{S3CRET}@x", "token": S3CRET}, "base_url"),
    "no-token": (AiwareCredentials, {"base_url": "https://api.veritone.com"}, "token"),
    "null-token": (AiwareCredentials, {"token": None}, "token"),
    "blank-token": (AiwareCredentials, {"token": " \t"}, "token"),
    "broken-token": (AiwareCredentials, {"token": f"{S3CRET}\n{S3CRET}"}, "token"),
    "too-fast": (AiwareCredentials, {"token": S3CRET, "requests_per_s": 1e300}, "requests_per_s"),
    "too-slow": (AiwareCredentials, {"token": S3CRET, "requests_per_s": 0}, "requests_per_s"),
    "no-number": (AiwareCredentials, {"token": S3CRET, "visibility_s": S3CRET}, "visibility_s"),
    "half": (DatasaurCredentials, {"client_id": "someone"}, "client_id"),
    "other-half": (DatasaurCredentials, {"client_secret": S3CRET}, "client_id"),
    "both": (DatasaurCredentials, {**SIGN_IN, "token": S3CRET}, "client_id"),
    "nothing": (DatasaurCredentials, {}, "client_id"),
    "token-url": (DatasaurCredentials, {**SIGN_IN, "token_url": S3CRET}, "token_url"),
    "style": (DatasaurCredentials, {**SIGN_IN, "sign_in_style": S3CRET}, "sign_in_style"),
    "no-key": (DatasaurTargetApi, {"endpoint": "https://model.example.invalid"}, "secret_key"),
    "no-endpoint": (DatasaurTargetApi, {"endpoint": "model", "secret_key": S3CRET}, "endpoint"),
}


async def saved(kind: type[Block], name: str, data: dict[str, Any]) -> UUID:
    """A document as the UI sends it: Prefect's server does not check it."""
    await kind.aregister_type_and_schema()
    async with get_client() as client:
        block_type = await client.read_block_type_by_slug(kind.get_block_type_slug())
        schema = await client.get_most_recent_block_schema_for_block_type(block_type.id)
        assert schema is not None
        document = BlockDocumentCreate(
            name=name, data=data, block_schema_id=schema.id, block_type_id=block_type.id, is_anonymous=False
        )
        return (await client.create_block_document(document)).id


def assert_told(error: InvalidInput, name: str, field: str) -> None:
    """The message names block and field, without a secret and without advice to load without validation."""
    text = f"{error} {error!r} {error.__cause__!r}"
    assert f"block {name!r}: " in text
    assert field in text
    assert S3CRET not in text
    assert "validate=False" not in text


@pytest.mark.parametrize("name", NEW)
async def test_loading_a_wrong_block_names_the_block_and_its_fields(name: str) -> None:
    """`credentials: aiWARE Credentials block 'no-scheme': base_url: the URL must start with https:// or ...`."""
    kind, data, field = NEW[name]
    await saved(kind, f"bad-{name}", data)
    with pytest.raises(InvalidInput) as raised:
        await load_block(kind, f"bad-{name}", "credentials")
    assert raised.value.parameter == "credentials"
    assert_told(raised.value, f"bad-{name}", field)


@pytest.mark.parametrize("sync", [False, True])
async def test_prefects_own_load_names_the_same(sync: bool) -> None:
    """A user's code calls `AiwareCredentials.aload(name)`, or `load(name)` in a sync flow."""
    name = f"bad-own-load-{sync}".lower()
    await saved(AiwareCredentials, name, {"token": ""})
    load: Any = AiwareCredentials.load  # its types lack Prefect's own argument
    loading = asyncio.to_thread(load, name, _sync=True) if sync else AiwareCredentials.aload(name)
    with pytest.raises(InvalidInput) as raised:
        await loading
    assert_told(raised.value, name, "token")


async def test_wrong_field_of_an_inner_block_is_named_with_its_path() -> None:
    """A job block whose credentials were broken after it was saved: `credentials.base_url: ...`."""
    inner = await saved(AiwareCredentials, "bad-inner", {"base_url": "nowhere", "token": S3CRET})
    reference = {"$ref": {"block_document_id": str(inner)}}
    await saved(AiwareEngineJob, "bad-outer", {"credentials": reference, "engine_id": "e", "target_id": "1"})
    with pytest.raises(InvalidInput) as raised:
        await AiwareEngineJob.aload("bad-outer")
    assert_told(raised.value, "bad-outer", "credentials.base_url")


async def test_block_whose_inner_block_was_deleted_is_refused() -> None:
    """The model's block was deleted: the auto-label block cannot be loaded, and the error names the field."""
    credentials = await saved(DatasaurCredentials, "bad-label-credentials", SIGN_IN)
    model = await saved(
        DatasaurTargetApi, "bad-label-model", {"endpoint": "https://m.example.invalid", "secret_key": S3CRET}
    )
    data = {
        "credentials": {"$ref": {"block_document_id": str(credentials)}},
        "target_api": {"$ref": {"block_document_id": str(model)}},
        "project_id": "p",
        "labeler_email": "e",
    }
    await saved(DatasaurAutoLabel, "bad-label", data)
    await DatasaurAutoLabel.aload("bad-label")
    async with get_client() as client:
        await client.delete_block_document(model)
    with pytest.raises(InvalidInput) as raised:
        await load_block(DatasaurAutoLabel, "bad-label", "block")
    assert_told(raised.value, "bad-label", "target_api")


async def test_unknown_field_of_a_saved_block_is_ignored() -> None:
    """A field that another version saved is ignored; a field that it did not save has its default."""
    await saved(AiwareCredentials, "from-elsewhere", {"token": S3CRET, "max_tries": 3})
    block = await load_credentials("aiware", "from-elsewhere")
    assert block.get_client().visibility_s == AiwareCredentials(token=SecretStr(S3CRET)).visibility_s


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a\0b", "a\nb", "x" * 300, "a#b", "%00"])
async def test_impossible_name_is_an_unknown_block(name: str) -> None:
    """A name with NUL, which no URL can have, is refused like a typo, not by the HTTP client."""
    with pytest.raises(InvalidInput, match=r"credentials: there is no aiWARE Credentials block"):
        await load_block(AiwareCredentials, name, "credentials")


async def test_unknown_provider_is_refused() -> None:
    """A run's inputs were edited by hand: refused with the provider's name."""
    with pytest.raises(InvalidInput, match="acme"):
        await load_credentials("acme", "x")
