"""Pages of lists: `count` is the number of records in this page; there is no total (docs/providers/aiware.md)."""

from collections.abc import Sequence
from typing import Any

from graphql_jobs.emulator.aiware.errors import AiwareError


def page(records: Sequence[Any], offset: int | None, limit: int | None, page_limit: int) -> dict[str, Any]:
    """Return one page, empty past the end. Raises invalid_input for a limit above `page_limit` or a negative number."""
    offset, limit = offset or 0, 30 if limit is None else limit
    if offset < 0 or not 0 <= limit <= page_limit:
        # Documented code; the text and the cap are invented.
        raise AiwareError("invalid_input", f"offset must be 0 or more and limit between 0 and {page_limit}")
    shown = list(records[offset : offset + limit])
    return {"records": shown, "offset": offset, "limit": limit, "count": len(shown)}
