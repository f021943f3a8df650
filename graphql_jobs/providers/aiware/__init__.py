"""Veritone aiWARE: jobs of engine tasks on a temporal data object (TDO)."""

from graphql_jobs.providers.aiware.client import AiwareClient
from graphql_jobs.providers.aiware.specs import AiwareJobSpec, EngineJobSpec, EngineTask, IOFolder, NewTarget, Route

__all__ = ["AiwareClient", "AiwareJobSpec", "EngineJobSpec", "EngineTask", "IOFolder", "NewTarget", "Route"]
