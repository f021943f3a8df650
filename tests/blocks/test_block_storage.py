"""Blocks in Prefect's database: saved, loaded, found by name, registered; secrets never in clear."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings
from pydantic import SecretStr

import blocks
from blocks import AiwareCredentials, AiwareEngineJob, DatasaurCredentials, DatasaurExport, DatasaurTargetApi
from blocks.fields import WaitSettings
from blocks.load import load_block, load_credentials
from graphql_jobs.errors import InvalidInput

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

ROOT = Path(__file__).parents[2]
S3CRET = "stored-s3cret-value"
SAVED: dict[str, Block] = {
    "stored-aiware": AiwareCredentials(base_url="https://a.example.invalid", token=SecretStr(S3CRET), lenient=True),
    "stored-datasaur": DatasaurCredentials(client_id="someone", client_secret=SecretStr(S3CRET), sign_in_style="basic"),
    "stored-datasaur-token": DatasaurCredentials(token=SecretStr(S3CRET)),
    "stored-model": DatasaurTargetApi(endpoint="https://model.example.invalid", secret_key=SecretStr(S3CRET)),
    "stored-engine-job": AiwareEngineJob(
        credentials=AiwareCredentials(token=SecretStr(S3CRET)), engine_id="e", target_id="1"
    ),
    "stored-export": DatasaurExport(
        credentials=DatasaurCredentials(token=SecretStr(S3CRET)),
        project_ids=["HvdyIL2iwZn"],
        file_name="all",
        waiting=WaitSettings(give_up_after_s=5),
    ),
}


@pytest.mark.parametrize("name", SAVED)
async def test_block_comes_back_as_it_was_saved(name: str) -> None:
    """Saved, loaded by its name: the same fields, also secrets and nested blocks."""
    block = SAVED[name]
    await block.asave(name, overwrite=True)
    loaded: Block = await type(block).aload(name)
    secret = {"include_secrets": True}
    assert loaded.model_dump(mode="json", context=secret) == block.model_dump(mode="json", context=secret)
    assert S3CRET in loaded.model_dump_json(context=secret)


@pytest.mark.parametrize("name", SAVED)
async def test_api_shows_no_secret_of_a_block(name: str) -> None:
    """The document without include_secrets, which the UI requests, has asterisks."""
    block = SAVED[name]
    await block.asave(name, overwrite=True)
    async with get_client() as client:
        document = await client.read_block_document_by_name(name, block.get_block_type_slug(), include_secrets=False)
    text = document.model_dump_json()
    assert S3CRET not in text
    assert "****" in text


async def test_database_file_holds_no_secret_in_clear(prefect_server: Path) -> None:
    """After all blocks were saved, the file and its journal have the block's name, but not the secret."""
    for name, block in SAVED.items():
        await block.asave(name, overwrite=True)
    files = list(prefect_server.parent.glob(f"{prefect_server.name}*"))
    content = b"".join(file.read_bytes() for file in files)
    assert b"stored-engine-job" in content
    assert S3CRET.encode() not in content


async def test_unknown_block_is_refused_with_the_list_of_saved_ones() -> None:
    """`credentials: there is no aiWARE Credentials block named 'typo'. Saved ones: ..., stored-aiware, ...`."""
    await SAVED["stored-aiware"].asave("stored-aiware", overwrite=True)
    with pytest.raises(InvalidInput, match=r"'typo'.*Saved ones: .*stored-aiware") as raised:
        await load_credentials("aiware", "typo")
    assert raised.value.parameter == "credentials"


async def test_name_of_another_providers_block_is_refused() -> None:
    """A Datasaur block's name in place of aiWARE's: not found, and not loaded as another type."""
    await SAVED["stored-datasaur"].asave("stored-datasaur", overwrite=True)
    with pytest.raises(InvalidInput) as raised:
        await load_credentials("aiware", "stored-datasaur")
    assert "stored-datasaur" not in str(raised.value).partition("Saved ones:")[2]


@pytest.mark.parametrize("name", ["a/b", "../aiware", "what?", "x y", "ä", "%2e%2e"])
async def test_odd_name_is_an_unknown_block(name: str) -> None:
    """A name with a slash, a question mark or an umlaut is looked up unchanged, and not found."""
    with pytest.raises(InvalidInput, match="target_api: "):
        await load_block(DatasaurTargetApi, name, "target_api")


async def test_credentials_load_by_provider_and_name() -> None:
    """`load_credentials("datasaur", name)` returns a block with a Datasaur client."""
    await SAVED["stored-datasaur"].asave("stored-datasaur", overwrite=True)
    block = await load_credentials("datasaur", "stored-datasaur")
    assert block.get_client().provider == "datasaur"


async def test_registering_from_the_clone_makes_exactly_our_block_types() -> None:
    """`python -m prefect block register -m blocks`: our six types, and no `jobblock-str`."""
    before = await _slugs()
    done = await asyncio.to_thread(_register)
    assert done.returncode == 0, done.stdout
    ours = {getattr(blocks, name).get_block_type_slug() for name in blocks.__all__}
    assert f"Successfully registered {len(ours)} blocks" in done.stdout
    now = await _slugs()
    assert ours <= now
    assert now - before <= ours
    assert {slug for slug in now if "jobblock" in slug} == set()


def _register() -> subprocess.CompletedProcess[str]:
    settings = get_current_settings()
    environment = {**os.environ, **settings.to_environment_variables(exclude_unset=True)}
    return subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


async def _slugs() -> set[str]:
    async with get_client() as client:
        return {found.slug for found in await client.read_block_types()}


async def test_unregistered_block_type_has_no_saved_blocks() -> None:
    """The server answers 404 for the type itself: the message says that none is saved, and is not an HTTP error."""

    class NeverRegistered(Block):
        """A block type that the server does not know."""

    with pytest.raises(InvalidInput, match="None of that type is saved"):
        await load_block(NeverRegistered, "typo", "credentials")
