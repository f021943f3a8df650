"""Exports and their files, and uploads."""

import io
import json
import zipfile
from typing import Any

import aiohttp
import pytest
from yarl import URL

from graphql_jobs.emulator import Behaviour, Emulator, Fault

EXPORT = """query($input: ExportTextProjectInput!) {
    exportTextProject(input: $input) { exportId fileUrl fileUrlExpiredAt queued redirect key } }"""
DELIVERY = """query($id: ID!, $job: String!) {
    getExportDeliveryStatus(exportId: $id) { deliveryStatus errors { id } } getJob(jobId: $job) { status } }"""

# The top folder of the sample project: its name and id.
TOP = "Sample-project-HvdyIL2iwZn"


async def start_export(datasaur: Any, **values: Any) -> Any:
    values = {"projectIds": ["HvdyIL2iwZn"], "fileName": "out", "format": "CSV", "method": "FILE_STORAGE", **values}
    return (await datasaur(EXPORT, input=values))["data"]["exportTextProject"]


async def fetch(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, bytes]:
    async with http.get(url, headers=headers) as response:
        return response.status, await response.read()


async def test_file_is_404_then_200_then_403(emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession) -> None:
    """404 until DELIVERED at 7 s, a zip until 6 hours after the submit, then 403."""
    export = await start_export(datasaur)
    assert export["queued"]
    assert export["fileUrlExpiredAt"] == "2023-11-15T04:13:20.000Z"
    assert (await fetch(http, export["fileUrl"]))[0] == 404
    emulator.clock.advance(7)
    reply = (await datasaur(DELIVERY, id=export["exportId"], job=export["exportId"]))["data"]
    assert reply == {
        "getExportDeliveryStatus": {"deliveryStatus": "DELIVERED", "errors": []},
        "getJob": {"status": "DELIVERED"},
    }
    status, content = await fetch(http, export["fileUrl"])
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [f"{TOP}/REVIEW/document-1.txt.json", f"{TOP}/ROOT/document-1.txt.json"]
        assert json.loads(archive.read(f"{TOP}/REVIEW/document-1.txt.json"))["job"] == export["exportId"]
    emulator.clock.advance(6 * 3600)
    assert (await fetch(http, export["fileUrl"]))[0] == 403
    assert emulator.ledger.count("download") == 3


async def test_address_has_the_name_of_the_file(emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession) -> None:
    """The last part of the path, and Content-Disposition, are `my out.zip`; two projects have a folder each."""
    other = emulator.datasaur.plant_project(name="Zweites Projekt")
    export = await start_export(datasaur, fileName="my out", projectIds=["HvdyIL2iwZn", other.id])
    assert URL(export["fileUrl"]).name == "my out.zip"
    emulator.clock.advance(7)
    async with http.get(export["fileUrl"]) as response:
        assert response.content_disposition is not None
        assert response.content_disposition.filename == "my out.zip"
        names = zipfile.ZipFile(io.BytesIO(await response.read())).namelist()
    assert {name.split("/")[0] for name in names} == {TOP, f"Zweites-Projekt-{other.id}"}


async def test_signed_address_takes_no_second_credential(
    emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession
) -> None:
    """400 with an Authorization header, 403 with another signature, as S3 does."""
    url = (await start_export(datasaur))["fileUrl"]
    emulator.clock.advance(7)
    assert (await fetch(http, url, Authorization="Bearer x"))[0] == 400
    assert (await fetch(http, url + "x"))[0] == 403


@pytest.mark.parametrize("behaviour", [Behaviour(export_bytes=100_000)], indirect=True)
async def test_ranges_put_together_are_the_file(emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession) -> None:
    """Two 206 answers make the 200 answer; past the end is 416."""
    url = (await start_export(datasaur))["fileUrl"]
    emulator.clock.advance(7)
    _, whole = await fetch(http, url)
    assert len(whole) > 100_000
    first = await fetch(http, url, Range="bytes=0-999")
    rest = await fetch(http, url, Range="bytes=1000-")
    assert (first[0], rest[0], first[1] + rest[1]) == (206, 206, whole)
    assert (await fetch(http, url, Range="bytes=-10"))[1] == whole[-10:]
    assert (await fetch(http, url, Range="bytes=9999999-"))[0] == 416


async def test_part_of_another_file_is_not_given(
    emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession
) -> None:
    """If-Range with the file's ETag: 206; with another one: the whole file."""
    url = (await start_export(datasaur))["fileUrl"]
    emulator.clock.advance(7)
    async with http.get(url) as response:
        etag = response.headers["ETag"]
    wanted = {"Range": "bytes=5-"}
    assert (await fetch(http, url, **wanted, **{"If-Range": etag}))[0] == 206
    assert (await fetch(http, url, **wanted, **{"If-Range": '"another"'}))[0] == 200


@pytest.mark.parametrize("behaviour", [Behaviour(file_ranges=False)], indirect=True)
async def test_store_may_give_no_ranges(emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession) -> None:
    """Range is ignored: the whole file."""
    url = (await start_export(datasaur))["fileUrl"]
    emulator.clock.advance(7)
    assert await fetch(http, url, Range="bytes=5-") == (200, (await fetch(http, url))[1])


async def test_only_file_storage_tells_an_address(emulator: Emulator, datasaur: Any) -> None:
    """CUSTOM_WEBHOOK and EMAIL: null; the bucket: a key; the webhook's secret is not in the ledger."""
    webhook = await start_export(datasaur, method="CUSTOM_WEBHOOK", url="https://a.example.invalid", secret="keep-out")
    assert webhook["fileUrl"] is None
    assert (await start_export(datasaur, method="EMAIL"))["fileUrl"] is None
    assert (await start_export(datasaur, method="EXTERNAL_OBJECT_STORAGE"))["key"] == "out.zip"
    assert "keep-out" not in emulator.ledger.to_json()
    assert emulator.ledger.jobs_by_key()["out"][0] == webhook["exportId"]


async def test_upload_gets_an_object_key(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Part `file` -> temp/upload-proxy/<id>.<ext>; without a token or a file it is refused."""
    url = f"{emulator.url}/api/static/proxy/upload"
    headers = {"Authorization": f"Bearer {emulator.accounts.issue_datasaur_token()}"}
    form = aiohttp.FormData()
    form.add_field("file", b"text", filename="a.txt")
    async with http.post(url, headers=headers, data=form) as response:
        object_key = (await response.json())["objectKey"]
    assert object_key.startswith("temp/upload-proxy/")
    assert object_key.endswith(".txt")
    async with http.post(url, headers=headers, data={}) as response:
        assert response.status == 400
    async with http.post(url, data={}) as response:
        assert "errors" in await response.json()


async def test_downloads_have_faults_too(emulator: Emulator, datasaur: Any, http: aiohttp.ClientSession) -> None:
    """A truncated download ends early; the next one is complete."""
    url = (await start_export(datasaur))["fileUrl"]
    emulator.clock.advance(7)
    emulator.faults.add(Fault("truncate", operation="download"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await fetch(http, url)
    assert (await fetch(http, url))[0] == 200
