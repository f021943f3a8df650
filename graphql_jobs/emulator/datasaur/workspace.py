"""Teams, tags, label sets and the parts of a project. All answers are invented: only the fields' names are known."""

from typing import Any

from graphql_jobs.emulator.datasaur.errors import DatasaurError
from graphql_jobs.emulator.datasaur.model import Project
from graphql_jobs.emulator.datasaur.readers import paged
from graphql_jobs.emulator.datasaur.world import Info
from graphql_jobs.emulator.execution import Resolver, bind
from graphql_jobs.emulator.lifecycle import iso_text


def _members(info: Info) -> list[dict[str, Any]]:
    """Return the members of every team, from `Behaviour.team_members`; their ids count from 1."""
    return [
        {
            "id": str(number),
            "user": {"id": str(number), "email": email, "name": email, "displayName": email},
            "role": {"id": "1", "name": "LABELER"},
            "invitationEmail": email,
            "invitationStatus": "ACCEPTED",
            "isDeleted": False,
            "joinedDate": iso_text(0),
        }
        for number, email in enumerate(info.context.world.behaviour.team_members, 1)
    ]


def _get_members(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    keyword = ((input.get("filter") or {}).get("keyword") or "").lower()
    return paged([member for member in _members(info) if keyword in member["user"]["email"].lower()], input)


def _tag(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "globalTag": False}


def _get_tags(_root: None, info: Info, input: dict[str, Any]) -> list[dict[str, Any]]:
    world, team_id = info.context.world, input.get("teamId")
    created = [name for name, its_team in world.tags.items() if its_team == team_id]
    used = [name for project in world.projects.values() if project.team_id == team_id for name in project.tags]
    return [_tag(name) for name in dict.fromkeys(created + used)]


def _create_tag(_root: None, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    if not input["name"].strip():
        raise DatasaurError("A tag needs a name", "invalid_input")
    info.context.world.tags[input["name"]] = input.get("teamId")
    return _tag(input["name"])


def _update_project(_root: None, info: Info, input: dict[str, Any]) -> Project:
    project: Project = info.context.world.existing_project(input["projectId"])
    project.name = input.get("name") or project.name
    if input.get("tagIds") is not None:
        project.tags = tuple(input["tagIds"])
    return project


def _create_label_set(_root: None, info: Info, input: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Return the label set with the ids that it lacks. It is not kept: no other answer shows it."""
    ids = info.context.world.ids
    items = [{**item, "id": item.get("id") or ids.uuid()} for item in input["tagItems"]]
    defaults = {"id": ids.uuid(), "index": 0, "arrowLabelRequired": False, "signature": ids.hex(32)}
    given = {name: value for name, value in input.items() if value is not None}
    return {**defaults, **given, "tagItems": items}


def _assignees(project: Project, info: Info) -> list[dict[str, Any]]:
    """Return the assignments of known members. Invented: a document's id is its name."""
    members = _members(info)
    return [
        {
            "teamMember": member,
            "role": assignment.get("role") or "LABELER",
            "documentIds": [document["fileName"] for document in assignment.get("documents") or ()],
        }
        for assignment in project.assignments
        for member in members
        if assignment.get("teamMemberId") == member["id"] or assignment.get("email") == member["user"]["email"]
    ]


QUERIES: dict[str, Resolver] = {"getTeamMembersPaginated": _get_members, "getTags": _get_tags}
MUTATIONS: dict[str, Resolver] = {
    "createTag": _create_tag,
    "createLabelSet": _create_label_set,
    "updateProject": _update_project,
}


def _changed(project: Project) -> str:
    return iso_text(project.updated_at or project.created_at)


project = bind(
    "Project",
    resolvers={
        "createdDate": lambda project, _info: iso_text(project.created_at),
        "updatedDate": lambda project, _info: _changed(project),
        "completedDate": lambda project, _info: _changed(project) if project.status == "COMPLETE" else None,
        "tags": lambda project, _info: [_tag(name) for name in project.tags],
        "assignees": _assignees,
    },
)
