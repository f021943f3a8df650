"""Read a list of Datasaur projects page by page, completely or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql_jobs.parsing import Entry, text_or_none
from graphql_jobs.providers.datasaur import reader
from graphql_jobs.providers.paging import PagedRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_jobs.transport.operation import Operation
    from graphql_jobs.transport.session import Session

#: Our choices: the numbers of projects per page, in a search by name, and in a list of all.
_PAGE = 50
_MAX_FOUND = 1_000
MAX_LISTED = 10_000


async def read_list(
    session: Session, operation: Operation, variables: Mapping[str, Any], subject: str, at_most: int = _MAX_FOUND
) -> list[Entry]:
    """Return all projects that the query lists. Raises `RequestFailed` if one may be missing."""
    found: dict[str, Entry] = {}
    read = 0
    pages = PagedRead(session, "getProjects", subject, session.limits.submission_s, "submission_s")
    while read < at_most:
        pages.next_page()
        page_of = {"page": {"skip": read, "take": _PAGE}}
        response = await session.read(operation, {**variables, **page_of}, subject)
        # Any error, also one without a field, may be why a project is missing.
        if failure := response.error_at("result"):
            raise failure
        page = reader.read_projects(response.data.get("result"))
        if page is None:
            raise session.bad_answer("getProjects", subject, "the answer has no complete list of projects.")
        found |= {text_or_none(node, "id") or "": node for node in page.nodes}
        read += len(page.nodes)
        if len(found) < read or (not page.nodes and page.total > len(found)):
            raise session.bad_answer("getProjects", subject, "the list changed while it was read.")
        if not page.nodes:  # read to an empty page: a server may silently cap pages
            return list(found.values())
    raise session.bad_answer("getProjects", subject, f"more than {at_most} projects.")
