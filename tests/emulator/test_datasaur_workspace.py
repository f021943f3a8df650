"""Teams, tags, label sets and projects of Datasaur: what clients send around their jobs."""

from typing import Any

import aiohttp
import pytest

from graphql_jobs.emulator import Behaviour, Emulator

DOCUMENTS = [{"document": {"name": "a.txt", "objectKey": "temp/upload-proxy/a.txt"}}]
MEMBERS = """query($input: GetTeamMembersPaginatedInput!) { getTeamMembersPaginated(input: $input) {
    totalCount pageInfo { nextCursor } nodes { id user { email } role { name } } } }"""
PROJECTS = """query($filter: GetProjectsFilterInput) { getProjects(input: {filter: $filter}) { nodes {
    id name completedDate tags { id name } assignees { teamMember { id } role documentIds } } } }"""


async def projects(datasaur: Any, **wanted: Any) -> Any:
    return (await datasaur(PROJECTS, filter=wanted))["data"]["getProjects"]["nodes"]


async def test_health_needs_no_token(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """GET /api/health: 200 and JSON, and one entry in the ledger."""
    async with http.get(f"{emulator.url}/api/health") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    assert emulator.ledger.count("health") == 1


@pytest.mark.parametrize(
    "behaviour", [Behaviour(team_members=("a@x.invalid", "b@x.invalid", "c@y.invalid"))], indirect=True
)
async def test_team_members_come_in_pages(datasaur: Any, behaviour: Behaviour) -> None:
    """Three members, two per page, then the third by cursor; a keyword filters by address."""
    first = await datasaur(MEMBERS, input={"filter": {"teamId": "9"}, "page": {"skip": 0, "take": 2}})
    page = first["data"]["getTeamMembersPaginated"]
    assert (page["totalCount"], [node["id"] for node in page["nodes"]]) == (3, ["1", "2"])
    cursor = page["pageInfo"]["nextCursor"]
    last = await datasaur(MEMBERS, input={"teamId": "9", "cursor": cursor, "page": {"skip": 0, "take": 2}})
    assert [node["user"]["email"] for node in last["data"]["getTeamMembersPaginated"]["nodes"]] == ["c@y.invalid"]
    found = await datasaur(MEMBERS, input={"filter": {"teamId": "9", "keyword": "Y.INVALID"}})
    assert found["data"]["getTeamMembersPaginated"]["totalCount"] == 1


async def test_created_tag_is_listed_and_can_be_given_to_a_project(emulator: Emulator, datasaur: Any) -> None:
    """createTag, getTags of its team only, updateProject, and a search by tag."""
    project = emulator.datasaur.plant_project(team_id="9")
    created = await datasaur('mutation { createTag(input: {teamId: "9", name: "urgent"}) { id name globalTag } }')
    tag = created["data"]["createTag"]
    for team_id, expected in (("9", ["urgent"]), ("8", [])):
        tags = await datasaur("query($id: ID) { getTags(input: {teamId: $id}) { id name } }", id=team_id)
        assert [one["name"] for one in tags["data"]["getTags"]] == expected
    update = "mutation($input: UpdateProjectInput!) { updateProject(input: $input) { id name tags { name } } }"
    values = {"projectId": project.id, "tagIds": [tag["id"]], "name": "New name"}
    reply = (await datasaur(update, input=values))["data"]["updateProject"]
    assert reply == {"id": project.id, "name": "New name", "tags": [{"name": "urgent"}]}
    assert [one["id"] for one in await projects(datasaur, teamId="9", tags=[tag["id"]])] == [project.id]
    blank = await datasaur('mutation { createTag(input: {name: " "}) { id } }')
    assert blank["errors"][0]["extensions"]["type"]


async def test_label_set_gets_ids(datasaur: Any) -> None:
    """createLabelSet answers the labels as they were sent, with ids."""
    document = """mutation($input: CreateLabelSetInput!) { createLabelSet(input: $input) {
        id name index tagItems { id tagName color } } }"""
    values = {
        "name": "Names",
        "index": 1,
        "tagItems": [{"tagName": "PER", "color": "#fff"}, {"id": "7", "tagName": "ORG"}],
    }
    label_set = (await datasaur(document, input=values))["data"]["createLabelSet"]
    assert (label_set["name"], label_set["index"]) == ("Names", 1)
    first, second = label_set["tagItems"]
    assert (first["tagName"], first["color"], second["id"], second["tagName"]) == ("PER", "#fff", "7", "ORG")
    assert label_set["id"]
    assert first["id"]


async def test_assignees_are_the_known_members_of_the_assignments(emulator: Emulator, datasaur: Any) -> None:
    """By email or teamMemberId, with the names of their documents; an unknown address is no assignee."""
    assignments = [
        {"email": "reviewer@example.invalid", "role": "REVIEWER"},
        {"teamMemberId": "1", "role": "LABELER", "documents": [{"fileName": "a.txt", "part": 0}]},
        {"email": "stranger@example.invalid"},
    ]
    values = {"name": "P", "kinds": ["TOKEN_BASED"], "documents": DOCUMENTS, "documentAssignments": assignments}
    await datasaur("mutation($i: LaunchProjectInput!) { createProject(input: $i) { name } }", i=values)
    emulator.clock.advance(7)
    (project,) = [one for one in await projects(datasaur) if one["name"] == "P"]
    assert project["assignees"] == [
        {"teamMember": {"id": "2"}, "role": "REVIEWER", "documentIds": []},
        {"teamMember": {"id": "1"}, "role": "LABELER", "documentIds": ["a.txt"]},
    ]
    assert project["completedDate"] is None


async def test_projects_are_found_by_kind_and_status(emulator: Emulator, datasaur: Any) -> None:
    """`documentSettings.kind` of the older mutation counts; no kinds are all kinds; a complete project has a date."""
    done = emulator.datasaur.plant_project(name="Done", team_id="9", status="COMPLETE")
    launch = "mutation($i: LaunchTextProjectInput!) { launchTextProjectAsync(input: $i) { name } }"
    await datasaur(launch, i={"name": "Rows", "teamId": "9", "documentSettings": {"kind": "ROW_BASED"}})
    emulator.clock.advance(7)

    async def names(**wanted: Any) -> list[str]:
        return [one["name"] for one in await projects(datasaur, teamId="9", **wanted)]

    assert await names(kinds=["ROW_BASED"]) == ["Rows"]
    assert await names(kinds=[]) == ["Rows", "Done"]
    assert await names(kinds=["BBOX_BASED"]) == []
    assert await names(statuses=["COMPLETE"]) == ["Done"]
    completed = {one["id"]: one["completedDate"] for one in await projects(datasaur, teamId="9")}
    assert [project_id for project_id, at in completed.items() if at] == [done.id]
