"""The process of a flow run that is killed once its jobs are submitted: `python -m tests.flows.killed_run JSON`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from flows.examples.nightly_transcripts import nightly_transcripts
from tasks import batch


async def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    batch._collect = killed  # type: ignore[assignment] # it is called with positional arguments
    asyncio.run(nightly_transcripts(**json.loads(sys.argv[1])))
