"""aiWARE's documents. Each is validated in tests against the SDL in `graphql_jobs/emulator/schema/aiware.graphql`.

Source: docs/providers/aiware.md. Inputs of types whose names are not public are inlined, with variables of scalar
types, so no text is ever pasted into a document.
"""

from __future__ import annotations

from functools import cache

from graphql_jobs.transport.operation import Operation

#: The documented default page of a task list; caps on larger pages are not published (docs/providers/aiware.md).
TASK_PAGE = 30
#: A check uses the smallest of these numbers of aliases that fits its ids, so only nine documents exist, here and in
#: the server's cache. The steps are our choice.
ALIAS_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

CREATE_JOB = Operation("mutation CreateJob($input: CreateJob!) { createJob(input: $input) { id targetId status } }")
CREATE_TDO = Operation("mutation CreateTDO($input: CreateTDO!) { createTDO(input: $input) { id } }")
CREATE_TDO_WITH_ASSET = Operation(
    "mutation CreateTDOWithAsset($input: CreateTDOWithAsset!) { createTDOWithAsset(input: $input) { id } }"
)
CANCEL_JOB = Operation("mutation CancelJob($id: ID!) { cancelJob(id: $id) { id message } }")
RETRY_JOB = Operation("mutation RetryJob($id: ID!) { retryJob(id: $id) { id targetId status } }")
WHO_AM_I = Operation("query WhoAmI { me { id name organization { name } } myRights { operations } }")
FIND_JOBS = Operation("""
query FindJobs($targetId: ID!, $from: DateTime, $offset: Int, $limit: Int) {
  jobs(
    targetId: $targetId
    dateTimeFilter: [{ field: createdDateTime, fromDateTime: $from }]
    orderBy: [{ field: createdDateTime, direction: asc }]
    offset: $offset
    limit: $limit
  ) {
    records { id createdDateTime targetId jobConfig tasks { records { engineId } } }
  }
}
""")
LIST_JOBS = Operation("""
query ListJobs($from: DateTime, $to: DateTime, $offset: Int, $limit: Int) {
  jobs(
    dateTimeFilter: [{ field: createdDateTime, fromDateTime: $from, toDateTime: $to }]
    orderBy: [{ field: createdDateTime, direction: asc }]
    offset: $offset
    limit: $limit
  ) {
    records { id status createdDateTime targetId jobConfig target { details } }
  }
}
""")
ENGINE_RESULTS = Operation("""
query EngineResults($jobId: ID!) {
  engineResults(jobId: $jobId) {
    records { tdoId engineId taskId assetId startOffsetMs stopOffsetMs jsondata }
  }
}
""")

_JOB_FIELDS = """
fragment JobFields on Job {
  id
  status
  targetId
  createdDateTime
  modifiedDateTime
  tasks(offset: $offset, limit: $limit) {
    limit
    records {
      id
      status
      engineId
      startedDateTime
      completedDateTime
      failureReason
      failureMessage
      standbyTask { id status }
    }
  }
}
"""


@cache
def check_jobs(aliases: int) -> Operation:
    """Return the check of `aliases` jobs: `j0` to `jN`, ids in `$id0` to `$idN`, one page of tasks each."""
    variables = "".join(f"$id{number}: ID!, " for number in range(aliases))
    fields = " ".join(f"j{number}: job(id: $id{number}) {{ ...JobFields }}" for number in range(aliases))
    return Operation(f"query CheckJobs({variables}$offset: Int, $limit: Int) {{ {fields} }} {_JOB_FIELDS}")


@cache
def launch_engine_job(source: str, fields: int) -> Operation:
    """Return a launch by "uploadUrl" or "targetId", with `fields` template fields in `$name0`, `$value0` and so on."""
    source_type = {"uploadUrl": "String", "targetId": "ID"}[source]
    variables = "".join(f", $name{number}: String!, $value{number}: String" for number in range(fields))
    listed = " ".join(f"{{fieldName: $name{number}, fieldValue: $value{number}}}" for number in range(fields))
    return Operation(
        f"mutation LaunchSingleEngineJob($engineId: ID!, $source: {source_type}{variables}) {{"
        f" launchSingleEngineJob(input: {{engineId: $engineId, {source}: $source, fields: [{listed}]}})"
        " { id targetId status } }"
    )
