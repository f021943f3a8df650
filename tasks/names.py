"""The names of flow runs and task runs, from their parameters: "engine c0e55cde on HitchhikersGuide.mp4".

A name never contains a secret: of an address it has only the file name, without the query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.tasks import TaskRunNameCallbackWithParameters

from graphql_jobs.titles import title_of

#: Our choice: longer names are cut off in the UI's lists.
_MAX_CHARACTERS = 80
#: A name that Prefect 3.9.1 or its UI gives to a run: "handmade-osprey" or "Handmade-Osprey".
#: The old UI begins with a Greek letter: "phi2-trebus-y", "omega-neubilia-quadrant", "mu-ursae-majoris-ring" or "tau".
_GENERATED = re.compile(
    r"[A-Za-z]+-[A-Za-z]+"
    r"|(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi"
    r"|psi|omega)\d*(-[a-z]*){0,3}"
)
#: Ids of engines are UUIDs, whose first part is enough.
_UUID_TAIL = re.compile(r"(?<=\A[0-9a-f]{8})(-[0-9a-f]{4,12}){4}\Z")

Parameters = Mapping[str, Any]


def named_after(describe: Callable[[Parameters], str]) -> Callable[[], str]:
    """Return a `flow_run_name` that describes the run's parameters. A name that a person gave to the run stays.

    Parameters are not validated yet, so `describe` may fail: the run keeps its generated name then.
    """

    def name() -> str:
        context = FlowRunContext.get()
        given = context.flow_run.name if context and context.flow_run else ""
        if context is None or not _GENERATED.fullmatch(given):
            return given
        try:
            return printable(describe(context.parameters or {})) or given
        except Exception:  # whatever a wrong parameter causes: the flow itself refuses it, with a message
            return given

    return name


def name_of_run(run_id: UUID) -> str:
    """Return the name of another flow run, by a request to Prefect's API. The name of a run is made synchronously."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).name


def recording(parameters: Parameters) -> str:
    """Return the file name of the recording's address, or the data object that holds it."""
    if address := parameters.get("upload_url"):
        return file_of(address)
    target_id = parameters.get("target_id")
    return f"data object {target_id}" if target_id else "a new data object"


def file_of(address: str) -> str:
    """Return the file name in an address, without the query, which may be a signature."""
    parts = urlsplit(address.strip())
    return printable(unquote(parts.path.rstrip("/").rpartition("/")[2])) or parts.hostname or "a file"


def engine_run(parameters: Parameters) -> str:
    """Return the name of a run of `run-aiware-engine`, or of `run-aiware-job` with an engine or with tasks."""
    if engine_id := parameters.get("engine_id"):
        return f"engine {_UUID_TAIL.sub('', str(engine_id).strip())} on {recording(parameters)}"
    return f"{count(parameters['tasks'], 'aiWARE task')} on {recording(parameters)}"


def count(things: Any, noun: str) -> str:
    """Return "1 job" or "2 jobs"."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _names_task_runs(name: Callable[[Parameters], str]) -> TaskRunNameCallbackWithParameters:
    return cast("TaskRunNameCallbackWithParameters", name)  # its class method is Prefect's own


@_names_task_runs
def submission(parameters: Parameters) -> str:
    """Return the name of a task run that submits a job: "submit Datasaur export"."""
    return f"submit {parameters['spec'].title}"


@_names_task_runs
def submission_of_many(parameters: Parameters) -> str:
    """Return the name of a task run that submits jobs: "submit 100 jobs"."""
    return f"submit {count(parameters['items'], 'job')}"


@_names_task_runs
def wait_for_one(parameters: Parameters) -> str:
    """Return the name of a task run that waits for one job: "wait for aiWARE job 2007291500_mrE"."""
    job = parameters["job"]
    return f"wait for {job.name}"


@_names_task_runs
def wait_for_many(parameters: Parameters) -> str:
    """Return the name of a task run that waits for jobs: "wait for 2 aiWARE jobs"."""
    block = parameters["credentials"]
    kind = type(block).__name__
    named = kind.removesuffix("Credentials").lower() if kind.endswith("Credentials") else ""
    title = title_of(getattr(block, "provider", named))  # a declaration names its provider
    return f"wait for {count(parameters['jobs'], f'{title} job'.strip())}"


def printable(text: str) -> str:
    """Return the text without control characters, and cut."""
    shown = "".join(character for character in text if character.isprintable()).strip()
    return shown if len(shown) <= _MAX_CHARACTERS else shown[: _MAX_CHARACTERS - 1] + "…"
