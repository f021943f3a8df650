"""Datasaur's documents. Each is validated in tests against `graphql_jobs/emulator/schema/datasaur.graphql`.

Source: docs/providers/datasaur.md, and the vendor's page on checking a job (docs.datasaur.ai/api/get-data/check-job).
"""

from __future__ import annotations

from graphql_jobs.transport.operation import Operation

#: From the vendor's page; a job's other fields are requested once it has ended.
GET_JOB = Operation("query GetJobQuery($jobId: String!) { result: getJob(jobId: $jobId) { id status progress } }")

_JOB_FIELDS = "id status progress errors { id stack args } resultId createdAt updatedAt"

GET_JOBS = Operation(f"query GetJobs($jobIds: [String!]!) {{ result: getJobs(jobIds: $jobIds) {{ {_JOB_FIELDS} }} }}")

AUTO_LABEL = Operation(
    "mutation AutoLabelTokenBasedProjectMutation($input: AutoLabelTokenBasedProjectInput!) {"
    " result: autoLabelTokenBasedProject(input: $input) { id status progress } }"
)
CREATE_PROJECT = Operation(
    "mutation CreateProjectMutation($input: LaunchProjectInput!) {"
    " result: createProject(input: $input) { name job { id status progress } } }"
)
#: Despite its keyword, this query starts an export, so it is sent as a create.
EXPORT_PROJECT = Operation(
    "query ExportTextProjectQuery($input: ExportTextProjectInput!) {"
    " result: exportTextProject(input: $input) { exportId fileUrl fileUrlExpiredAt queued redirect } }"
)
#: The same, into the caller's object storage. Only servers that can do so have the field `key`.
EXPORT_TO_STORAGE = Operation(
    "query ExportTextProjectQuery($input: ExportTextProjectInput!) {"
    " result: exportTextProject(input: $input) { exportId key queued } }"
)
FIND_PROJECTS = Operation("""
query FindProjects($teamId: ID, $keyword: String!, $page: OffsetPageInput!) {
  result: getProjects(input: { filter: { teamId: $teamId, keyword: $keyword }, page: $page }) {
    nodes { id name createdDate }
    totalCount
  }
}
""")
LIST_PROJECTS = Operation("""
query ListProjects($filter: GetProjectsFilterInput!, $page: OffsetPageInput!) {
  result: getProjects(input: { filter: $filter, page: $page }) {
    nodes { id name status completedDate updatedDate tags { name } }
    totalCount
  }
}
""")
#: Datasaur has no query for the account. This one needs a sign-in and starts nothing.
COUNT_PROJECTS = Operation(
    "query CountProjects { result: getProjects(input: { page: { skip: 0, take: 1 } }) { totalCount } }"
)
GET_PROJECT = Operation("query GetProject($id: ID!) { result: getProject(input: { projectId: $id }) { id name } }")
