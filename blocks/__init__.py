"""Blocks: the address of a provider, how to sign in, and the jobs to run.

Register them from a clone with `python -m prefect block register -m blocks`.
"""

from blocks.aiware import AiwareCredentials, AiwareEngineJob
from blocks.datasaur import DatasaurAutoLabel, DatasaurCredentials, DatasaurExport, DatasaurTargetApi

#: Prefect stores this as the version of the block schemas.
__version__ = "0.1.0"

__all__ = [
    "AiwareCredentials",
    "AiwareEngineJob",
    "DatasaurAutoLabel",
    "DatasaurCredentials",
    "DatasaurExport",
    "DatasaurTargetApi",
]
