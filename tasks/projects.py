"""The Datasaur projects of a batch: given, or found by team, status, name, tag and date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatch

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks.datasaur import DatasaurCredentials
from graphql_jobs.providers.datasaur.reader import Project
from tasks.job_task import job_task
from tasks.parameters import is_within


@dataclass(frozen=True, slots=True)
class Wanted:
    """The projects to find: those that match everything that is given."""

    team_id: str | None = None
    status: str = "COMPLETE"
    name: str | None = None
    tag: str | None = None
    since: date | None = None
    until: date | None = None

    def among(self, projects: Iterable[Project]) -> list[Project]:
        """Return the projects with this name and tag that were completed in this range of days, in the order of ids."""
        found = [
            project
            for project in projects
            if fnmatch(project.name, self.name or "*")
            and (not self.tag or self.tag in project.tags)
            and is_within(project.day, self.since, self.until)
        ]
        return sorted(found, key=lambda project: project.id)


@job_task(name="list projects", task_run_name="list projects", cache_policy=NO_CACHE)
async def list_projects(credentials: DatasaurCredentials, wanted: Wanted) -> list[Project]:
    """Return the projects that match. Raises `RequestFailed`."""
    async with credentials.get_client() as client:
        listed = await client.projects(wanted.team_id, wanted.status)
    found = wanted.among(listed)
    get_run_logger().info("%d of %d projects with the status %s match.", len(found), len(listed), wanted.status)
    return found
