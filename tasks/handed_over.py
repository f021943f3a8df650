"""What a flow run handed over, written down before downstream is started: once, also when the run is run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from blocks.runs.store import RunStore, root_run_id
from graphql_jobs import JobState
from tasks.downstream import known_as

#: How the names of these entries begin; otherwise than a submission's.
_PREFIX = "gqh-"


async def key_of_hand_over(key: str, scope: Sequence[object], finished: Sequence[Mapping[str, Any]]) -> str:
    """The idempotency key under which this run hands `finished` over: `key`, or that of its earlier one in `scope`.

    `scope` is plain JSON that is the same whenever the run is run again. A run that waits for the first success may
    find another first one then; what it started is not started twice. But what was handed over while the end of a job
    was not known is handed over again once it is.
    """
    run_id = await root_run_id()
    if run_id is None:
        return key
    store = RunStore(run_id)
    name = f"{_PREFIX}{hashlib.sha256(json.dumps(scope).encode()).hexdigest()[:32]}"
    ended = {known_as(outcome) for outcome in finished if outcome["state"] != JobState.UNKNOWN}
    not_known = sorted({known_as(outcome) for outcome in finished} - ended)
    while True:
        entries = await store.read(name)
        last = entries[-1] if entries else {}
        if "key" in last and ended.isdisjoint(last.get("not_known", ())):
            return str(last["key"])
        if await store.append(name, len(entries), {"key": key, "not_known": not_known}):
            return key
