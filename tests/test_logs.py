"""The errors in the log of a server or a worker."""

from __future__ import annotations

import logging

import pytest

from flows.watch_suspended_runs import LOG_FORMAT
from scripts.logs import EXPECTED, Expected, errors
from tests.expected_errors import OF_CANCELLING

INFO = "09:00:00.000 | INFO    | prefect.flow_runs.worker - Worker 'worker-1' submitting flow run 'x'"
WARNING = "09:00:01.000 | WARNING | prefect.server - slow"
ERROR = "09:00:02.000 | ERROR   | prefect.docket.worker - schedule_deployments() failed"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: one'
OTHER_TRACEBACK = 'Traceback (most recent call last):\n  File "b.py", line 1, in <module>\nTypeError: other'
CHAIN = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
LATER = "09:00:03.000 | INFO    | prefect - later"
SCHEDULER = Expected(r"prefect\.docket\.worker - schedule_deployments\(\) failed", r"ValueError: one", "a test")


def log(*entries: str) -> str:
    return "\n".join([INFO, *entries, LATER])


@pytest.mark.parametrize(
    "entry",
    [
        ERROR,
        "09:00:02.000 | CRITICAL | prefect - no space left",
        "ERROR:    Exception in ASGI application",
        f"{ERROR}\n{TRACEBACK}",
        f"{WARNING}\n{TRACEBACK}",
        f"{WARNING}\n  + Exception Group Traceback (most recent call last):\n  | ValueError: one",
        "Exception ignored in: <function f at 0x1>",
        "Task exception was never retrieved",
    ],
)
def test_error_and_traceback_are_found_whole(entry: str) -> None:
    """An entry lasts from its line with time and level to the next such line; a traceback belongs to it."""
    assert errors(log(entry)) == [entry]


def test_error_of_a_watcher_is_found() -> None:
    """A watcher's log has the format of Prefect's logs."""
    record = logging.LogRecord("tasks.suspending.watcher", logging.ERROR, "", 0, "no", None, None)
    entry = logging.Formatter(LOG_FORMAT, "%H:%M:%S").format(record)
    assert errors(log(entry)) == [entry]


def test_log_without_an_error_is_clean() -> None:
    """A warning, and the word ERROR in a message, are not errors."""
    assert errors("") == []
    assert errors(log(WARNING, "09:00:02.000 | INFO    | prefect - a state, ERROR | so", "  banner")) == []


def test_expected_error_is_not_reported() -> None:
    """The message and the last error of the traceback are named, also of chained tracebacks."""
    assert errors(log(f"{ERROR}\n{TRACEBACK}"), [SCHEDULER]) == []
    assert errors(log(f"{ERROR}\n{OTHER_TRACEBACK}{CHAIN}{TRACEBACK}"), [SCHEDULER]) == []


@pytest.mark.parametrize(
    "entry", [ERROR, f"{ERROR}\n{OTHER_TRACEBACK}", f"{ERROR} again\n{OTHER_TRACEBACK}", f"{WARNING}\n{TRACEBACK}"]
)
def test_error_with_another_cause_is_not_the_expected_one(entry: str) -> None:
    """The scheduler may fail with a ValueError, not with a TypeError; other services may not fail with a ValueError."""
    assert errors(log(entry), [SCHEDULER]) == [entry]


def test_message_that_is_expected_hides_no_traceback() -> None:
    """A process that prints a traceback right after an expected message is reported."""
    message_only = Expected(r"prefect\.docket\.worker - schedule_deployments\(\) failed", "", "a test")
    assert errors(log(ERROR), [message_only]) == []
    assert errors(log(f"{ERROR}\n{TRACEBACK}"), [message_only]) == [f"{ERROR}\n{TRACEBACK}"]
    assert errors(log(f"{ERROR}\n{TRACEBACK}\n{OTHER_TRACEBACK}"), [SCHEDULER]) == [OTHER_TRACEBACK]


@pytest.mark.parametrize(
    ("cause", "is_expected"), [("database is locked", True), ("no such table: worker", False)], ids=["busy", "broken"]
)
def test_a_worker_may_leave_while_its_first_heartbeat_waits_for_sqlite(cause: str, is_expected: bool) -> None:
    """The server reports that the worker is gone; a heartbeat that fails for another reason is reported."""
    log = f"""03:22:37.629 | ERROR   | uvicorn.error - Exception in ASGI application
Traceback (most recent call last):
  File "api/workers.py", line 1, in record_worker_heartbeat
sqlite3.OperationalError: {cause}

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
prefect.server.api.workers.WorkerChannelSetupError: worker_channel_initial_heartbeat_failed

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "starlette/websockets.py", line 95, in send
    raise WebSocketDisconnect(code=1006)
starlette.websockets.WebSocketDisconnect"""
    assert bool(errors(log)) != is_expected


def test_only_named_errors_of_every_stack_are_expected() -> None:
    """Each has its own pattern and a reason."""
    assert all(len(one.message) > 20 and one.reason for one in EXPECTED)


@pytest.mark.parametrize(("event", "is_expected"), [("heartbeat", True), ("Completed", False)])
def test_only_a_heartbeat_may_come_after_the_end_of_its_process(event: str, is_expected: bool) -> None:
    """A heartbeat that the stopped service refuses is expected; the event of a state that it refuses is lost."""
    entry = f"09:00:02.000 | ERROR   | prefect.events.utilities - Error emitting event: prefect.flow-run.{event}\n"
    entry += f"{TRACEBACK.rpartition(chr(10))[0]}\nRuntimeError: Cannot put items in a stopped service instance."
    assert errors(log(entry)) == ([] if is_expected else [entry])


@pytest.mark.parametrize("message", ["unhandled exception during asyncio.run()", "Fatal write error on socket"])
@pytest.mark.parametrize(
    ("last_line", "is_expected"),
    [
        ("prefect.exceptions.TerminationSignal", True),
        ("prefect.exceptions.TerminationSignal: 15", True),
        (f"prefect.exceptions.TerminationSignal: 15{CHAIN}{TRACEBACK}", False),
    ],
)
def test_sigterm_may_interrupt_anything_in_a_stopped_run(message: str, last_line: str, is_expected: bool) -> None:
    """A traceback that ends with Prefect's TerminationSignal is expected; one that ends otherwise is not."""
    entry = f"09:00:02.000 | ERROR   | asyncio - {message}\ntask: <Task>\n"
    entry += f"{TRACEBACK.rpartition(chr(10))[0]}\n{last_line}"
    assert errors(log(entry), OF_CANCELLING) == ([] if is_expected else [entry])
