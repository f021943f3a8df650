"""Cancelling waits on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.contestant import Setup
    from benchmarks.meter import Meter


async def cancel_some(tasks: dict[str, asyncio.Task[None]], setup: Setup, meter: Meter) -> None:
    """Cancel the waits that the workload names, one by one, soon after the start and before the first jobs end."""
    if not setup.cancelled_ids:
        return
    await meter.started.wait()
    for job_id in setup.cancelled_ids:
        await asyncio.sleep(3 * setup.interval_s / len(setup.cancelled_ids))
        if tasks[job_id].cancel():
            meter.tell(job_id, "cancelled")
