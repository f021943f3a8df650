"""Inject faults into all requests, and write the ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from graphql_jobs.emulator.answers import Answer, send
from graphql_jobs.emulator.call import Dialect
from graphql_jobs.emulator.clock import Clock
from graphql_jobs.emulator.execution import Outline
from graphql_jobs.emulator.fault_effects import AFTER, BEFORE
from graphql_jobs.emulator.faults import Fault, FaultPlan
from graphql_jobs.emulator.ledger import Ledger, Provider, RequestRecord
from graphql_jobs.emulator.load.workload import Workload

# Faults whose answer still has statuses.
_WITH_STATUSES = frozenset({"delay", "partial", "null_member", "denied_member", "side_error", "cut_list", "moved_list"})


@dataclass
class Exchange:
    """One request and the data about it so far."""

    provider: Provider
    dialect: Dialect
    outline: Outline = field(default_factory=Outline)
    variables: Mapping[str, Any] = field(default_factory=dict)
    # The jobs whose statuses are in the answer.
    job_ids: tuple[str, ...] = ()


Work = Callable[[], Awaitable[Answer]]


class Interceptor:
    """Apply the fault plan to the work, and write the ledger before anything is sent."""

    def __init__(self, clock: Clock, faults: FaultPlan, ledger: Ledger, workload: Workload) -> None:
        self._clock = clock
        self._workload = workload
        self._faults = faults
        self._ledger = ledger

    async def serve(self, request: web.Request, exchange: Exchange, work: Work) -> web.StreamResponse:
        """Do the work, unless a fault replaces it, and send the answer, unless a fault changes it."""
        self._workload.begin_request(request, exchange.variables)
        try:
            return await self._serve(request, exchange, work)
        finally:
            self._workload.end_request(request, exchange.variables)

    async def _serve(self, request: web.Request, exchange: Exchange, work: Work) -> web.StreamResponse:
        at = self._clock.now()
        asked = exchange.outline
        fault = self._faults.for_request(exchange.provider, asked.fields, asked.batch_size)
        if fault is not None and fault.delay_s > 0:
            await asyncio.sleep(fault.delay_s)
        answer = await _answer(fault, exchange, work)
        self._record(at, request, exchange, answer, fault)
        if fault is None or fault.kind in _WITH_STATUSES:
            self._workload.note_told(exchange.job_ids)
        return await send(request, answer)

    def _record(self, at: float, request: web.Request, exchange: Exchange, answer: Answer, fault: Fault | None) -> None:
        is_dropped = answer.manner == "drop"
        self._ledger.requests.append(
            RequestRecord(
                at=at,
                provider=exchange.provider,
                operation=exchange.outline.fields,
                operation_name=exchange.outline.operation_name,
                status=None if is_dropped else answer.status,
                job_ids=exchange.job_ids,
                request_bytes=request.content.total_bytes,
                response_bytes=0 if is_dropped else len(answer.body),
                fault=fault.kind if fault else None,
                has_authorization="Authorization" in request.headers,
            )
        )


async def _answer(fault: Fault | None, exchange: Exchange, work: Work) -> Answer:
    if fault is None:
        return await work()
    if fault.kind in BEFORE:
        answer = BEFORE[fault.kind](fault, exchange.dialect, exchange.outline)
    else:
        answer = AFTER[fault.kind](fault, exchange.dialect, await work())
    if fault.retry_after is None:
        return answer
    return replace(answer, headers={**answer.headers, "Retry-After": str(fault.retry_after)})
