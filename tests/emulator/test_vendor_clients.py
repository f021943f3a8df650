"""Requests in the order and form in which the vendors' own clients send them, from credentials to the file.

Datasaur's clients are in no package index, so their requests are written down here: the command-line tool (robosaur)
sends JSON with a query string for its logs, the Python samples (api-client-example) send forms and sign in by Basic.
Veritone's file picker is in the npm package veritone-widgets.
"""

import asyncio
import base64
import io
import json
import uuid
import zipfile
from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Emulator

JOB = "id status progress errors { id stack args } resultId result createdAt updatedAt"
MEMBERS = """query GetTeamMembersPaginated($input: GetTeamMembersPaginatedInput!) {
    getTeamMembersPaginated(input: $input) { totalCount pageInfo { nextCursor } nodes { id user { email } } } }"""
LAUNCH = f"""mutation LaunchTextProjectAsyncMutation($input: LaunchTextProjectInput!) {{
    launchTextProjectAsync(input: $input) {{ job {{ {JOB} }} name }} }}"""
GET_JOBS = f"query GetJobs($jobIds: [String!]!) {{ jobs: getJobs(jobIds: $jobIds) {{ {JOB} }} }}"
GET_PROJECTS = """query GetProjects($input: GetProjectsPaginatedInput!) { getProjects(input: $input) {
    totalCount pageInfo { nextCursor } nodes { id name status createdDate completedDate tags { id name }
    assignees { role teamMember { user { email } } } } } }"""
EXPORT = """query ExportTextProjectQuery($input: ExportTextProjectInput!) {
    result: exportTextProject(input: $input) { exportId fileUrl fileUrlExpiredAt queued redirect } }"""
DELIVERY = """query GetExportDeliveryStatus($exportId: ID!) {
    exportDeliveryStatus: getExportDeliveryStatus(exportId: $exportId) { deliveryStatus errors { id stack args } } }"""
CREATE = f"""mutation CreateProjectMutation($input: LaunchProjectInput!) {{
    result: createProject(input: $input) {{ name job {{ {JOB} }} }} }}"""
UNFINISHED = ("IN_PROGRESS", "QUEUED", "NONE")


