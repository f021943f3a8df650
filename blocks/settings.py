"""Fields that several blocks share."""

from __future__ import annotations

from pathlib import Path

from prefect.settings import get_current_settings
from pydantic import BaseModel, Field

from graphql_jobs import Deadlines, WaitPolicy
from graphql_jobs.endpoint import address, base_url

#: A day, in seconds.
DAY_S = 24 * 3600.0


def checked_base_url(url: str) -> str:
    """For field validators: the URL without a trailing slash. Raises a `ValueError` that does not show it."""
    return base_url(url)


def checked_token_url(url: str | None) -> str | None:
    """The same for where tokens are given out."""
    return None if url is None else address(url, "token_url")


def checked_endpoint(url: str) -> str:
    """The same for the address of a model."""
    return address(url, "endpoint")


def default_result_folder() -> Path:
    """Where files go unless told otherwise: beside what Prefect itself keeps."""
    return get_current_settings().home / "graphql-jobs" / "results"


class WaitSettings(BaseModel):
    """How long a job block waits, and where what the job made goes."""

    give_up_after_s: float = Field(
        default=DAY_S,
        gt=0,
        allow_inf_nan=False,
        description="Stop waiting this long after the submission, in seconds; the job goes on.",
    )
    result_folder: str | None = Field(
        default=None, description="Folder for files that the job made; by default one in Prefect's home."
    )

    def policy(self) -> WaitPolicy:
        """The policy for this block's waits."""
        return WaitPolicy(deadlines=Deadlines(total_s=self.give_up_after_s))

    def folder(self) -> Path:
        """The folder for files."""
        return Path(self.result_folder).expanduser() if self.result_folder else default_result_folder()
