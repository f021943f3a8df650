"""The specs of aiWARE jobs. Source: docs/providers/aiware.md#submission."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from graphql_jobs.inputs import MAX_INT, Count, Name, Settings, show_boxes
from graphql_jobs.spec import JobSpec
from graphql_jobs.urls import Url


class _Part(BaseModel):
    """A part of a spec. Its fields are sent under camelCase names (`_wire`).

    It has no aliases: Prefect writes flow parameters by alias and reads them by name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        json_schema_extra=show_boxes,
    )


class IOFolder(_Part):
    """An input or output of a task: a stream or chunks, with a name that routes refer to."""

    reference_id: Name = Field(title="Name", description="Routes refer to this name.")
    mode: Literal["stream", "chunk"] = Field(title="Mode", description="Data travels as a stream or in chunks.")
    type: Literal["input", "output"] = Field(
        title="Direction", description="The engine reads an input and writes an output."
    )


class ExecutionPreferences(_Part):
    """How a task is scheduled. Unset fields have the provider's defaults."""

    priority: int | None = Field(
        default=None, ge=-MAX_INT, le=MAX_INT, description="Lower runs earlier; guidelines are -100 to 50."
    )
    max_retries: Count | None = Field(default=None, description="Retries inside the platform.")
    max_engines: Count | None = Field(default=None, ge=1, description="Engine instances at most.")
    parallel_processing: bool | None = Field(default=None, description="Whether chunks run in parallel.")
    parent_complete_before_starting: bool | None = Field(default=None, description="Wait for the whole parent.")


class EngineTask(_Part):
    """One task of a job: an engine with its payload and its folders."""

    engine_id: Name = Field(title="Engine", description="Id of the engine.")
    payload: Settings = Field(
        default_factory=dict,
        title="Engine settings",
        description="The engine's own parameters, such as url=https://media.example.com/a.mp4.",
    )
    io_folders: list[IOFolder] = Field(
        default_factory=list, title="Folders", description="Inputs and outputs that routes connect."
    )
    execution_preferences: ExecutionPreferences | None = Field(
        default=None, title="Scheduling", description="Leave out for the provider's defaults."
    )
    standby_task: EngineTask | None = Field(
        default=None, title="Standby task", description="Runs only if this task fails."
    )


class Route(_Part):
    """Connects an output folder to an input folder."""

    parent_io_folder_reference_id: Name = Field(title="From folder", description="Name of the output folder.")
    child_io_folder_reference_id: Name = Field(title="To folder", description="Name of the input folder.")
    options: dict[str, JsonValue] = Field(
        default_factory=dict, title="Options (JSON)", description="The route's own options."
    )


class NewTarget(_Part):
    """A temporal data object that is created with the job."""

    name: str | None = Field(default=None, description="Name of the new object.")
    start_date_time: str | int | None = Field(
        default=None,
        title="Start of the recording",
        description="As text such as 2026-11-28T12:00:00Z (str), or in seconds since 1970 (int).",
    )
    stop_date_time: str | int | None = Field(
        default=None, title="End of the recording", description="Like the start, and after it."
    )
    details: dict[str, JsonValue] | None = Field(
        default=None, title="Notes (JSON)", description="aiWARE keeps this JSON with the object."
    )


class AiwareJobSpec(JobSpec):
    """A job of one or more tasks (`createJob`), on an existing target or a new one.

    With neither, `submit_once`, and so every flow, creates a container by which the job can be found; only
    `AiwareClient.submit` alone starts a job without one.
    """

    operation: ClassVar[str] = "createJob"
    title: ClassVar[str] = "aiWARE job"

    tasks: list[EngineTask] = Field(min_length=1, description="The tasks; adapters first.")
    routes: list[Route] = Field(default_factory=list, description="How folders are connected.")
    target_id: Name | None = Field(default=None, description="An existing data object.")
    target: NewTarget | None = Field(default=None, description="A data object to make.")
    cluster_id: Name | None = Field(default=None, description="Where to run; else the organisation's default.")
    job_config: dict[str, JsonValue] = Field(default_factory=dict, description="Free JSON kept with the job.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target_id and self.target:
            raise ValueError("give target_id or target, not both")
        folders = {folder.reference_id for task in _with_standbys(self.tasks) for folder in task.io_folders}
        for route in self.routes:
            for name in (route.parent_io_folder_reference_id, route.child_io_folder_reference_id):
                if name not in folders:
                    raise ValueError(f"routes: no task has an io folder {name!r}")
        return self

    @property
    def subject(self) -> str:
        """For messages."""
        return f"{len(self.tasks)} tasks, target {self.target_id or 'new'}"

    def to_wire(self) -> dict[str, Any]:
        """Return the value of `createJob(input:)`."""
        wire: dict[str, Any] = {"tasks": [_wire(task) for task in self.tasks]}
        if self.routes:
            wire["routes"] = [{"options": {}} | _wire(route) for route in self.routes]
        if self.target:
            wire["target"] = _wire(self.target)
        optional = {"targetId": self.target_id, "clusterId": self.cluster_id, "jobConfig": self.job_config or None}
        return wire | {name: value for name, value in optional.items() if value is not None}


class EngineJobSpec(JobSpec):
    """One engine on one recording (`launchSingleEngineJob`), through the engine's own job template."""

    operation: ClassVar[str] = "launchSingleEngineJob"
    title: ClassVar[str] = "aiWARE engine job"

    engine_id: Name = Field(description="The engine's id.")
    upload_url: Url | None = Field(default=None, repr=False, description="Media to fetch into a new data object.")
    target_id: Name | None = Field(default=None, description="An existing data object that holds the media.")
    fields: dict[Name, str] = Field(default_factory=dict, description="Values for the engine's job template.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.upload_url) == bool(self.target_id):
            raise ValueError("give either upload_url or target_id")
        return self

    @property
    def subject(self) -> str:
        """For messages."""
        return f"engine {self.engine_id}"


def _wire(part: _Part) -> dict[str, Any]:
    """Return the part under the provider's names, without empty fields. A caller's JSON is not changed."""
    return {to_camel(name): _wire_value(value) for name, value in part if value not in (None, [], {})}


def _wire_value(value: Any) -> Any:
    if isinstance(value, _Part):
        return _wire(value)
    return [_wire_value(item) for item in value] if isinstance(value, list) else value


def _with_standbys(tasks: list[EngineTask]) -> list[EngineTask]:
    found = list(tasks)
    for task in found:  # the list grows during the loop: standby tasks may have standby tasks
        if task.standby_task:
            found.append(task.standby_task)  # noqa: PERF401 (a comprehension would not see what was added)
    return found
