"""Reads the logs of a Prefect server and its workers: every error that is not in the list of expected ones is a fault.

A service of the server can fail each time that it runs, and only the server's log says so: the scheduler did, with
SQLAlchemy 2.1. `make demo` and the fixtures that start a server for the tests call `errors()`, and `.ci/run` runs
both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Expected(NamedTuple):
    """An error that a log may have."""

    #: A regular expression for the beginning of the message, which follows the time and the level.
    message: str
    #: A regular expression for the last error of the traceback; empty if the entry may have no traceback.
    error: str
    #: Why the entry is not a fault.
    reason: str


_LOCKED = r"database is locked"
_ONE_WRITER = "SQLite has one writer, and on a busy machine a write may not get its turn in time: "

#: Expected errors in the log of any stack.
EXPECTED = (
    Expected(
        r"prefect\.server\.utilities\.worker_channel - Worker channel heartbeat persistence failed",
        _LOCKED,
        _ONE_WRITER + "the worker sends its next heartbeat by HTTP.",
    ),
    Expected(
        r"uvicorn\.error - Exception in ASGI application",
        r"(?s)database is locked.*WorkerChannelSetupError: worker_channel_initial_heartbeat_failed"
        r".*starlette\.websockets\.WebSocketDisconnect\s*\Z",
        _ONE_WRITER + "the worker has left by then. It connects again, and sends its heartbeats by HTTP until then.",
    ),
    Expected(
        r"prefect\.server\.services\.task_run_recorder - Error flushing \d+ events \(\d+ to retry, 0 dropped\)",
        _LOCKED,
        _ONE_WRITER + "the events are written later. Events that are dropped are not expected.",
    ),
    Expected(
        r"prefect\.server - Encountered error during state validation",
        _LOCKED,
        _ONE_WRITER + "the client gets 503 and sends the state again.",
    ),
    Expected(
        r"docket\.dependencies - \S+ \[ *\d+ms\] \w+\(",
        _LOCKED,
        _ONE_WRITER + "the server runs each of its services and background tasks again.",
    ),
    Expected(
        r"prefect\.server\.events\.triggers - Error (running periodic evaluation|sweeping held events)",
        _LOCKED,
        _ONE_WRITER + "the server does both again a few seconds later.",
    ),
    Expected(
        r"Flow run '[^']+' - Finished in state Suspended\(type=PAUSED\)",
        "",
        "Prefect logs each state of a flow run that is not Completed as an error.",
    ),
    Expected(
        r"prefect\.FlowRun(Cancelling|Suspending)Observer - .* Switching to polling mode until it reconnects",
        r"keepalive ping timeout",
        "A busy server answers a ping late. The worker asks for cancelled runs by HTTP until it is connected again.",
    ),
    Expected(
        r"asyncio - Task exception was never retrieved\s+future: .*WorkerChannelProtocolHandler\._heartbeat_loop\(\)",
        r"keepalive ping timeout",
        "A busy server answers a ping late. The worker connects again, and sends its heartbeats by HTTP until then.",
    ),
    Expected(
        r"prefect\.events\.utilities - Error emitting event: prefect\.flow-run\.heartbeat\s",
        r"RuntimeError: (Cannot put items in a stopped service instance\.|can't register atexit after shutdown)\s*$",
        "The heartbeat thread of a flow run may outlive the service that sends its events: the process is ending, and "
        "its run needs no heartbeat any more. Every other event that is lost in this way is not expected.",
    ),
)

# Prefect's logging begins a line with time and level, uvicorn's with the level. The lines after it belong to it.
_HEAD = re.compile(r"(?:\d\d:\d\d:\d\d\.\d{3} \| )?(DEBUG|INFO|WARNING|ERROR|CRITICAL)\s*(?:\||:)\s*")
_TRACEBACK = "Traceback (most recent call last)"
#: Reports of the interpreter, which have no level.
_REPORTS = ("Exception ignored", "Fatal Python error", "Task exception was never retrieved")
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


def errors(log: str, expected: Iterable[Expected] = ()) -> list[str]:
    """The entries of `log` with an error or a traceback, except those in `EXPECTED` and `expected`."""
    allowed = (*EXPECTED, *expected)
    return [entry for entry in _entries(log) if _is_error(entry) and not any(_fits(entry, one) for one in allowed)]


def _entries(log: str) -> Iterator[str]:
    entry: list[str] = []
    for line in log.splitlines():
        if entry and _begins_entry(line, entry):
            yield "\n".join(entry)
            entry = []
        entry.append(line)
    yield "\n".join(entry)


def _begins_entry(line: str, entry: list[str]) -> bool:
    """A second traceback that is not chained is a separate entry, so that an expected one does not hide it."""
    if line.startswith(_TRACEBACK):
        before = next((text for text in reversed(entry) if text.strip()), "")
        return any(text.startswith(_TRACEBACK) for text in entry) and not before.startswith(_CHAINED)
    return bool(_HEAD.match(line)) or line.startswith(_REPORTS)


def _is_error(entry: str) -> bool:
    head = _HEAD.match(entry)
    return bool(head and head[1] in ("ERROR", "CRITICAL")) or _TRACEBACK in entry or entry.startswith(_REPORTS)


def _fits(entry: str, expected: Expected) -> bool:
    head = _HEAD.match(entry)
    message, _, traceback = entry[head.end() if head else 0 :].partition(_TRACEBACK)
    if not re.match(expected.message, message):
        return False
    return bool(expected.error and re.search(expected.error, traceback)) if traceback else not expected.error
