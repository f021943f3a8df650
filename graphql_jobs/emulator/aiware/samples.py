"""The job of the vendor's page, planted in every emulator. It never changes.

Source: "Check a Job Status", Sample Response. One task id ends in a blank, as on the page.
"""

from graphql_jobs.emulator.aiware.model import PlantedTask
from graphql_jobs.emulator.aiware.world import AiwareWorld

JOB_ID = "2791851b-0d02-4aaf-97e0-cd77a2e771ad"

_TASKS = (
    ("caaa51ab-e4b4-49e3-b6d9-3291fa4b9836", "complete", "fc004413-89f0-132a-60b2-b94522fb7e66"),
    ("fcd5c69b-0f8e-46f0-9aa0-2718529836ad", "queued", "f0acacba-2c33-86c1-0deb-c479906f17c5"),
    ("563e8f85-f733-45b7-8eb7-3ff68aed498a ", "queued", "b00fc05e-3502-e8da-4871-7182dc1aa9f2"),
    ("a4c4767a-f7a4-4244-8481-a036a286e3a3", "pending", "c2aaa6d7-14fa-f840-f77e-4d2c0b857fa8"),
)


def plant_samples(world: AiwareWorld) -> None:
    """Add the page's job to the world."""
    tasks = [PlantedTask(status, f"{JOB_ID}-{suffix}", engine_id) for suffix, status, engine_id in _TASKS]
    world.plant(JOB_ID, status="running", tasks=tasks)