class Client:
    """What both clients have in common: the address, the token and the upload of files."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self.emulator, self.http, self.token = emulator, http, ""

    async def upload(self, name: str) -> str:
        form = aiohttp.FormData()
        form.add_field("file", b"text", filename=name)
        url = f"{self.emulator.url}/api/static/proxy/upload"
        async with self.http.post(url, data=form, headers={"Authorization": f"Bearer {self.token}"}) as response:
            return str((await response.json())["objectKey"])

    async def download(self, url: str) -> zipfile.ZipFile:
        async with self.http.get(url) as response:
            assert response.status == 200
            return zipfile.ZipFile(io.BytesIO(await response.read()))

    async def token_for(self, headers: dict[str, str], **form: str) -> None:
        url, form = f"{self.emulator.url}/api/oauth/token", {"grant_type": "client_credentials", **form}
        async with self.http.post(url, data=form, headers=headers) as response:
            self.token = (await response.json())["access_token"]


class CommandLineTool(Client):
    """robosaur: JSON, `?graphql=<name>`, an id per request; a rejected token is renewed once."""

    async def sign_in(self) -> None:
        accounts = self.emulator.accounts
        await self.token_for({}, client_id=accounts.datasaur_client_id, client_secret=accounts.datasaur_client_secret)

    async def ask(self, name: str, query: str, **variables: Any) -> Any:
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self.token}", "x-request-id": str(uuid.uuid4()), "user-agent": "tool"}
            body = {"query": query, "variables": variables}
            url = f"{self.emulator.url}/graphql?graphql={name}"
            async with self.http.post(url, json=body, headers=headers) as response:
                reply = await response.json()
            if "errors" not in reply:
                return reply["data"]
            assert reply["errors"][0]["message"] == "Unauthorized", reply
            assert reply["errors"][0]["extensions"]["type"] == "AuthenticationError"
            await self.sign_in()
        raise AssertionError("a new token is rejected")

    async def until_no_job_is_unfinished(self, job_ids: list[str]) -> list[Any]:
        for _ in range(10):
            jobs: list[Any] = (await self.ask("GetJobs", GET_JOBS, jobIds=job_ids))["jobs"]
            if not any(job["status"] in UNFINISHED for job in jobs):
                return jobs
            self.emulator.clock.advance(5)
        raise AssertionError("a job does not end")

    async def create_project(self, name: str, member_id: str) -> str:
        file = {"fileName": "a.txt", "externalImportableUrl": await self.upload("a.txt"), "settings": {}}
        values = {
            "name": name,
            "teamId": "9",
            "documentSettings": {"kind": "TOKEN_BASED", "allTokensMustBeLabeled": False},
            "documents": [file],
            "documentAssignments": [{"teamMemberId": member_id, "role": "REVIEWER"}],
            "projectSettings": {"consensus": 1},
            "type": "POS",
            "labelSets": [{"label": "PER", "config": {"options": []}}],
            "tagNames": ["OUTPUT"],
        }
        launched = await self.ask("LaunchTextProjectAsyncMutation", LAUNCH, input=values)
        assert launched["launchTextProjectAsync"]["name"] == name
        return str(launched["launchTextProjectAsync"]["job"]["id"])

    async def export(self, project: dict[str, Any]) -> list[str]:
        values = {
            "projectIds": [project["id"]],
            "role": "REVIEWER",
            "format": "JSON_ADVANCED",
            "fileName": project["name"],
        }
        export = (await self.ask("Export", EXPORT, input={**values, "method": "FILE_STORAGE"}))["result"]
        (job,) = await self.until_no_job_is_unfinished([export["exportId"]])
        assert job["status"] == "DELIVERED"
        return (await self.download(export["fileUrl"])).namelist()


@pytest.fixture
async def tool(emulator: Emulator, http: aiohttp.ClientSession) -> CommandLineTool:
    """The tool after its sign-in."""
    tool = CommandLineTool(emulator, http)
    await tool.sign_in()
    return tool


async def test_tool_creates_projects_and_exports_them(emulator: Emulator, tool: CommandLineTool) -> None:
    """`create-projects` (health, members, uploads, launches), then `export-projects` without a state file, one by one.

    Each archive has the project's folder, with REVIEW in it, which the tool unpacks.
    """
    async with tool.http.get(f"{emulator.url}/api/health") as response:
        assert response.status == 200
    members = await tool.ask("Members", MEMBERS, input={"filter": {"teamId": "9"}, "page": {"skip": 0, "take": 50}})
    by_email = {node["user"]["email"]: node["id"] for node in members["getTeamMembersPaginated"]["nodes"]}
    job_ids = [await tool.create_project(name, by_email["reviewer@example.invalid"]) for name in ("one", "two")]
    project_ids = [job["resultId"] for job in await tool.until_no_job_is_unfinished(job_ids)]

    wanted = {"teamId": "9", "kinds": [], "statuses": ["CREATED"], "keyword": "", "tags": ["OUTPUT"]}
    page = await tool.ask("GetProjects", GET_PROJECTS, input={"filter": wanted, "page": {"skip": 0, "take": 50}})
    projects = page["getProjects"]["nodes"]
    assert {project["id"] for project in projects} == {*project_ids}
    assert projects[0]["assignees"] == [
        {"role": "REVIEWER", "teamMember": {"user": {"email": "reviewer@example.invalid"}}}
    ]
    for project in projects:
        names = await tool.export(project)
        assert all(name.startswith(f"{project['name']}-{project['id']}/") for name in names)
        assert any("/REVIEW/" in name for name in names)


async def test_tool_continues_with_its_state_file(emulator: Emulator, tool: CommandLineTool) -> None:
    """Jobs of a state file: one is delivered, one is unknown now and found by its project's name; a token expired."""
    job_id = await tool.create_project("kept", "1")
    emulator.clock.advance(7200)
    known, unknown = (await tool.ask("GetJobs", GET_JOBS, jobIds=[job_id, "ProjectLaunchQueue:lost"]))["jobs"]
    assert (known["status"], unknown) == ("DELIVERED", None)
    found = await tool.ask("GetProjects", GET_PROJECTS, input={"filter": {"teamId": "9", "keyword": "kept"}})
    assert [node["id"] for node in found["getProjects"]["nodes"]] == [known["resultId"]]
    assert emulator.ledger.tokens_issued == 2


async def test_tool_tags_projects(emulator: Emulator, tool: CommandLineTool) -> None:
    """`apply-tags`: the team's tags, a new one, and an update per project."""
    projects = [emulator.datasaur.plant_project(name=name, team_id="9") for name in ("one", "two")]
    tags = await tool.ask(
        "GetTags", "query GetTags($input: GetTagsInput!) { getTags(input: $input) { id name } }", input={"teamId": "9"}
    )
    assert tags == {"getTags": []}
    create = "mutation CreateTag($input: CreateTagInput!) { createTag(input: $input) { id name } }"
    tag = (await tool.ask("CreateTag", create, input={"teamId": "9", "name": "DONE"}))["createTag"]
    update = "mutation UpdateProject($input: UpdateProjectInput!) { updateProject(input: $input) { tags { name } } }"
    for project in projects:
        told = await tool.ask("UpdateProject", update, input={"projectId": project.id, "tagIds": [tag["id"]]})
        assert told["updateProject"]["tags"] == [{"name": "DONE"}]


class PythonSamples(Client):
    """api-client-example: Basic, then URL-encoded forms whose variables are JSON text."""

    async def sign_in(self) -> None:
        accounts = self.emulator.accounts
        pair = base64.b64encode(f"{accounts.datasaur_client_id}:{accounts.datasaur_client_secret}".encode()).decode()
        await self.token_for({"Authorization": f"Basic {pair}"})

    async def ask(self, name: str, query: str, **variables: Any) -> Any:
        form = {"query": query, "operationName": name, "variables": json.dumps(variables)}
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.post(f"{self.emulator.url}/graphql", data=form, headers=headers) as response:
            assert (response.status, response.content_type) == (200, "application/json")
            return (await response.json())["data"]


