"""aiWARE's files, exports and lists around its jobs: what clients of the vendor ask for."""

from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator, Fault, JobFault

TRANSCRIBER = "c0e55cde-340b-44d7-bb42-2e0d65e98255"
TRANSCRIPTION = "67cd4dd0-2f75-445d-a6f0-2f297d6cd182"
EXPORT = """mutation($input: CreateExportRequest!) { createExportRequest(input: $input) {
    id status assetUri organizationId createdDateTime modifiedDateTime requestorId } }"""
EXPORTED = "query($id: ID!) { exportRequest(id: $id) { status assetUri } }"


async def fetch(http: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    async with http.get(url) as response:
        return response.status, await response.read()


@pytest.fixture
async def finished(emulator: Emulator, create_job: Any) -> str:
    """The data object of a finished transcription."""
    await create_job(target={"name": "N"})
    emulator.clock.advance(7)
    return str(emulator.ledger.submissions[-1].target_id)


@pytest.mark.parametrize(
    ("engine_id", "results"),
    [
        ("insert-into-index", 0),
        ("thumbnail-generator", 0),
        ("mention-generate", 0),
        ("download-file", 0),
        ("transcribe-speechmatics-container-en-us", 1),
    ],
)
async def test_documented_engines_run_and_only_speech_has_a_transcript(
    emulator: Emulator, aiware: Any, create_job: Any, engine_id: str, results: int
) -> None:
    """A task of `insert-into-index` completes without a result; a transcription writes one."""
    job_id = await create_job(tasks=[{"engineId": engine_id}])
    emulator.clock.advance(7)
    document = """query($id: ID!) { job(id: $id) { status tasks { records { engine { id category { name } } } } }
        engineResults(jobId: $id) { records { taskId } } }"""
    data = (await aiware(document, id=job_id))["data"]
    assert data["job"]["status"] == "complete"
    (task,) = data["job"]["tasks"]["records"]
    category = "Transcription" if results else "Utility"
    assert task["engine"] == {"id": engine_id, "category": {"name": category}}
    assert len(data["engineResults"]["records"]) == results


async def test_file_put_at_a_signed_address_can_be_fetched(
    emulator: Emulator, aiware: Any, http: aiohttp.ClientSession
) -> None:
    """404 before the PUT, the same bytes after it, 403 with another signature and after three hours."""
    document = """query { getSignedWritableUrl(key: "a/b.mp4") {
        key bucket url getUrl unsignedUrl expiresInSeconds expiresAtDateTime } }"""
    told = (await aiware(document))["data"]["getSignedWritableUrl"]
    assert (told["key"], told["expiresInSeconds"]) == ("a/b.mp4", 10_800)
    assert told["expiresAtDateTime"] == "2023-11-15T01:13:20.000Z"
    assert (await fetch(http, told["getUrl"]))[0] == 404
    async with http.put(told["url"], data=b"media") as response:
        assert response.status == 200
    assert await fetch(http, told["getUrl"]) == (200, b"media")
    assert (await fetch(http, told["unsignedUrl"]))[0] == 403
    emulator.clock.advance(10_800)
    assert (await fetch(http, told["getUrl"]))[0] == 403
    async with http.put(told["url"], data=b"late") as response:
        assert response.status == 403
    assert (emulator.ledger.count("upload"), emulator.ledger.count("download")) == (2, 4)


async def test_uploads_have_faults_too(emulator: Emulator, aiware: Any, http: aiohttp.ClientSession) -> None:
    """A server error at the PUT: nothing is stored."""
    told = (await aiware("{ getSignedWritableUrl { url getUrl } }"))["data"]["getSignedWritableUrl"]
    emulator.faults.add(Fault("server_error", operation="upload", provider="aiware"))
    async with http.put(told["url"], data=b"media") as response:
        assert response.status == 502
    assert (await fetch(http, told["getUrl"]))[0] == 404


async def test_result_asset_has_an_address_and_a_text(aiware: Any, http: aiohttp.ClientSession, finished: str) -> None:
    """signedUri serves the transcript, `transform` gives its words; media has the address that it was created with."""
    await aiware(
        'mutation($id: ID!) { createAsset(input: {containerId: $id, uri: "https://m.example.invalid/a"}) { id } }',
        id=finished,
    )
    document = """query($id: ID!) { temporalDataObject(id: $id) { assets { records {
        assetType uri signedUri jsondata transform(transformFunction: Transcript2Text) } } } }"""
    records = (await aiware(document, id=finished))["data"]["temporalDataObject"]["assets"]["records"]
    assets = {record["assetType"]: record for record in records}
    transcript, media = assets["vtn-standard"], assets["media"]
    async with http.get(transcript["signedUri"]) as response:
        assert await response.json() == transcript["jsondata"]
    assert transcript["transform"] == "We the people"
    assert (media["signedUri"], media["transform"]) == ("https://m.example.invalid/a", None)


async def test_export_request_is_incomplete_then_complete_with_a_file(
    emulator: Emulator, aiware: Any, http: aiohttp.ClientSession, finished: str
) -> None:
    """A second kind of job: polled for 7 s, then its file has the words of the data object's transcripts."""
    formats = [{"extension": "ttml", "options": {"maxCharacterPerLine": 32}}]
    outputs = [{"engineId": TRANSCRIBER, "categoryId": TRANSCRIPTION, "formats": formats}]
    values = {"includeMedia": True, "tdoData": [{"tdoId": finished}], "outputConfigurations": outputs}
    export = (await aiware(EXPORT, input=values))["data"]["createExportRequest"]
    assert (export["status"], export["assetUri"]) == ("incomplete", None)
    assert emulator.ledger.submissions[-1].job_id == export["id"]
    emulator.clock.advance(7)
    told = (await aiware(EXPORTED, id=export["id"]))["data"]["exportRequest"]
    assert told["status"] == "complete"
    assert await fetch(http, told["assetUri"]) == (200, b"We the people")


async def test_export_request_can_fail_and_needs_known_data_objects(
    emulator: Emulator, aiware: Any, finished: str
) -> None:
    """A job fault ends it as failed, without a file; no data object, an unknown one or an unknown id are refused."""
    emulator.faults.add(JobFault("job_fails", operation="createExportRequest"))
    export = await aiware(EXPORT, input={"tdoData": [{"tdoId": finished}]})
    emulator.clock.advance(7)
    told = await aiware(EXPORTED, id=export["data"]["createExportRequest"]["id"])
    assert told["data"]["exportRequest"] == {"status": "failed", "assetUri": None}
    replies = [
        await aiware(EXPORT, input={}),
        await aiware(EXPORT, input={"tdoData": [{"tdoId": "1"}]}),
        await aiware(EXPORTED, id="none"),
    ]
    assert [reply["errors"][0]["name"] for reply in replies] == ["invalid_input", "not_found", "not_found"]


async def test_data_object_can_be_changed(aiware: Any, finished: str) -> None:
    """updateTDO changes the fields that it names, and no others."""
    document = """mutation($input: UpdateTDO) { updateTDO(input: $input) { id name description details isPublic } }"""
    values = {"id": finished, "description": "D", "details": {"a": 1}}
    told = (await aiware(document, input=values))["data"]["updateTDO"]
    assert told == {"id": finished, "name": "N", "description": "D", "details": {"a": 1}, "isPublic": False}
    assert (await aiware(document, input={"id": "1"}))["errors"][0]["name"] == "not_found"


async def test_results_and_engines_are_found_by_category(aiware: Any, finished: str) -> None:
    """Transcription has the transcript; another category is empty; engines and libraries are listed."""
    document = """query($id: ID!, $category: ID!, $text: String) {
        engineResults(tdoId: $id, engineCategoryIds: [$category]) { records { engineId } }
        engines(categoryId: $text) { records { category { id } } }
        engineCategories(id: $category) { records { name categoryType } } libraries { records { id name } } }"""
    data = (await aiware(document, id=finished, category=TRANSCRIPTION, text=TRANSCRIPTION))["data"]
    assert data["engineResults"]["records"] == [{"engineId": TRANSCRIBER}]
    assert {engine["category"]["id"] for engine in data["engines"]["records"]} == {TRANSCRIPTION}
    assert data["engineCategories"]["records"] == [{"name": "Transcription", "categoryType": "transcript"}]
    assert data["libraries"]["records"]
    other = (await aiware(document, id=finished, category="other", text="other"))["data"]
    assert [other[name]["records"] for name in ("engineResults", "engines", "engineCategories")] == [[], [], []]


async def test_named_jobs_of_a_data_object_come_in_the_order_asked(
    emulator: Emulator, aiware: Any, create_job: Any, finished: str
) -> None:
    """createJob keeps the name; `TemporalDataObject.jobs` sorts and pages, and is oldest first without arguments."""
    second = await create_job(targetId=finished, name="second")
    document = """query($id: ID!, $sorts: [JobSortField!], $limit: Int) { temporalDataObject(id: $id) {
        jobs(orderBy: $sorts, limit: $limit) { records { id name } } } }"""

    async def names(**arguments: Any) -> list[str | None]:
        reply = await aiware(document, id=finished, **arguments)
        return [job["name"] for job in reply["data"]["temporalDataObject"]["jobs"]["records"]]

    assert await names(sorts=[{"field": "createdDateTime"}], limit=1) == ["second"]
    assert await names() == [None, "second"]
    assert emulator.aiware.jobs[second].name == "second"


async def test_asset_can_be_deleted(aiware: Any, emulator: Emulator, finished: str) -> None:
    """deleteAsset removes it from its data object; a second time it is not found."""
    asset = emulator.aiware.add_asset(emulator.aiware.tdos[finished], {"uri": "https://m.example.invalid/a"})
    document = "mutation($id: ID!) { deleteAsset(id: $id) { id } }"
    assert (await aiware(document, id=asset.id))["data"]["deleteAsset"] == {"id": asset.id}
    assert (await aiware(document, id=asset.id))["errors"][0]["name"] == "not_found"
