"""Read a declaration from YAML. Each problem names the file, the line and the setting, and says what to write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from graphql_jobs.errors import InvalidInput
from graphql_jobs.providers.declared.check import Problem, problems_in
from graphql_jobs.providers.declared.model import Declaration

if TYPE_CHECKING:
    from graphql import GraphQLSchema
    from pydantic_core import ErrorDetails

Location = tuple[str, ...]

#: Our choices: a declaration has a few thousand characters, and four levels.
_MAX_CHARACTERS = 20_000
_MAX_LEVELS = 10
#: Our choice: the number of problems in an error's message.
_SHOWN = 5
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
}


class _Unreadable(Exception):
    """The text cannot be read: the line, the location and the message."""

    def __init__(self, line: int, at: Location, message: str) -> None:
        super().__init__(line, at, message)
        self.line, self.at, self.message = line, at, message


def read_declaration(text: str, file: str = "declaration", schema: GraphQLSchema | None = None) -> Declaration:
    """Return the declaration in a YAML text; `file` is its name in messages. Raises `InvalidInput` with its problems.

    With the `schema` of the service, documents are validated against it.
    """
    declaration, problems = _read(text, file, schema)
    if problems or declaration is None:
        more = [f"And {len(problems) - _SHOWN} more."] if len(problems) > _SHOWN else []
        raise InvalidInput("declaration", " ".join([*problems[:_SHOWN], *more]))
    return declaration


def problems_of(text: str, file: str = "declaration", schema: GraphQLSchema | None = None) -> list[str]:
    """Return what is wrong with a declaration, a sentence or two for each problem."""
    return _read(text, file, schema)[1]


def _read(text: str, file: str, schema: GraphQLSchema | None) -> tuple[Declaration | None, list[str]]:
    yaml_text = _YamlText()
    try:
        plain = yaml_text.read(text)
    except _Unreadable as error:
        return None, [_sentence(file, error.line, error.at, error.message)]
    try:
        declaration = Declaration.model_validate(plain)
    except ValidationError as error:
        wrong = [Problem(*_told(one)) for one in error.errors(include_url=False, include_input=False)]
        return None, [_sentence(file, yaml_text.line_of(one), one.at, one.message) for one in wrong]
    return declaration, [
        _sentence(file, yaml_text.line_of(one), one.at, one.message) for one in problems_in(declaration, schema)
    ]


def _sentence(file: str, line: int, at: Location, message: str) -> str:
    return f"{file}, line {line}: {'.'.join(at)}{': ' if at else ''}{message.rstrip('.')}."


class _YamlText:
    """A YAML text as plain JSON, with the line of each setting."""

    def __init__(self) -> None:
        self._lines: dict[Location, int] = {(): 1}
        self._first_lines: dict[Location, int] = {}  # of texts
        self._nodes: set[int] = set()

    def line_of(self, problem: Problem) -> int:
        """Return the line of a problem's setting, or of the section that lacks it, or within its document."""
        at = problem.at
        while at not in self._lines:
            at = at[:-1]
        return self._first_lines[at] + problem.line - 1 if problem.line else self._lines[at]

    def read(self, text: str) -> dict[str, Any]:
        if len(text) > _MAX_CHARACTERS:
            raise _Unreadable(1, (), f"it has more than {_MAX_CHARACTERS} characters. Write one provider per file")
        try:
            node = yaml.compose(text, yaml.SafeLoader)
            plain = self._plain(node, ()) if node else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            words = f"it is not YAML: {error.problem}. Indent with blanks, and quote texts with a colon or a brace"
            raise _Unreadable(line, (), words) from None
        except (yaml.YAMLError, RecursionError) as error:
            raise _Unreadable(1, (), f"it is not YAML: {type(error).__name__}. Write plain text") from None
        if not isinstance(plain, dict):
            raise _Unreadable(1, (), "it has no settings. Write `name: value` lines, first `provider: NAME`")
        return plain

    def _plain(self, node: yaml.Node, at: Location) -> Any:
        line = self._lines.setdefault(at, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            raise _Unreadable(line, at, f"the tag {node.tag} is not allowed. Write the value without a tag")
        if id(node) in self._nodes or len(at) > _MAX_LEVELS:
            raise _Unreadable(line, at, "an alias (*name) or deep nesting is not allowed. Write the value again")
        self._nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return {name: self._plain(value, (*at, name)) for name, value in self._named(node, at)}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*at, str(number))) for number, item in enumerate(node.value)]
        self._first_lines[at] = node.start_mark.line + 1 + (getattr(node, "style", None) in ("|", ">"))
        value = _scalar(node)
        if value is None and at[:2] != ("submit", "values"):
            raise _Unreadable(line, at, "it is empty. Write a value, or remove the line")
        return value

    def _named(self, node: yaml.MappingNode, at: Location) -> list[tuple[str, yaml.Node]]:
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _Unreadable(line, at, "a name is no text. Write `name: value`")
            if (*at, key.value) in self._lines:
                raise _Unreadable(line, (*at, key.value), "it is set twice. Remove one of both")
            self._lines[(*at, key.value)] = line
        return [(key.value, value) for key, value in node.value]


def _scalar(node: yaml.Node) -> Any:
    """Return a number, true, false or null as in JSON, and anything else as text: YAML's `no` and `on` are words."""
    if getattr(node, "style", None):
        return node.value
    if node.value in {"", "~"}:
        return None
    try:
        return json.loads(node.value, parse_constant=str)
    except ValueError:
        return node.value


def _told(error: ErrorDetails) -> tuple[Location, str]:
    """Return the setting and the message for one error of pydantic."""
    at = tuple(map(str, error["loc"]))
    section = _section(at[:-1])
    if error["type"] == "extra_forbidden":
        return at, f"there is no such setting. Write one of {', '.join(section.model_fields if section else ())}"
    field = section.model_fields.get(at[-1]) if section and at else None
    shown = f"{at[-1]}: {field.examples[0]}" if field and field.examples else ""
    if error["type"] == "missing":
        return at, f"it is missing. Write, for example, `{shown}`"
    message = error["msg"].removeprefix("Value error, ")
    is_own = error["type"] == "value_error" or not shown
    return at, message if is_own else f"{message}. Write, for example, `{shown}`"


def _section(at: Location) -> type[BaseModel] | None:
    """Return the model of a section."""
    section: Any = Declaration
    for name in at:
        field = section.model_fields.get(name)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is None:
            return None
    return section  # type: ignore[no-any-return]
