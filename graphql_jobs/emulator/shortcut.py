"""A short way to the answers of known checks, for load: their documents are recognised once, then read from the world.

Without it a benchmark would measure the execution of GraphQL in Python. What is recognised: a query whose roots all
read one job each by a variable (`job(id: $a)`, `getJob(jobId: $a)`) or a list of jobs by one (`getJobs(jobIds: $a)`),
with the fields that the provider's `Shape` knows. Everything else goes the long way, and both give the same bytes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from graphql_jobs.emulator.answers import Answer
from graphql_jobs.emulator.bodies import GraphqlRequest
from graphql_jobs.emulator.execution import Document

# As many documents as the executor keeps.
_PLANS = 1024


@dataclass(frozen=True)
class Moment:
    """What a value may depend on besides its object."""

    now_at: float
    world: Any
    # Of a list inside of a job: null where the document does not say.
    offset: int | None = None
    limit: int | None = None


Read = Callable[[Any, Moment], Any]


def item(name: str) -> Read:
    """How to read a member of a mapping."""
    return lambda source, _moment: source[name]


@dataclass(frozen=True)
class Kind:
    """How one object type is told: its plain fields, and those that hold objects."""

    plain: Mapping[str, Read]
    nested: Mapping[str, tuple[Read, "Kind"]]


@dataclass(frozen=True)
class Shape:
    """What the checks of one provider look like. A field is named with its only argument: ("job", "id")."""

    job: Kind
    one: tuple[str, str]
    many: tuple[str, str] | None
    # The job that a caller may see, or None.
    find: Callable[[Any, str], Any]
    # The next instant after `now_at` at which anything about the job may change by itself.
    changes_at: Callable[[Any, float], float]
    # What the provider puts behind `data`.
    tail: str = ""


@dataclass(frozen=True)
class Quick:
    """An answer, and the jobs whose statuses it holds."""

    answer: Answer
    job_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Wanted:
    key: str
    name: str
    inside: tuple["_Wanted", ...] = ()
    # Variables of `offset` and `limit`.
    page: tuple[str, str] | None = None


@dataclass(eq=False)
class _Plan:
    """A recognised document."""

    operation_name: str | None
    # The beginning of each root's answer (`"j0": `) with the variable that holds its id or ids.
    roots: tuple[tuple[str, str], ...]
    is_list: bool
    wanted: tuple[_Wanted, ...]
    page: tuple[str, str] | None
    # Jobs as they were told, by id and page: the text, the job's course, until when it holds.
    told: dict[tuple[str, int | None, int | None], tuple[str, object, float]] = field(default_factory=dict)


class Declined(Exception):
    """This has to go the long way."""


class Shortcut:
    """One provider's checks."""

    def __init__(self, shape: Shape, world: Any) -> None:
        self._shape = shape
        self._world = world
        self._plans: dict[str, _Plan | None] = {}

    def forget(self) -> None:
        """Something else was asked of the world, which may have changed it."""
        for plan in self._plans.values():
            if plan is not None:
                plan.told.clear()

    def answer(self, request: GraphqlRequest, document: Document, now_at: float) -> Quick | None:
        """What executing the request would give, or None if that is not known here."""
        plan = self._plan_of(request.query, document)
        if plan is None or request.operation_name not in (None, plan.operation_name):
            return None
        try:
            return self._answer(plan, request.variables, now_at)
        except Declined:
            return None

    def _answer(self, plan: _Plan, variables: dict[str, Any], now_at: float) -> Quick:
        offset, limit = (_number(variables, name) for name in plan.page) if plan.page else (None, None)
        moment = Moment(now_at, self._world, offset, limit)
        job_ids: list[str] = []
        values = []
        for start, variable in plan.roots:
            asked = variables.get(variable)
            if plan.is_list:
                told = ", ".join([self._tell(job_id, plan, moment, job_ids) or "null" for job_id in _texts(asked)])
                values.append(f"{start}[{told}]")
            else:
                values.append(start + (self._tell(_text(asked), plan, moment, job_ids) or _decline()))
        body = f'{{"data": {{{", ".join(values)}}}{self._shape.tail}}}'
        return Quick(Answer(200, body.encode()), tuple(job_ids))

    def _tell(self, job_id: str, plan: _Plan, moment: Moment, job_ids: list[str]) -> str | None:
        job = self._shape.find(self._world, job_id)
        if job is None:
            return None
        job_ids.append(job_id)
        key = (job_id, moment.offset, moment.limit)
        text, course, until = plan.told.get(key, ("", None, 0.0))
        if course is not job.course or moment.now_at >= until:
            text = json.dumps(_told(job, plan.wanted, self._shape.job, moment))
            plan.told[key] = (text, job.course, self._shape.changes_at(job, moment.now_at))
        return text

    def _plan_of(self, text: str, document: Document) -> _Plan | None:
        if text not in self._plans:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[text] = _recognised(document, self._shape)
        return self._plans[text]


