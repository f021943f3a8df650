"""The tests that run in one process of pytest-xdist: those that share a stack or a server.

The marker `xdist_group` would do the same, but pytest-xdist 3.8 does not find it with pytest 9.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

#: The fixtures that start a stack.
STACKS = ("stack", "installation")

#: The beginnings of the paths in each group, the slowest group first. The files of a group run in this order.
GROUPS = {
    # Two stacks, since one of them would take as long as all the other tests.
    "cancelling": (
        "tests/cancelling/test_killed_worker.py",
        "tests/cancelling/test_suspended.py",
        "tests/cancelling/test_worker.py",
    ),
    "own flows": ("tests/cancelling/test_own_flow.py", "tests/cancelling/test_serve.py"),
    "suspended": ("tests/test_suspended_crashes.py",),
    "stack": (
        "tests/test_crashes.py",
        "tests/test_deployments.py",
        "tests/test_ui.py",
        "tests/test_wheel.py",
        # Last: its automations start and crash runs of the stack.
        "tests/test_automations.py",
    ),
    "scaled": ("tests/test_scaled.py",),
    # All files with tests marked `walk`, so that `make test` starts one server.
    "walk": (
        "tests/flows/test_end_to_end.py",
        "tests/flows/test_export_datasaur_projects.py",
        "tests/flows/test_nightly.py",
        "tests/flows/test_reap_orphans.py",
        "tests/flows/test_store_results.py",
        "tests/tasks/test_cancellation.py",
        "tests/tasks/test_in_async_flows.py",
    ),
}

#: Parts of the ids of the longest tests in tests/exhaustive. They begin before the others, so that all processes end at
#: about the same time.
LONGEST = ("test_every_stop_suspended.py", "test_every_pair_of_stops")


def group_of(nodeid: str) -> str:
    """The group of a test: a shared one, its file, or in tests/exhaustive the test itself."""
    shared = (name for name, paths in GROUPS.items() if nodeid.startswith(paths))
    return next(shared, nodeid if nodeid.startswith("tests/exhaustive/") else nodeid.partition("::")[0])


def rank_of(nodeid: str) -> tuple[int, int]:
    """The position of a test's group, and the test's position in there.

    The shared groups come first, and tests that are dealt singly come last.
    """
    group = group_of(nodeid)
    parts = GROUPS.get(group, LONGEST)
    positions = (number for number, part in enumerate(parts) if part in nodeid)
    return [*GROUPS, group].index(group) + (group == nodeid), next(positions, len(parts))


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Assigns one group at a time to each process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups that share a stack or a server begin first: they take longest."""
    items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the stacks with the last test of a group: an idle one takes a sixth of a core until the session ends."""
    if nextitem is None or group_of(nextitem.nodeid) == group_of(item.nodeid):
        return
    for name in STACKS:
        for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ():
            fixture.finish(item._request)  # type: ignore[attr-defined] # every item here is a function


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Assign the tests to the processes by groups."""
    return Groups(config, log)
