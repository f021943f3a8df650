"""What a job's engines wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql_jobs.numbers import exact_numbers
from graphql_jobs.providers.aiware import documents, reader

if TYPE_CHECKING:
    from graphql_jobs.transport.session import Session


async def engine_records(session: Session, job_id: str) -> list[dict[str, Any]]:
    """The records of all engines by now; a number that a float would round is an `ExactNumber`. Raises `RequestFailed`.

    A list that is missing, or holds something else, is an answer that cannot be read, and not an empty result.
    """
    with exact_numbers():
        response = await session.read(documents.ENGINE_RESULTS, {"jobId": job_id}, f"job {job_id}")
    records = reader.read_engine_results(response.data)
    # An error that names no field takes nothing away from a list that is there.
    is_told = response.data.get("engineResults") is not None
    if failure := response.error_below("engineResults") if is_told else response.error_at("engineResults"):
        raise failure
    if records is None:
        raise session.bad_answer("engineResults", f"job {job_id}", "the list of results is missing or not whole.")
    return records
