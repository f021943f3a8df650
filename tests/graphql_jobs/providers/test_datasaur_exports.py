"""Exports of Datasaur against the emulator: the names of files, and files in the caller's own storage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphql_jobs import JobHandle
from graphql_jobs.providers.datasaur import DatasaurClient, ExportSpec
from tests.clocks import use_clock
from tests.conftest import datasaur_credentials, driven

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator

PROJECT_ID = "HvdyIL2iwZn"


async def exported(emulator: Emulator, folder: Path, **values: Any) -> tuple[JobHandle, dict[str, Any]]:
    """Export, wait, and fetch the result with the handle as another process has it."""
    client: DatasaurClient = datasaur_credentials(emulator).get_client()
    use_clock(client.session, driven(emulator))
    async with client:
        handle = await client.submit(ExportSpec.of(project_ids=[PROJECT_ID], **values))
        emulator.clock.advance(10)
        job = (await client.check([handle.job_id]))[handle.job_id]
        return handle, await client.result(JobHandle.from_json(handle.to_json()), job, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file_name", "begins"),
    [
        ("nightly", "nightly-ExportQueue-"),
        ("../../etc/passwd", "-..-etc-passwd-ExportQueue-"),
        ("a:b*c?", "a-b-c--ExportQueue-"),
        ("Größe 1", "Größe 1-ExportQueue-"),
        ("字" * 200, "字" * 33 + "-ExportQueue-"),
        ("https://h/f", "ExportQueue-"),
        ("...", "ExportQueue-"),
    ],
)
async def test_downloaded_file_is_named_after_the_export_and_its_job(
    file_name: str, begins: str, emulator: Emulator, tmp_path: Path
) -> None:
    """`nightly-ExportQueue-<uuid>.zip`: it never leaves the folder, nor is it too long for a file system."""
    handle, result = await exported(emulator, tmp_path, file_name=file_name)
    file = Path(result["file"])
    assert [str(file.parent), *os.listdir(tmp_path)] == [str(tmp_path), file.name]
    assert file.name.startswith(begins)
    assert file.name.endswith(f"{handle.job_id.replace(':', '-')}.zip")


async def test_two_exports_of_one_name_do_not_overwrite_each_other(emulator: Emulator, tmp_path: Path) -> None:
    """The same `file_name` in the same folder: two files."""
    for _ in range(2):
        await exported(emulator, tmp_path, file_name="nightly")
    assert len(os.listdir(tmp_path)) == 2


async def test_export_into_external_storage_says_where_its_file_is(emulator: Emulator, tmp_path: Path) -> None:
    """EXTERNAL_OBJECT_STORAGE has no address: the result has the storage and the key, and nothing is downloaded."""
    _, result = await exported(
        emulator, tmp_path, file_name="out", object_storage_id="storage-1", object_storage_prefix="exports/2026/"
    )
    assert result == {
        "object_storage_id": "storage-1",
        "object_storage_prefix": "exports/2026/",
        "object_key": "exports/2026/out.zip",
        "file_name": "out",
    }
    assert os.listdir(tmp_path) == []
    assert emulator.ledger.count("download") == 0
    spec = emulator.ledger.submissions[-1].spec
    assert spec["method"] == "EXTERNAL_OBJECT_STORAGE"
    assert spec["externalObjectStorageParameter"] == {"externalObjectStorageId": "storage-1", "prefix": "exports/2026/"}


async def test_export_has_a_transformer_and_comments(emulator: Emulator, tmp_path: Path) -> None:
    """`fileTransformerId` and `includedCommentType` are sent, and left out if they are not set."""
    await exported(
        emulator,
        tmp_path,
        file_name="out",
        format="CUSTOM",
        file_transformer_id="transformer-1",
        included_comment_type=["COMMENT", "SPAN_TEXT"],
    )
    spec = emulator.ledger.submissions[-1].spec
    assert (spec["fileTransformerId"], spec["includedCommentType"]) == ("transformer-1", ["COMMENT", "SPAN_TEXT"])
    await exported(emulator, tmp_path, file_name="out")
    assert not {"fileTransformerId", "includedCommentType"} & emulator.ledger.submissions[-1].spec.keys()
