"""Blocks: the address of a provider, how to sign in, and the jobs to run.

Register them from a clone with `python -m prefect block register -m blocks`.
"""

from blocks.aiware import AiwareCredentials, AiwareEngineJob
from blocks.datasaur import DatasaurAutoLabel, DatasaurCredentials, DatasaurExport, DatasaurTargetApi
from blocks.graphql_job_provider import GraphqlJobProvider

# Prefect stores this as the version of the block schemas.
from graphql_jobs import __version__ as __version__

__all__ = [
    "AiwareCredentials",
    "AiwareEngineJob",
    "DatasaurAutoLabel",
    "DatasaurCredentials",
    "DatasaurExport",
    "DatasaurTargetApi",
    "GraphqlJobProvider",
]
