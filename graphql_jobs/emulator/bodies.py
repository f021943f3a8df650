"""The four formats of a GraphQL request body."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_request import FileField

if TYPE_CHECKING:
    from multidict import MultiDictProxy

_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class MalformedRequest(Exception):
    """The body is not a GraphQL request; the text says why."""


@dataclass(frozen=True)
class GraphqlRequest:
    """A request, independent of its format."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    # File parts by part name, as file names: the emulator does not keep contents.
    files: dict[str, str] = field(default_factory=dict)


async def read_graphql(request: web.Request, *, takes_operations: bool) -> GraphqlRequest:
    """Read JSON, URL-encoded or multipart; `takes_operations`: also the graphql-multipart-request-spec format.

    Raises MalformedRequest. The query string of the address is ignored: clients use it for their logs.
    """
    if request.content_type in _FORM_TYPES:
        return _from_form(await request.post(), takes_operations)
    if request.content_type == "application/json":
        return _from_mapping(_json(await request.text()), {})
    raise MalformedRequest(f"unsupported content type {request.content_type}")


def _from_form(form: "MultiDictProxy[str | bytes | bytearray | FileField]", takes_operations: bool) -> GraphqlRequest:
    files = {name: part.filename for name, part in form.items() if isinstance(part, FileField)}
    fields = {name: part for name, part in form.items() if isinstance(part, str)}
    if takes_operations and "operations" in fields:
        operations = _json(fields["operations"])
        _place_files(operations, _json(fields.get("map", "{}")), files)
        return _from_mapping(operations, files)
    return _from_mapping(fields, files)


def _from_mapping(data: Any, files: dict[str, str]) -> GraphqlRequest:
    if not isinstance(data, dict):
        raise MalformedRequest("the body must be one JSON object")
    query, name = data.get("query"), data.get("operationName") or None
    if not isinstance(query, str) or not query.strip():
        raise MalformedRequest("no query in the body")
    if name is not None and not isinstance(name, str):
        raise MalformedRequest("operationName must be text")
    return GraphqlRequest(query, _variables(data.get("variables")), name, files)


def _variables(value: Any) -> dict[str, Any]:
    # Vendor samples send variables as an object and as JSON text.
    if isinstance(value, str):
        value = _json(value) if value.strip() else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedRequest("variables must be an object")
    return value


def _place_files(operations: Any, places: Any, files: dict[str, str]) -> None:
    """Put each file's name where `map` says, e.g. {"1": ["variables.input.documents.0.file"]}."""
    try:
        for part, paths in places.items():
            for path in paths:
                *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
                holder = operations
                for step in parents:
                    holder = holder[step]
                holder[last] = files[part]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise MalformedRequest("`map` does not fit `operations` and the file parts") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("not JSON") from error
