"""The engines' results: transcripts in vtn-standard format, once the job has ended."""

from collections.abc import Iterable
from typing import Any

from graphql_jobs.emulator.aiware import status
from graphql_jobs.emulator.aiware.catalog import HELPER_IDS, find_engine
from graphql_jobs.emulator.aiware.errors import AiwareError
from graphql_jobs.emulator.aiware.model import Asset, Job, Task
from graphql_jobs.emulator.aiware.world import AiwareWorld

# Our choice: the first words of the documented sample, long enough to differ from an empty result.
_WORDS = ("We", "the", "people")
_WORD_MS = 960


def find_results(world: AiwareWorld, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of engineResults by jobId, or by tdoId + engineIds. Raises invalid_input or not_found."""
    now_at = world.clock.now()
    tasks = [task for job in _jobs_asked(world, arguments) for task in finished_tasks(job, now_at)]
    engine_ids, category_ids = arguments.get("engineIds"), arguments.get("engineCategoryIds")
    return [
        _record(task)
        for task in tasks
        if (engine_ids is None or task.engine_id in engine_ids)
        and (category_ids is None or _category_of(task) in category_ids)
    ]


def _category_of(task: Task) -> str | None:
    engine = find_engine(task.engine_id)
    return engine.category_id if engine else None


def _jobs_asked(world: AiwareWorld, arguments: dict[str, Any]) -> list[Job]:
    job_id, tdo_id = arguments.get("jobId"), arguments.get("tdoId")
    if job_id is not None:
        return [world.visible_job(job_id)]
    if tdo_id is None or not (arguments.get("engineIds") or arguments.get("engineCategoryIds")):
        raise AiwareError("invalid_input", "Give jobId, or tdoId together with engineIds or engineCategoryIds.")
    return [job for job in world.jobs.values() if job.target_id == tdo_id]


def finished_tasks(job: Job, now_at: float) -> Iterable[Task]:
    """Return the tasks of an ended job that wrote a result: complete, and not helpers around the engine."""
    if status.computed_status(job, now_at) not in status.ENDED:
        return []
    return [
        task
        for task in job.tasks
        if task.engine_id not in HELPER_IDS and status.task_status(task, now_at) == "complete"
    ]


def words(jsondata: Any) -> str:
    """Return the words of a transcript as text. Invented: the formats of exports and transforms are not emulated."""
    series = jsondata.get("series") if isinstance(jsondata, dict) else None
    return " ".join(word["word"] for item in series or () for word in item["words"])


def transcript(task: Task) -> dict[str, Any]:
    """Return the result of one task, after the sample in the vendor's quickstart on jobs."""
    series = [
        {
            "startTimeMs": index * _WORD_MS,
            "stopTimeMs": (index + 1) * _WORD_MS,
            "words": [{"word": word, "confidence": 1, "bestPath": True, "utteranceLength": 1}],
            "language": "en",
        }
        for index, word in enumerate(_WORDS)
    ]
    return {
        "taskId": task.id,
        "generatedDateUTC": "0001-01-01T00:00:00Z",
        "series": series,
        "modifiedDateTime": int(status.ended_at(task) * 1000) if task.fixed_status is None else 0,
        "sourceEngineId": task.engine_id,
    }


def result_asset(task: Task) -> Asset:
    """Return the asset with a task's result."""
    tdo_id = task.job.target_id or ""
    # The asset's id derives from the task's id, so it is always the same.
    asset = Asset(f"{tdo_id}_{task.id[-10:]}", tdo_id, task.job.created_at, "vtn-standard", "application/json")
    asset.jsondata = transcript(task)
    asset.source_task_id, asset.source_engine_id = task.id, task.engine_id
    return asset


def _record(task: Task) -> dict[str, Any]:
    return {
        "tdoId": task.job.target_id or "",
        "engineId": task.engine_id,
        "jsondata": transcript(task),
        "startOffsetMs": 0,
        "stopOffsetMs": len(_WORDS) * _WORD_MS,
        "assetId": result_asset(task).id,
        "userEdited": None,
        "taskId": task.id,
    }
