"""One flow run submits many jobs and is cancelled: are all remembered, are all cancelled, and what does each cost?

`python -m scripts.clean_up_trial 500 5000` runs on loopback, with an emulator and a Prefect server of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from typing import Any

from scripts.stack import Stack

#: Our choice: submissions that are under way together.
_AT_ONCE = 20
#: An engine that the emulator has.
_ENGINE_ID = "c0e55cde-340b-44d7-bb42-2e0d65e98255"


def main(numbers: list[int]) -> None:
    """Print a line for each number of jobs. Exits with 1 if a job was forgotten or left."""
    with Stack() as stack:
        os.environ |= stack.environment
        for number in numbers:
            asyncio.run(_trial(number))


async def _trial(number: int) -> None:
    # Prefect reads its settings when it is imported.
    from prefect import flow
    from prefect.client.base import PrefectHttpxAsyncClient
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled
    from pydantic import SecretStr

    from blocks import AiwareCredentials
    from blocks.api import one_client
    from blocks.runs.submit import submit_from_here
    from graphql_jobs.emulator import Emulator, Pace
    from graphql_jobs.providers.aiware import EngineJobSpec
    from tasks.cancelling.layers import clean_up_after
    from tasks.flow_runs import submissions_of

    requests: Counter[str] = Counter()
    send = PrefectHttpxAsyncClient.send

    async def sending(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        requests["prefect"] += not request.url.path.endswith("/logs/")
        return await send(self, request, *args, **kwargs)

    @flow
    async def many() -> str:
        from prefect.runtime import flow_run

        credentials: Any = await AiwareCredentials.aload("aiware")
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(index: int) -> None:
            spec = EngineJobSpec(engine_id=_ENGINE_ID, upload_url=f"https://media.example.com/{index}")
            async with slots, credentials.get_client() as client:
                await submit_from_here(credentials, client, spec)

        async with credentials.get_client():
            await asyncio.gather(*map(one, range(number)))
        return str(flow_run.id)

    PrefectHttpxAsyncClient.send = sending  # type: ignore[method-assign] # counts
    try:
        async with Emulator(pace=Pace(queued_s=360_000)) as emulator:
            token = SecretStr(emulator.accounts.aiware_token)
            await AiwareCredentials(base_url=emulator.url, token=token).asave("aiware", overwrite=True)

            def count() -> tuple[int, int, float]:
                return len(emulator.ledger.requests), requests["prefect"], time.monotonic()

            def told(what: str, since: tuple[int, int, float]) -> None:
                provider, prefect, wall_s = (now - then for now, then in zip(count(), since, strict=True))
                print(
                    f"{number} jobs, {what}: {wall_s:.1f} s, {1000 * wall_s / number:.1f} ms per job; per job "
                    f"{provider / number:.3f} requests to the provider, {prefect / number:.3f} to Prefect",
                    flush=True,
                )

            since = count()
            run_id: Any = await many()
            told("submitted", since)
            async with get_client() as client:
                await client.set_flow_run_state(run_id, Cancelled(), force=True)
            since = count()
            async with one_client():
                remembered = sum(1 for one in await submissions_of(run_id) if one.record and one.record.handle)
            told(f"{remembered} remembered", since)
            since = count()
            await clean_up_after(run_id)
            cancelled = len({cancel.job_id for cancel in emulator.ledger.cancels if cancel.accepted})
            told(f"{cancelled} cancelled", since)
            async with get_client() as client:
                state = (await client.read_flow_run(run_id)).state
                print(f"The state says: {state.message if state else None}", flush=True)
    finally:
        PrefectHttpxAsyncClient.send = send  # type: ignore[method-assign] # as it was
    if not remembered == cancelled == number:
        raise SystemExit(1)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [500, 5000])
