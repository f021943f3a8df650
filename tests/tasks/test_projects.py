"""The projects of a batch are found by name, tag and date. Needs no Prefect server."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from graphql_jobs.providers.datasaur.reader import Project
from tasks.projects import Wanted

PROJECTS = [
    Project("c", "Interviews 3", ("done", "night"), datetime(2026, 11, 3, 23, 59, tzinfo=UTC)),
    Project("a", "Interviews 1", ("night",), datetime(2026, 11, 1, tzinfo=UTC)),
    Project("b", "Other", (), datetime.fromisoformat("2026-11-03T01:00:00+02:00")),
    Project("d", "Interviews 4", (), None),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abcd"),
        ({"name": "Interviews*"}, "acd"),
        ({"tag": "night"}, "ac"),
        ({"tag": "nigh"}, ""),
        ({"since": date(2026, 11, 2)}, "bc"),
        ({"until": date(2026, 11, 2)}, "ab"),
        ({"since": date(2026, 11, 3), "until": date(2026, 11, 3)}, "c"),
        ({"tag": "night", "since": date(2026, 11, 2), "name": "*3"}, "c"),
    ],
)
def test_project_matches_if_all_that_is_given_does(wanted: dict[str, Any], found: str) -> None:
    """Days are in UTC and both ends count; a project without an instant is in no range."""
    assert [project.id for project in Wanted(**wanted).among(PROJECTS)] == list(found)
