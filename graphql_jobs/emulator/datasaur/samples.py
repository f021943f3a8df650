"""The job and the project of the vendor's pages, planted in every emulator. They never change.

Source: "Check Job", Example Response, and the project id in the same page's cURL block.
"""

from graphql_jobs.emulator.datasaur.world import DatasaurWorld

JOB_ID = "AutoLabelQueue:dcbf6ed3-3841-46c1-8f6a-2affb53ac637"
PROJECT_ID = "HvdyIL2iwZn"


def plant_samples(world: DatasaurWorld) -> None:
    """Add the page's job and project to the world."""
    world.plant(JOB_ID, status="DELIVERED")
    # The name is ours: the page does not have it.
    world.plant_project(PROJECT_ID, name="Sample project")
