"""Blocks: where a provider is, how to sign in, what to run.

Register them from a clone with `python -m prefect block register -m blocks`.
"""

from blocks.aiware import AiwareCredentials, AiwareEngineJob
from blocks.datasaur import DatasaurAutoLabel, DatasaurCredentials, DatasaurExport, DatasaurTargetApi

#: Prefect stores it as the version of the blocks' schemas.
__version__ = "0.1.0"

__all__ = [
    "AiwareCredentials",
    "AiwareEngineJob",
    "DatasaurAutoLabel",
    "DatasaurCredentials",
    "DatasaurExport",
    "DatasaurTargetApi",
]
