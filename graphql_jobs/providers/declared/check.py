"""Check a declaration: its documents, the variables and paths in them, and the settings that need each other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import graphql
from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, OperationType, SelectionSetNode
from graphql import validation as rules

from graphql_jobs.job import JobState
from graphql_jobs.providers.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql import DocumentNode, GraphQLSchema

    from graphql_jobs.providers.declared.model import Declaration

#: The rules that need no schema.
_RULES = (
    rules.KnownFragmentNamesRule,
    rules.NoFragmentCyclesRule,
    rules.NoUndefinedVariablesRule,
    rules.NoUnusedFragmentsRule,
    rules.NoUnusedVariablesRule,
    rules.UniqueArgumentNamesRule,
    rules.UniqueFragmentNamesRule,
    rules.UniqueVariableNamesRule,
)
_NO_SCHEMA = graphql.build_schema("type Query { any: Int }")
#: The variables that are filled here, by section. All others are the caller's, and only `submit` has them.
_OURS = {"submit": {"key"}, "check": {"id", "ids"}, "find": {"key"}, "cancel": {"id"}, "result": {"id"}}
_BUILT_IN = ("aiware", "datasaur")
_READ_ONLY = ("check", "find", "result")


class Problem(NamedTuple):
    """A problem with the setting `at`; `line` counts within a document, 0 is the setting itself."""

    at: tuple[str, ...]
    message: str
    line: int = 0


def problems_in(declaration: Declaration, schema: GraphQLSchema | None) -> list[Problem]:
    """Return what is wrong with a declaration whose settings are valid one by one."""
    found = list(_settings(declaration))
    for name in _OURS:
        if section := getattr(declaration, name):
            found += _Section(declaration, name, section.document, schema).problems()
    return found


def variables_of(document: str) -> dict[str, bool]:
    """Return the variables of a document by name, each with whether it needs a value."""
    return {
        one.variable.name.value: isinstance(one.type, graphql.NonNullTypeNode) and one.default_value is None
        for one in _operation(graphql.parse(document)).variable_definitions or ()
    }


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    return next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))


def _settings(declaration: Declaration) -> Iterator[Problem]:
    sign_in, result = declaration.sign_in, declaration.result
    if declaration.provider in _BUILT_IN:
        yield Problem(("provider",), f"{declaration.provider} is built in. Write another name")
    if sign_in.header and sign_in.client_credentials:
        yield Problem(("sign_in",), "it has a header and client_credentials. Remove one of both")
    if sign_in.scheme and not sign_in.header:
        yield Problem(("sign_in", "scheme"), "it needs a header. Add `header: NAME`")
    if JobState.SUCCEEDED not in declaration.states.values():
        yield Problem(("states",), "no word means that a job is done. Write, for example, `DONE: SUCCEEDED`")
    if declaration.recovery is Recovery.FIND and not declaration.find:
        yield Problem(("recovery",), "it needs a search. Add the section find, or write `recovery: none`")
    if declaration.find and declaration.recovers_by is not Recovery.FIND:
        yield Problem(("find",), f"`recovery: {declaration.recovery}` does not use it. Remove one of both")
    if result and bool(result.value) == bool(result.download):
        yield Problem(("result",), "it needs either value or download. Write the path of a value, or of an address")
    if result and declaration.check.result:
        yield Problem(("check", "result"), "the section result is used instead. Remove one of both")


class _Section:
    """The document of one section."""

    def __init__(self, declaration: Declaration, name: str, text: str, schema: GraphQLSchema | None) -> None:
        self._declaration, self._name, self._text, self._schema = declaration, name, text, schema
        self._settings = getattr(declaration, name)
        self._fragments: dict[str, SelectionSetNode] = {}
        self._types: dict[int, object] = {}

    def problems(self) -> list[Problem]:
        """Return what is wrong: with the document itself, or else with the paths and variables in it."""
        try:
            document = graphql.parse(self._text)
        except graphql.GraphQLSyntaxError as error:
            words = f"it is not GraphQL: {error.message.removeprefix('Syntax Error: ').rstrip('.')}. Correct this line"
            return [self._problem(words, line=_line(error))]
        if problems := list(self._shape(document)):
            return problems
        applied = graphql.specified_rules if self._schema else _RULES
        if errors := graphql.validate(self._schema or _NO_SCHEMA, document, applied):
            return [
                self._problem(f"{error.message.rstrip('.')}. Correct the document", line=_line(error))
                for error in errors
            ]
        fragments = (one for one in document.definitions if isinstance(one, graphql.FragmentDefinitionNode))
        self._fragments = {one.name.value: one.selection_set for one in fragments}
        self._types = self._types_of(document)
        return [*self._variables(_operation(document)), *self._type_names(document), *self._paths(_operation(document))]

    def _problem(self, message: str, setting: str = "document", line: int = 0) -> Problem:
        return Problem((self._name, setting), message, line)

    def _shape(self, document: DocumentNode) -> Iterator[Problem]:
        operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        if len(operations) != 1:
            yield self._problem(f"it has {len(operations)} operations. Write one")
            return
        [operation] = operations
        if operation.name is None:
            yield self._problem(
                f"the operation has no name. Write, for example, `query {self._name.title()} {{ ... }}`"
            )
        roots = operation.selection_set.selections
        if len(roots) != 1 or not isinstance(roots[0], FieldNode):
            yield self._problem(
                "it does not have exactly one field at its root. Write one, such as { jobs(...) { ... } }"
            )
        if operation.operation is OperationType.SUBSCRIPTION:
            yield self._problem("a subscription is not supported. Write a query or a mutation")
        if operation.operation is OperationType.MUTATION and self._name in _READ_ONLY:
            yield self._problem(f"{self._name} is repeated, and a mutation must not be. Write a query")

    def _variables(self, operation: OperationDefinitionNode) -> Iterator[Problem]:
        """Check that each variable is filled, and that ours is used."""
        types = {one.variable.name.value: one.type for one in operation.variable_definitions or ()}
        ours = _OURS[self._name]
        shown = " or ".join(f"${name}" for name in sorted(ours))
        if self._name == "submit":
            yield from self._values(types)
            strange = types.keys() & {"id", "ids"}
            words = "has no value before the job exists. Rename it"
        else:
            strange = types.keys() - ours
            words = f"has no value here. Use {shown}; only submit takes values of the caller"
        for name in sorted(strange):
            yield self._problem(f"${name} {words}")
        needs_key = self._name != "submit" or self._declaration.recovers_by is Recovery.FIND
        if needs_key and len(types.keys() & ours) != 1:
            why = (
                ", so find cannot find the job. Write $key into a name, a tag or a note"
                if self._name == "submit"
                else ""
            )
            yield self._problem(f"it does not use {shown}{why or '. Declare and use the variable, one of them'}")
        kind = types.get("ids")
        kind = kind.type if isinstance(kind, graphql.NonNullTypeNode) else kind
        if self._name == "check" and kind is not None and not isinstance(kind, graphql.ListTypeNode):
            yield self._problem("$ids is not a list. Declare it as $ids: [ID!]!, or use $id for one job per request")

    def _values(self, types: Mapping[str, object]) -> Iterator[Problem]:
        known = ", ".join(f"${name}" for name in sorted(types.keys() - {"key"})) or "no variable"
        for name in self._settings.values:
            if name not in types or name == "key":
                yield Problem(("submit", "values", name), f"it is no variable of the caller. The document has {known}")
        subject = self._settings.subject
        if subject is not None and (subject not in types or subject == "key"):
            yield self._problem(f"{subject} is no variable of the caller. The document has {known}", "subject")

    def _type_names(self, document: DocumentNode) -> Iterator[Problem]:
        """Check that `__typename` stands beside each inline fragment: errors in a union are told by it."""
        found: list[Problem] = []
        section = self

        class Names(graphql.Visitor):
            def enter_selection_set(self, node: SelectionSetNode, *_: object) -> None:
                names = [one.name.value for one in node.selections if isinstance(one, FieldNode)]
                kinds = [one for one in node.selections if isinstance(one, InlineFragmentNode)]
                if kinds and "__typename" not in names:
                    words = "there is no __typename beside `... on`, so errors cannot be told. Write __typename there"
                    found.append(section._problem(words, line=kinds[0].loc.start_token.line if kinds[0].loc else 1))

        graphql.visit(document, Names())
        return iter(found)

    def _paths(self, operation: OperationDefinitionNode) -> list[Problem]:
        """Check that the document selects the value of each path."""
        root = operation.selection_set
        settings, found = self._settings, list[Problem]()
        paths = {name: path for name, path in settings if isinstance(path, tuple)}
        jobs = paths.pop("jobs", ())
        start = list(self._selected("jobs", (), jobs, [root], found))
        inside = [one.selection_set for one in start if one.selection_set]
        if jobs and start and not inside:
            found.append(self._problem(f"{'.'.join(jobs)} has no fields. Write the path of the jobs", "jobs"))
        many = any(one.variable.name.value == "ids" for one in operation.variable_definitions or ())
        if self._name == "check" and self._schema and start and self._is_list(start) != many:
            words = "is no list, so use $id for one job" if many else "is a list, so use $ids for several jobs"
            found.append(self._problem(f"{'.'.join(jobs)} {words} per request", "jobs"))
        if found:
            return found
        for name, path in paths.items():
            fields = self._selected(name, jobs, path, inside if jobs else [root], found)
            if name in ("id", "status") and (names := self._names([one.selection_set for one in fields])):
                words = f"{'.'.join(path)} is an object. Write the path of a field in it: {names}"
                found.append(self._problem(words, name))
            elif name == "status":
                found += self._words(fields)
        return found

    def _selected(
        self,
        name: str,
        jobs: tuple[str, ...],
        path: tuple[str, ...],
        sets: Sequence[SelectionSetNode | None],
        found: list[Problem],
    ) -> list[FieldNode]:
        """Return the fields at the end of a path from these selections. A step that is missing is added to `found`."""
        fields: list[FieldNode] = []
        for number, step in enumerate(path, 1):
            fields = [one for one in self._fields(sets) if _key(one) == step]
            if not fields:
                whole, there = ".".join((*jobs, *path[:number])), self._names(sets) or "nothing"
                words = f"the document does not select {whole}. It selects {there} there: write one, or add the field"
                found.append(self._problem(words, name))
                break
            if self._is_list(fields) and (number < len(path) or name in ("id", "status")):
                words = "is a list, and a path leads to one value. Write a path without it, or an adapter in Python"
                found.append(self._problem(f"{'.'.join((*jobs, *path[:number]))} {words}", name))
            sets = [one.selection_set for one in fields]
        return fields

    def _names(self, sets: Sequence[SelectionSetNode | None]) -> str:
        return ", ".join(dict.fromkeys(_key(one) for one in self._fields(sets)))

    def _fields(self, sets: Sequence[SelectionSetNode | None]) -> Iterator[FieldNode]:
        for one in [one for selections in sets if selections for one in selections.selections]:
            if isinstance(one, FieldNode):
                yield one
            elif isinstance(one, InlineFragmentNode):
                yield from self._fields([one.selection_set])
            elif isinstance(one, graphql.FragmentSpreadNode):
                yield from self._fields([self._fragments[one.name.value]])

    def _types_of(self, document: DocumentNode) -> dict[int, object]:
        """Return the type of each field of the document, by the identity of its node; without a schema none."""
        found: dict[int, object] = {}
        if self._schema is not None:
            types = graphql.TypeInfo(self._schema)

            class Types(graphql.Visitor):
                def enter_field(self, node: FieldNode, *_: object) -> None:
                    found[id(node)] = types.get_type()

            graphql.visit(document, graphql.TypeInfoVisitor(types, Types()))
        return found

    def _words(self, fields: Sequence[FieldNode]) -> Iterator[Problem]:
        """Check that each value of the status's enum is mapped."""
        kinds = [graphql.get_named_type(self._types.get(id(one))) for one in fields]  # type: ignore[call-overload]
        words = {word for kind in kinds if isinstance(kind, graphql.GraphQLEnumType) for word in kind.values}
        if missing := sorted(words - self._declaration.states.keys()):
            yield Problem(("states",), f"{', '.join(missing)} is missing. Write for each, for example, `WORD: RUNNING`")

    def _is_list(self, fields: Sequence[FieldNode]) -> bool:
        kinds = [self._types.get(id(one)) for one in fields]
        return any(
            isinstance(one.of_type if isinstance(one, graphql.GraphQLNonNull) else one, graphql.GraphQLList)
            for one in kinds
        )


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _line(error: graphql.GraphQLError) -> int:
    return error.locations[0].line if error.locations else 1
