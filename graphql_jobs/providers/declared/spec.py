"""The values of a job of a declared provider."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, JsonValue

from graphql_jobs.spec import JobSpec


class DeclaredSpec(JobSpec):
    """The values of the variables of a declaration's `submit`. `DeclaredClient.spec` makes and checks it."""

    operation: ClassVar[str] = "submit"

    values: dict[str, JsonValue] = Field(repr=False, description="Values of the variables, by name.")
    about: str = Field(default="job", description="What the job is about, for messages.")

    @property
    def subject(self) -> str:
        """For messages."""
        return self.about
