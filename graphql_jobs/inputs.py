"""Types of input fields that several specs and flows share, and pydantic's errors as `InvalidInput`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StringConstraints, WithJsonSchema

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: Our choices: the maximum number of wrong fields in a message, and the length to which their paths are cut.
_SHOWN_FIELDS = 3
_SHOWN_PARTS = 8
_SHOWN_CHARACTERS = 60
#: The largest value of GraphQL's Int (specification of October 2021, 3.5.1).
MAX_INT = 2**31 - 1


def without_control_characters(text: str) -> str:
    """Return the text unchanged. Raises `ValueError` for control characters, such as a line break, a tab or a NUL."""
    if _CONTROL.search(text):
        raise ValueError("it holds control characters, such as a line break")
    return text


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(without_control_characters),
]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]


def _by_name(given: Any) -> Any:
    """Return settings that are given as ["name=value"] by their names."""
    if not isinstance(given, list):
        return given
    named: dict[str, str] = {}
    for item in given:
        name, sign, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        if not sign or not name.strip() or name.strip() in named:
            raise ValueError("give each setting once, as name=value")
        named[name.strip()] = value.strip()
    return named


def _with_json_values(given: Any) -> Any:
    """The same; a value that is JSON, such as 3 or true, is that JSON."""
    named = _by_name(given)
    return {name: _json_or_text(value) for name, value in named.items()} if named is not given else given


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


#: A form shows a list of boxes first, for "name=value".
_SHOWN_AS = WithJsonSchema(
    {
        "anyOf": [
            {"title": "name=value", "type": "array", "items": {"type": "string"}},
            {"title": "JSON", "type": "object"},
        ]
    }
)
#: Values by their names, which people give as ["name=value"].
Settings = Annotated[dict[str, JsonValue], BeforeValidator(_with_json_values), _SHOWN_AS]
TextSettings = Annotated[dict[str, str], BeforeValidator(_by_name), _SHOWN_AS]


def show_boxes(schema: dict[str, Any]) -> None:
    """Change the JSON schema of a model for forms: an optional field is a box, not a choice between a type and null.

    An empty box is left out. Prefect's server accepts null for such a field, too. An optional structure is left out
    unless it is chosen.
    """
    for field in schema.get("properties", {}).values():
        if field.get("default", "") is not None:
            continue
        kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
        if [*map(tuple, kinds)] == [("$ref",)]:
            field["anyOf"] = [{"title": "Leave out", "type": "null"}, {"title": "Set"} | kinds[0]]
        elif len(kinds) == 1 and "type" in kinds[0]:
            del field["anyOf"], field["default"]
            field |= kinds[0]
        elif kinds:  # the first one is shown
            del field["default"]


def invalid_input(error: ValidationError, whole: str) -> InvalidInput:
    """Return the error as `InvalidInput`, with the fields' names and no value. `whole` names the validated object."""
    found = error.errors(include_input=False, include_url=False)
    name, problem = _told(found[0], whole)
    more = [": ".join(_told(one, whole)) for one in found[1:_SHOWN_FIELDS]]
    left = len(found) - 1 - len(more)
    words = [f"{problem}.", *(f"Also {one}." for one in more), *([f"And {left} more."] if left else [])]
    return InvalidInput(name, " ".join(words))


def _told(one: ErrorDetails, whole: str) -> tuple[str, str]:
    """Return the name of the field and the problem with it."""
    path = [str(part)[:_SHOWN_CHARACTERS] for part in one["loc"][:_SHOWN_PARTS]]
    cause = one.get("ctx", {}).get("error")
    if not isinstance(cause, InvalidInput):
        return ".".join(path) or whole, one["msg"].removeprefix("Value error, ").rstrip(".")
    if path[-1:] != [cause.parameter]:
        path.append(cause.parameter)
    return ".".join(path), cause.problem.rstrip(".")
