"""A process that submits on command: `python -m tests.blocks.submitting_process`.

The first line of its input has the emulator's address and credentials. Then, for each job: a line with the spec, the
flow run and the key; it answers "ready"; a line that says go; it answers with the handle, or with the error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from prefect.context import AsyncClientContext
from pydantic import SecretStr

from blocks import AiwareCredentials, DatasaurCredentials
from blocks.runs.submit import submit_from_here
from graphql_jobs.providers.aiware import AiwareJobSpec, EngineJobSpec
from graphql_jobs.providers.datasaur import AutoLabelSpec, ProjectSpec

if TYPE_CHECKING:
    from graphql_jobs import JobSpec

SPECS: dict[str, type[JobSpec]] = {spec.operation: spec for spec in (AiwareJobSpec, EngineJobSpec)}
SPECS |= {spec.operation: spec for spec in (AutoLabelSpec, ProjectSpec)}


async def main() -> None:
    """Serve until the input ends."""
    where = json.loads(await _line())
    aiware = AiwareCredentials(base_url=where["url"], token=SecretStr(where["token"]))
    datasaur = DatasaurCredentials(
        base_url=where["url"], client_id=where["client_id"], client_secret=SecretStr(where["client_secret"])
    )
    async with AsyncClientContext.get_or_create(), aiware.get_client() as one, datasaur.get_client() as other:
        while order := await _line():
            told = json.loads(order)
            is_aiware = told["operation"] in one.recoveries
            credentials, client = (aiware, one) if is_aiware else (datasaur, other)
            spec = SPECS[told["operation"]].of(**told["spec"])
            os.environ["PREFECT__FLOW_RUN_ID"] = told["run_id"]  # as a worker does for its flow-run process
            _say("ready")
            await _line()
            try:
                handle: Any = await submit_from_here(credentials, client, spec, key=told["key"])
                _say(json.dumps(handle.to_json()))
            except Exception as error:
                _say(json.dumps({"error": f"{type(error).__name__}: {error}"}))


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
