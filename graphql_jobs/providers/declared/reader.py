"""Read the answers of a declared provider. Pure; the answers are untrusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql_jobs.job import Job, JobFailure
from graphql_jobs.parsing import brief, short_or_none, text_or_none
from graphql_jobs.transport.diagnosis import MAX_ERRORS, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphql_jobs.providers.declared.model import Check, Declaration
    from graphql_jobs.providers.status_table import StatusTable
    from graphql_jobs.transport.diagnosis import Kind

_Entries = list[dict[str, object]]


def value_at(value: Any, path: Sequence[str]) -> Any:
    """Return the value at the end of a path, or None if it does not lead there."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def text_at(value: Any, path: Sequence[str] | None, max_characters: int | None = None) -> str | None:
    """Return the text or integer at the end of a path, cut, or None for anything else."""
    limit = () if max_characters is None else (max_characters,)
    return text_or_none({"it": value_at(value, path)}, "it", *limit) if path else None


def dialect_of(declaration: Declaration) -> Dialect:
    """Return how the provider reports errors: by a code, by a member of a union, or by a list inside `data`."""
    kinds = declaration.kinds

    def code_of(entry: Mapping[str, object]) -> str:
        extensions = entry.get("extensions")
        places = (extensions if isinstance(extensions, dict) else {}, entry)
        words = [word for one in places for name in ("code", "type") if isinstance(word := one.get(name), str)]
        return next((word for word in words if word in kinds), words[0] if words else "")

    def take_errors(data: Mapping[str, object]) -> tuple[dict[str, Any], list[Mapping[str, object]]]:
        found: _Entries = []
        return {name: _without_errors(kinds, value, found) for name, value in data.items()}, [*found]

    return Dialect(declaration.provider, code_of, kinds, take_errors=take_errors)


def _without_errors(kinds: Mapping[str, Kind], value: Any, found: _Entries) -> Any:
    """Return a value without the errors in it, which are added to `found`. It is None if nothing else is in it.

    Lists of jobs are not searched: what stands in them concerns one job.
    """
    if not isinstance(value, dict):
        return value
    name = value.get("__typename")
    if isinstance(name, str) and name in kinds:
        found.append(_entry(kinds, name, value))
        return None
    before, left = len(found), {}
    for name, inner in value.items():
        if name in kinds and inner and isinstance(inner, list | dict):
            items = inner[:MAX_ERRORS] if isinstance(inner, list) else [inner]
            found += [_entry(kinds, name, item) for item in items]
        else:
            left[name] = _without_errors(kinds, inner, found)
    has_value = any(inner is not None for name, inner in left.items() if name != "__typename")
    return left if has_value or len(found) == before else None


def _entry(kinds: Mapping[str, Kind], word: str, error: Any) -> dict[str, object]:
    """Return an error inside `data` as an entry of `errors`. It names no field, so it concerns the whole request."""
    error = error if isinstance(error, dict) else {"message": error}
    code = error.get("code")
    code = code if isinstance(code, str) and code in kinds else word
    return {"message": brief(error.get("message")), "extensions": {"code": code}}


def read_job(
    provider: str, job_id: str, entry: Any, check: Check, states: StatusTable, clean: Callable[[str], str]
) -> Job | None:
    """Return one job, or None if its status cannot be read. `clean` removes secrets from the provider's words."""
    word = text_at(entry, check.status)
    if word is None:
        return None
    word = word if word in states else clean(word)  # the table logs a word that it does not have
    failure = value_at(entry, check.failure) if check.failure else None
    return Job(
        provider,
        job_id,
        states[word],
        word,
        failures=(JobFailure("failure", clean(brief(failure))),) if failure else (),
        raw_created=short_or_none(value_at(entry, check.created)) if check.created else None,
        raw_modified=short_or_none(value_at(entry, check.modified)) if check.modified else None,
        result_id=text_at(entry, check.result),
    )
