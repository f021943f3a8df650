"""Datasaur's jobs and projects."""

from typing import Any

import pytest

from graphql_jobs.emulator import Behaviour, Emulator

CREATE = "mutation($input: LaunchProjectInput!) { createProject(input: $input) { name job { id status } } }"
PROJECTS = """query($filter: GetProjectsFilterInput) { getProjects(input: {filter: $filter}) {
    totalCount nodes { id name } } }"""
FULL = """query($id: String!) { getJob(jobId: $id) {
    id status progress errors { id } resultId createdAt updatedAt result } }"""
GET_JOBS = "query($ids: [String!]!) { getJobs(jobIds: $ids) { id } }"


def project_input(name: str, **values: Any) -> dict[str, Any]:
    documents = [{"document": {"name": "a.txt", "objectKey": "temp/upload-proxy/a.txt"}}]
    return {"name": name, "kinds": ["TOKEN_BASED"], "documents": documents, **values}


async def test_job_is_queued_then_in_progress_then_delivered(
    emulator: Emulator, datasaur: Any, auto_label: Any
) -> None:
    """Pace 2 s + 5 s; progress stays 0; createdAt equals updatedAt at first."""
    job_id = await auto_label()
    seen = []
    for advance_s in (0, 2, 5):
        emulator.clock.advance(advance_s)
        seen.append((await datasaur(FULL, id=job_id))["data"]["getJob"])
    assert [job["status"] for job in seen] == ["QUEUED", "IN_PROGRESS", "DELIVERED"]
    assert {job["progress"] for job in seen} == {0}
    assert seen[0]["createdAt"] == seen[0]["updatedAt"] == "2023-11-14T22:13:20.000Z"
    assert seen[2]["updatedAt"] == "2023-11-14T22:13:27.000Z"


async def test_project_exists_once_its_job_is_delivered(emulator: Emulator, datasaur: Any) -> None:
    """resultId and getProjects know it at 7 s, not before; the key in the ledger is its name."""
    reply = await datasaur(CREATE, input=project_input("Unique", teamId="9", tagNames=["label-1"]))
    job_id = reply["data"]["createProject"]["job"]["id"]
    wanted = {"teamId": "9", "keyword": "unique"}
    assert (await datasaur(PROJECTS, filter=wanted))["data"]["getProjects"]["totalCount"] == 0
    assert (await datasaur(FULL, id=job_id))["data"]["getJob"]["resultId"] is None
    emulator.clock.advance(7)
    result_id = (await datasaur(FULL, id=job_id))["data"]["getJob"]["resultId"]
    assert len(result_id) == 11
    for found in (wanted, {"teamId": "9", "keyword": "LABEL-1"}):
        nodes = (await datasaur(PROJECTS, filter=found))["data"]["getProjects"]["nodes"]
        assert nodes == [{"id": result_id, "name": "Unique"}]
    assert (await datasaur(PROJECTS, filter={"keyword": "unique"}))["data"]["getProjects"]["totalCount"] == 0
    assert emulator.ledger.jobs_by_key() == {"Unique": [job_id]}


async def test_names_are_not_unique(emulator: Emulator, datasaur: Any) -> None:
    """A blind retry creates two projects."""
    for _ in range(2):
        await datasaur(CREATE, input=project_input("Twin"))
    emulator.clock.advance(7)
    assert (await datasaur(PROJECTS, filter={"keyword": "Twin"}))["data"]["getProjects"]["totalCount"] == 2
    assert len(emulator.ledger.jobs_by_key()["Twin"]) == 2


async def test_unknown_job_is_null_without_errors(datasaur: Any) -> None:
    """getJob: data.getJob null, and empty extensions as in the docs' samples."""
    assert await datasaur(FULL, id="none") == {"data": {"getJob": None}, "extensions": {}}


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Behaviour(), ["first", None, "second"]),
        (Behaviour(missing_jobs="omit"), ["first", "second"]),
        (Behaviour(reverse_get_jobs=True), ["second", None, "first"]),
    ],
    indirect=["behaviour"],
)
async def test_get_jobs_answers_in_order_with_null_for_unknown(
    emulator: Emulator, datasaur: Any, expected: list[str | None]
) -> None:
    """By default; settings omit unknown jobs, or reverse the order."""
    for job_id in ("first", "second"):
        emulator.datasaur.plant(job_id)
    jobs = (await datasaur(GET_JOBS, ids=["first", "none", "second"]))["data"]["getJobs"]
    assert [job and job["id"] for job in jobs] == expected


async def test_unknown_project_is_an_error_and_nothing_is_started(emulator: Emulator, datasaur: Any) -> None:
    """calculateAgreementTables for an unknown project: message and extensions, data null, no submission."""
    reply = await datasaur('mutation { calculateAgreementTables(projectId: "none") { id } }')
    assert reply["data"] is None
    assert reply["errors"][0]["extensions"]["type"]
    assert emulator.ledger.submissions == []


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (
            "calculateAgreementTables",
            'mutation { r: calculateAgreementTables(projectId: "HvdyIL2iwZn") { id status } }',
        ),
        ("replicateCabinet", 'query { r: replicateCabinet(projectId: "HvdyIL2iwZn", role: LABELER) { id status } }'),
        ("runAutomation", 'mutation { r: runAutomation(automationId: "1", type: PROJECT_CREATION) { id status } }'),
        (
            "collectDataset",
            'mutation { r: collectDataset(input: {mlModelSettingId: "1", teamId: "2", version: 3}) { id status } }',
        ),
        (
            "getDataProgrammingPredictions",
            'query { r: getDataProgrammingPredictions(input: {dataProgrammingId: "1", documents: []}) { id status } }',
        ),
    ],
)
async def test_every_other_starter_starts_a_job(
    emulator: Emulator, datasaur: Any, operation: str, document: str
) -> None:
    """Mutations and queries: QUEUED, and one entry in the ledger."""
    job = (await datasaur(document))["data"]["r"]
    (submission,) = emulator.ledger.submissions
    assert job == {"id": submission.job_id, "status": "QUEUED"}
    assert submission.operation == operation


async def test_added_documents_have_ids(datasaur: Any) -> None:
    """addDocumentsToProject returns additionalData.documentIds."""
    document = """mutation($input: AddDocumentsToProjectInput!) { addDocumentsToProject(input: $input) {
        name job { additionalData { documentIds } } } }"""
    values = {"projectId": "HvdyIL2iwZn", "documents": project_input("x")["documents"]}
    answer = (await datasaur(document, input=values))["data"]["addDocumentsToProject"]
    assert len(answer["job"]["additionalData"]["documentIds"]) == 1


async def test_chart_is_exported_to_a_file(emulator: Emulator, datasaur: Any) -> None:
    """exportChart answers like every export: an id that getJob knows, and an address."""
    document = """query($input: AnalyticsDashboardQueryInput) {
        exportChart(id: "LABELS", input: $input, method: FILE_STORAGE) { exportId fileUrl } }"""
    export = (await datasaur(document, input={"teamId": "9"}))["data"]["exportChart"]
    assert export["fileUrl"]
    assert (await datasaur(FULL, id=export["exportId"]))["data"]["getJob"]["status"] == "QUEUED"
    assert [item.operation for item in emulator.ledger.submissions] == ["exportChart"]
