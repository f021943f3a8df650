"""The effect of each kind of request fault: kinds in BEFORE replace the work, kinds in AFTER follow it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from graphql_jobs.emulator.answers import Answer, html_answer, json_answer
from graphql_jobs.emulator.call import Dialect
from graphql_jobs.emulator.execution import Outline
from graphql_jobs.emulator.faults import Fault

Before = Callable[[Fault, Dialect, Outline], Answer]
After = Callable[[Fault, Dialect, Answer], Answer]

_TITLES = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def _server_error(fault: Fault) -> Answer:
    return html_answer(fault.status, f"{fault.status} {_TITLES.get(fault.status, 'Error')}")


def _rate_limited(fault: Fault, dialect: Dialect, _outline: Outline) -> Answer:
    if not fault.with_errors:
        return Answer(429, b"Too Many Requests", "text/plain")
    # Invented: no sample of a 429 body is public; aiWARE only says that the body explains why.
    return json_answer({"errors": [dialect.entry("rate_limited", "Too many requests")]}, 429)


def _named(name: str) -> Before:
    return lambda _fault, dialect, outline: dialect.failure(name, outline)


BEFORE: Mapping[str, Before] = {
    "rate_limited": _rate_limited,
    "server_error": lambda fault, _dialect, _outline: _server_error(fault),
    "drop_before": lambda _fault, _dialect, _outline: Answer(0, manner="drop"),
    "data_null": lambda _fault, _dialect, _outline: json_answer({"data": None}),
    "garbage": lambda _fault, _dialect, _outline: html_answer(200, "Scheduled maintenance"),
    "not_object": lambda _fault, _dialect, _outline: json_answer(5),
    "redirect": lambda _fault, _dialect, _outline: Answer(302, b"", "text/plain", {"Location": "/elsewhere"}),
    "unauthorized": _named("authentication_error"),
    "capacity_exceeded": _named("capacity_exceeded"),
    "forbidden": _named("not_allowed"),
    "internal_error": _named("internal_error"),
    "no_fields": lambda _fault, _dialect, _outline: json_answer({"data": {}}),
    "body_too_large": lambda _fault, dialect, _outline: dialect.too_large(0, 0),
}


def _partial(_fault: Fault, dialect: Dialect, answer: Answer) -> Answer:
    """Set the first root field to null and add an error entry for it."""
    reply = json.loads(answer.body)
    data = reply.get("data") if isinstance(reply, dict) else None
    if not data:
        return answer
    first = next(iter(data))
    data[first] = None
    entry = dialect.entry("service_failure", "A service behind the API failed", [first])
    reply["errors"] = [*reply.get("errors", []), entry]
    return json_answer(reply, answer.status)


def _null_member(fault: Fault, dialect: Dialect, answer: Answer) -> Answer:
    """Remove one job of many: the first alias, with an error entry, or the first item of a list, without."""
    reply = json.loads(answer.body)
    data = reply.get("data") if isinstance(reply, dict) else None
    listed = next(iter(data.values())) if data else None
    if not isinstance(listed, list):
        return _partial(fault, dialect, answer)
    listed[:1] = [None] * len(listed[:1])
    return json_answer(reply, answer.status)


def _denied_member(_fault: Fault, dialect: Dialect, answer: Answer) -> Answer:
    """Deny access to one job of many: the first alias, or first item of a list, is null with an error."""
    reply = json.loads(answer.body)
    data = reply.get("data") if isinstance(reply, dict) else None
    if not data:
        return answer
    first = next(iter(data))
    if isinstance(data[first], list) and data[first]:
        data[first][0], path = None, [first, 0]
    else:
        data[first], path = None, [first]
    entry = dialect.entry("authentication_error", "This object belongs to someone else", path)
    reply["errors"] = [*reply.get("errors", []), entry]
    return json_answer(reply, answer.status)


def _side_error(_fault: Fault, _dialect: Dialect, answer: Answer) -> Answer:
    """Add an error without a field to the whole answer."""
    reply = json.loads(answer.body)
    if isinstance(reply, dict):
        reply["errors"] = [*reply.get("errors", []), {"message": "This field is deprecated"}]
    return json_answer(reply, answer.status)


def _with_lists(change: Callable[[list[object]], list[object]]) -> After:
    """Change each list of the answer that is a page or the root field."""

    def changed(value: object) -> object:
        if not isinstance(value, dict):
            return value
        is_page = {"records", "nodes"} & value.keys()
        return {
            name: change(inner) if name in is_page and isinstance(inner, list) else changed(inner)
            for name, inner in value.items()
        }

    def spoiled(_fault: Fault, _dialect: Dialect, answer: Answer) -> Answer:
        reply = json.loads(answer.body)
        data = reply.get("data") if isinstance(reply, dict) else None
        if not isinstance(data, dict):
            return answer
        for name, value in data.items():
            data[name] = change(value) if isinstance(value, list) else changed(value)
        return json_answer(reply, answer.status)

    return spoiled


def _padded(fault: Fault, _dialect: Dialect, answer: Answer) -> Answer:
    """Add one very long member to the JSON object, so that only its size is wrong."""
    padding = b', "extensions": {"padding": "' + b"x" * fault.pad_bytes + b'"}}'
    return replace(answer, body=answer.body.rstrip()[:-1] + padding, manner="stream")


AFTER: Mapping[str, After] = {
    "delay": lambda _fault, _dialect, answer: answer,
    "server_error_after": lambda fault, _dialect, _answer: _server_error(fault),
    "drop_after": lambda _fault, _dialect, answer: replace(answer, manner="drop"),
    "truncate": lambda _fault, _dialect, answer: replace(answer, manner="truncate"),
    "partial": _partial,
    "null_member": _null_member,
    "denied_member": _denied_member,
    "side_error": _side_error,
    # A server that silently caps its pages returns half of the requested page.
    "cut_list": _with_lists(lambda items: items[: (len(items) + 1) // 2]),
    # The list has moved by one since the last page: the item at the offset is now on that page.
    "moved_list": _with_lists(lambda items: items[1:]),
    "too_large": _padded,
}
