"""The names of providers in sentences: "aiWARE job 7" and not "aiware job 7"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The `title` of each client class that was imported, by its `provider`.
_titles: dict[str, str] = {}


def add_title(provider: str, title: str) -> None:
    """Add the title of a provider. `JobClient` calls this for each subclass."""
    _titles[provider] = title


def title_of(provider: str) -> str:
    """Return the name of a provider as it writes itself, or `provider` if no client of it was imported."""
    return _titles.get(provider, provider)


def job_name(provider: str, job_id: str) -> str:
    """Return the name of a job in sentences: "aiWARE job 7"."""
    return f"{title_of(provider)} job {job_id}"


def request_name(provider: str, operation: str, subject: str) -> str:
    """Return the name of a request in sentences: "aiWARE cancelJob (job 7)"."""
    return f"{title_of(provider)} {operation}" + (f" ({subject})" if subject else "")


def some(job_ids: Sequence[str]) -> str:
    """Return the first three ids and how many more there are, for a message."""
    ids = ", ".join(job_ids[:3]) + (f" and {len(job_ids) - 3} more" if len(job_ids) > 3 else "")
    return f"job{'s' if len(job_ids) > 1 else ''} {ids}"