def _recognised(document: Document, shape: Shape) -> _Plan | None:
    try:
        return None if document.ast is None or document.errors else _plan(document.ast, shape)
    except Declined:
        return None


def _plan(ast: DocumentNode, shape: Shape) -> _Plan:
    fragments = {node.name.value: node for node in ast.definitions if isinstance(node, FragmentDefinitionNode)}
    operations = [node for node in ast.definitions if isinstance(node, OperationDefinitionNode)]
    _require(len(operations) == 1 and operations[0].operation.value == "query" and not operations[0].directives)
    roots = [node for node in operations[0].selection_set.selections if isinstance(node, FieldNode)]
    _require(bool(roots) and len(roots) == len(operations[0].selection_set.selections))
    is_list = shape.many is not None and roots[0].name.value == shape.many[0]
    places = [_root(node, shape.many if is_list else shape.one) for node in roots]
    wholes = {_selected(node.selection_set, shape.job, fragments) for node in roots}
    _require(len(wholes) == 1)
    wanted = wholes.pop()
    _require(sum(item.name == "status" for item in wanted) == 1)
    pages = {item.page for item in wanted if item.page}
    _require(len(pages) <= 1)
    name = operations[0].name
    return _Plan(name.value if name else None, tuple(places), is_list, wanted, next(iter(pages), None))


def _root(node: FieldNode, known: tuple[str, str] | None) -> tuple[str, str]:
    _require(known is not None and not node.directives and len(node.arguments or ()) == 1)
    argument = next(iter(node.arguments or ()))
    _require((node.name.value, argument.name.value) == known and isinstance(argument.value, VariableNode))
    key = (node.alias or node.name).value
    return f"{json.dumps(key)}: ", _variable(argument.value)


def _selected(
    selections: SelectionSetNode | None, kind: Kind, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[_Wanted, ...]:
    found: list[_Wanted] = []
    for node in selections.selections if selections else ():
        _require(not node.directives)
        if isinstance(node, FragmentSpreadNode):
            found += _selected(fragments[node.name.value].selection_set, kind, fragments)
        elif isinstance(node, FieldNode):
            found.append(_field(node, kind, fragments))
        else:
            _decline()
    _require(len({item.key for item in found}) == len(found))
    return tuple(found)


def _field(node: FieldNode, kind: Kind, fragments: Mapping[str, FragmentDefinitionNode]) -> _Wanted:
    name, key = node.name.value, (node.alias or node.name).value
    if name in kind.plain and not node.arguments:
        return _Wanted(key, name)
    _require(name in kind.nested)
    inside = _selected(node.selection_set, kind.nested[name][1], fragments)
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    _require(not given or (set(given) == {"offset", "limit"}))
    page = (_variable(given["offset"]), _variable(given["limit"])) if given else None
    return _Wanted(key, name, inside, page)


def _told(source: Any, wanted: tuple[_Wanted, ...], kind: Kind, moment: Moment) -> Any:
    if isinstance(source, list):
        return [_told(item, wanted, kind, moment) for item in source]
    if source is None:
        return None
    told: dict[str, Any] = {}
    for item in wanted:
        if item.inside:
            read, inner = kind.nested[item.name]
            told[item.key] = _told(read(source, moment), item.inside, inner, moment)
        else:
            told[item.key] = kind.plain[item.name](source, moment)
    return told


def _variable(value: Any) -> str:
    _require(isinstance(value, VariableNode))
    name: str = value.name.value
    return name


def _number(variables: Mapping[str, Any], name: str) -> int:
    value = variables.get(name)
    return value if type(value) is int else _decline()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _decline()


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) and all(type(item) is str for item in value) else _decline()


def _require(fits: bool) -> None:
    if not fits:
        _decline()


def _decline() -> Any:
    raise Declined