async def test_python_samples_create_a_project_and_export_it(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Eight uploads at once, createProject, getJob to the end, export, getExportDeliveryStatus to the end, the file."""
    samples = PythonSamples(emulator, http)
    await samples.sign_in()
    names = [f"{number}.txt" for number in range(8)]
    keys = await asyncio.gather(*map(samples.upload, names))
    values = {
        "teamId": "9",
        "name": "sample",
        "kinds": ["TOKEN_BASED"],
        "purpose": "LABELING",
        "creationSettings": {"tokenizer": "WINK"},
        "documents": [{"document": {"name": name, "objectKey": key}} for name, key in zip(names, keys, strict=True)],
        "tokenLabelSets": [{"label": "PER", "config": {"options": []}}],
    }
    job = (await samples.ask("CreateProjectMutation", CREATE, input=values))["result"]["job"]
    get_job = f"query GetJobQuery($jobId: String!) {{ job: getJob(jobId: $jobId) {{ {JOB} }} }}"
    while job["status"] not in ("DELIVERED", "FAILED"):
        emulator.clock.advance(5)
        job = (await samples.ask("GetJobQuery", get_job, jobId=job["id"]))["job"]
    values = {"projectIds": [job["resultId"]], "role": "REVIEWER", "format": "JSON_ADVANCED", "fileName": "out"}
    export = (await samples.ask("ExportTextProjectQuery", EXPORT, input={**values, "method": "FILE_STORAGE"}))["result"]
    status = ""
    while status not in ("DELIVERED", "FAILED"):
        emulator.clock.advance(0.5)
        told = await samples.ask("GetExportDeliveryStatus", DELIVERY, exportId=export["exportId"])
        status = told["exportDeliveryStatus"]["deliveryStatus"]
    assert (await samples.download(export["fileUrl"])).namelist()[0].startswith(f"sample-{job['resultId']}/REVIEW/")


async def test_python_samples_apply_labels_from_files(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """replicateCabinet as each labeler, and getJobs as the administrator for the unfinished ones only."""
    admin, labeler = PythonSamples(emulator, http), PythonSamples(emulator, http)
    await admin.sign_in()
    await labeler.sign_in()
    replicate = f'query Replicate {{ result: replicateCabinet(projectId: "HvdyIL2iwZn", role: LABELER) {{ {JOB} }} }}'
    unfinished = [(await labeler.ask("Replicate", replicate))["result"]["id"] for _ in range(2)]
    assert all(job_id.startswith("CabinetReplicationJobQueue:") for job_id in unfinished)
    polls = 0
    while unfinished:
        emulator.clock.advance(2)
        jobs = (await admin.ask("GetJobs", GET_JOBS, jobIds=unfinished))["jobs"]
        unfinished = [job["id"] for job in jobs if job["status"] != "DELIVERED"]
        polls += 1
    assert polls == 4


async def test_file_picker_uploads_media_and_starts_a_job(
    emulator: Emulator, http: aiohttp.ClientSession, aiware: Any
) -> None:
    """A signed address, the PUT, a data object with the unsigned address, and a job on the asset's signed address."""
    urls = """query urls($name: String!) { getSignedWritableUrl(key: $name) {
        url key bucket expiresInSeconds getUrl unsignedUrl } }"""
    told = (await aiware(urls, name="1234-a b?.mp4"))["data"]["getSignedWritableUrl"]
    async with http.put(told["url"], data=b"media", headers={"Content-Type": "video/mp4"}) as response:
        assert response.status == 200
    create = """mutation ($input: CreateTDOWithAsset!) { createTDOWithAsset(input: $input) {
        id name startDateTime stopDateTime thumbnailUrl sourceImageUrl
        primaryAsset (assetType: "media") { id name contentType signedUri }
        createdDateTime modifiedDateTime streams { uri protocol } } }"""
    values = {
        "name": "a.mp4",
        "contentType": "video/mp4",
        "uri": told["unsignedUrl"],
        "startDateTime": "2026-11-28T12:00:00.000Z",
        "updateStopDateTimeFromAsset": True,
        "sourceId": "-1",
        "isPublic": False,
        "assetType": "media",
        "addToIndex": True,
        "sourceData": {"sourceId": "-1"},
    }
    tdo = (await aiware(create, input=values))["data"]["createTDOWithAsset"]
    media = tdo["primaryAsset"]["signedUri"]
    async with http.get(media) as response:
        assert (await response.read(), response.content_type) == (b"media", "video/mp4")
    task = {"engineId": "9e611ad7-2d3b-48f6-a51b-0a1ba40fe255", "payload": {"tdoId": tdo["id"], "url": media}}
    start = "mutation ($input: CreateJob!) { createJob(input: $input) { id } }"
    reply = await aiware(start, input={"targetId": tdo["id"], "tasks": [task]})
    assert emulator.ledger.submissions[-1].job_id == reply["data"]["createJob"]["id"]
