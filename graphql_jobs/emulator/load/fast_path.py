"""Datasaur's status checks, answered without being executed: a benchmark must not measure GraphQL in Python.

It recognises a query with one root field, `getJobs(jobIds: $ids)` or `getJob(jobId: $id)`, and plain fields of the job.
Everything else is executed. Both ways return the same bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import FieldNode, OperationDefinitionNode, OperationType, SelectionSetNode, VariableNode

from graphql_jobs.emulator.bodies import GraphqlRequest
from graphql_jobs.emulator.datasaur.model import Job
from graphql_jobs.emulator.datasaur.world import DatasaurWorld
from graphql_jobs.emulator.execution import Document
from graphql_jobs.emulator.lifecycle import iso_text

_ROOTS = frozenset({"getJobs", "getJob"})
_Read = Callable[[Job, float], Any]
_FIELDS: Mapping[str, _Read] = {
    "id": lambda job, _now_at: job.id,
    "status": lambda job, now_at: job.told_status(now_at),
    "resultId": lambda job, now_at: job.result_id if job.status(now_at) == "DELIVERED" else None,
    "createdAt": lambda job, _now_at: iso_text(job.course.created_at),
    "updatedAt": lambda job, now_at: iso_text(job.course.last_change_at(now_at)),
    "errors": lambda job, now_at: job.errors(now_at),
}


class FastReply(NamedTuple):
    """The `data` of a reply, and the jobs whose statuses are in it."""

    data: dict[str, Any]
    job_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Check:
    """A recognised document."""

    operation_name: str | None
    key: str
    variable: str
    is_list: bool
    fields: tuple[str, ...]
    error_fields: tuple[str, ...]


class FastPath:
    """The recognised checks of one world."""

    def __init__(self, world: DatasaurWorld) -> None:
        self._world = world
        self._has_plain_lists = world.behaviour.missing_jobs == "null" and not world.behaviour.reverse_get_jobs
        self._fields: dict[str, _Read] = {**_FIELDS, "progress": lambda _job, _now_at: world.behaviour.progress}
        self._checks: dict[str, _Check | None] = {}

    def reply(self, request: GraphqlRequest, document: Document, now_at: float) -> FastReply | None:
        """Return the result of the request, or None if it has to be executed."""
        if request.query not in self._checks:
            self._checks[request.query] = self._recognised(document)
        check = self._checks[request.query]
        if check is None or request.operation_name not in (None, check.operation_name):
            return None
        asked = request.variables.get(check.variable)
        wanted = asked if check.is_list else [asked]
        if not isinstance(wanted, list):
            return None
        job_ids = [job_id for job_id in wanted if isinstance(job_id, str)]
        if len(job_ids) < len(wanted):
            return None
        jobs = [self._world.find_job(job_id) for job_id in job_ids]
        if not (self._has_plain_lists if check.is_list else all(jobs)):
            return None
        told = [job and self._told(job, check, now_at) for job in jobs]
        return FastReply({check.key: told if check.is_list else told[0]}, tuple(job.id for job in jobs if job))

    def _told(self, job: Job, check: _Check, now_at: float) -> dict[str, Any]:
        told = {name: self._fields[name](job, now_at) for name in check.fields}
        if told.get("errors"):
            told["errors"] = [{name: error[name] for name in check.error_fields} for error in told["errors"]]
        return told

    def _recognised(self, document: Document) -> _Check | None:
        definitions = document.ast.definitions if document.ast and not document.errors else ()
        operation = definitions[0] if len(definitions) == 1 else None
        if not isinstance(operation, OperationDefinitionNode) or operation.operation is not OperationType.QUERY:
            return None
        roots = _plain_fields(operation.selection_set)
        if operation.directives or len(roots) != 1 or roots[0].name.value not in _ROOTS:
            return None
        root, arguments = roots[0], roots[0].arguments or ()
        fields = _plain_fields(root.selection_set)
        names = tuple(node.name.value for node in fields if not node.arguments and not node.alias)
        variable = arguments[0].value if len(arguments) == 1 else None
        if not isinstance(variable, VariableNode) or len(set(names)) != len(fields):
            return None
        if "status" not in names or not self._fields.keys() >= set(names):
            return None
        inner = {name: _plain_fields(node.selection_set) for name, node in zip(names, fields, strict=True)}
        name = operation.name.value if operation.name else None
        return _Check(
            name,
            (root.alias or root.name).value,
            variable.name.value,
            root.name.value == "getJobs",
            names,
            tuple(node.name.value for node in inner.get("errors", ())),
        )


def _plain_fields(selections: SelectionSetNode | None) -> list[FieldNode]:
    """Return the fields of a selection that has only fields without directives, else none."""
    nodes = selections.selections if selections else ()
    fields = [node for node in nodes if isinstance(node, FieldNode) and not node.directives]
    return fields if len(fields) == len(nodes) else []
