"""The jobs of a command: ids, and handles as JSON, in a file or on standard input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from graphql_jobs.errors import InvalidInput
from graphql_jobs.handle import JobHandle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

#: The name of the argument in messages.
PARAMETER = "JOB"


def read_jobs(arguments: Sequence[str], stdin: TextIO) -> list[str | JobHandle]:
    """Return the jobs that the arguments name. Raises `InvalidInput`.

    `-` is standard input, text that begins with `{` or `[` is JSON, and an argument with a slash or the suffix `.json`
    is a file. No job id is any of these.
    """
    jobs = [job for argument in arguments for job in _jobs_of(argument, stdin)]
    if not jobs:
        raise InvalidInput(PARAMETER, "there is no job.")
    return jobs


def provider_of(jobs: Sequence[str | JobHandle], named: str | None) -> str:
    """Return the named provider, or that of the handles. Raises `InvalidInput` if there is none, or more than one."""
    providers = {job.provider for job in jobs if isinstance(job, JobHandle)} | ({named} if named else set())
    if not providers:
        raise InvalidInput("--provider", "a job id does not tell its provider; give one, such as --provider aiware.")
    if len(providers) > 1:
        raise InvalidInput(PARAMETER, f"one call serves one provider, not {' and '.join(sorted(providers))}.")
    return providers.pop()


def _jobs_of(argument: str, stdin: TextIO) -> Iterator[str | JobHandle]:
    if argument == "-":
        yield from _parsed(stdin.read(), "standard input")
    elif argument.lstrip().startswith(("{", "[")):
        yield from _parsed(argument, "the argument")
    elif "/" in argument or argument.endswith(".json"):
        try:
            text = Path(argument).read_text()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InvalidInput(PARAMETER, f"the file {argument[:200]!r} cannot be read: {why}.") from None
        yield from _parsed(text, repr(argument[:200]))
    else:
        yield argument


def _parsed(text: str, source: str) -> Iterator[str | JobHandle]:
    """Yield the handles and ids in one JSON value, or in one per line."""
    try:
        try:
            values = [json.loads(text)]
        except ValueError:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise InvalidInput(PARAMETER, f"{source} is not JSON: a handle, a job id in quotes, or a list.") from None
    for value in values:
        for one in value if isinstance(value, list) else [value]:
            yield one if isinstance(one, str) else JobHandle.from_json(one)
