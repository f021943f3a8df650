"""Datasaur: labeling projects whose long operations run as jobs."""

from graphql_jobs.providers.datasaur.client import DatasaurClient
from graphql_jobs.providers.datasaur.specs import AutoLabelSpec, ExportSpec, ProjectDocument, ProjectSpec

__all__ = ["AutoLabelSpec", "DatasaurClient", "ExportSpec", "ProjectDocument", "ProjectSpec"]
