"""The errors that the tests of the stack cause in the logs of their workers (see scripts/logs.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.logs import Expected

if TYPE_CHECKING:
    from collections.abc import Iterable

REFUSED = "tests/test_deployments.py starts a run with an engine that does not exist."
NOT_SAVED = "tests/test_deployments.py starts a run with a block that is not saved."
LATE = "tests/test_deployments.py starts a run that stops waiting after a second."
STOPPED = (
    "tests/cancelling and tests/test_ui.py cancel runs, which ends their processes, or stop the worker under them."
)

FAILED = "tests/test_ui.py checks a wrong token and runs a job that fails."
KILLED = "tests/test_crashes.py kills an auto-label between its request and the answer."

#: The server that the tests of blocks, tasks and flows share.
OF_SERVER = (
    Expected(
        r"(prefect\.server - Encountered exception in request:|uvicorn\.error - Exception in ASGI application)",
        r"AttributeError: 'NoneType' object has no attribute 'state'",
        "tests/suspending deletes a run at the instant at which a watcher resumes it.",
    ),
)

# A task run that waits is cancelled; one whose thread computes is aborted.
_ENDED = r"Execution was (cancelled by the|aborted by a termination signal)"

#: Runs whose process gets SIGTERM, in any of their task runs.
OF_CANCELLING = (
    Expected(rf"Task run '[^']+' - Crash detected! {_ENDED}", "", STOPPED),
    Expected(rf"Task run '[^']+' - Finished in state Crashed\('{_ENDED}", "", STOPPED),
    Expected(r"(Flow run '[^']+'|prefect\.engine) - Finished in state (Running|Cancelling)\(", "", STOPPED),
    # The handler of SIGTERM raises at any point of the process, so any code that is running may report it.
    Expected("", r"\nprefect\.exceptions\.TerminationSignal(: \d+)?\s*\Z", STOPPED),
)

#: The stack that the tests of the root folder share.
OF_SHARED_STACK = (
    Expected(r"Task run 'submit aiWARE engine job' - Finished in state RequestFailed\(", "", REFUSED),
    Expected(r"Flow run '[^']+' - Finished in state RequestFailed\(", "", REFUSED),
    Expected(r"Flow run '[^']+' - Finished in state InvalidInput\(\"credentials: there is no", "", NOT_SAVED),
    Expected(r"Task run 'wait for [^']+' - Finished in state TimedOut\(", "", LATE),
    Expected(r"Flow run '[^']+' - Finished in state TimedOut\(", "", LATE),
    Expected(r"Task run 'submit Datasaur auto-labeling' - Finished in state SubmissionUnknown\(", "", KILLED),
    Expected(r"Flow run '[^']+' - Finished in state SubmissionUnknown\(", "", KILLED),
    Expected(r"(Task run 'wait for [^']+'|Flow run '[^']+') - Finished in state JobFailed\(", "", FAILED),
    Expected(r"Task run 'check connection' - Finished in state RequestFailed\(", "", FAILED),
    *OF_CANCELLING,
)

SERVER_KILLED = "tests/test_scaled.py kills an API server. The worker is connected to another one a moment later."

#: What a killed API server leaves in the logs of the workers.
OF_KILLED_SERVER = (
    Expected(
        r"prefect\.FlowRun(Cancelling|Suspending)Observer - .* Switching to polling mode until it reconnects",
        r"ConnectionClosedError: no close frame received or sent",
        SERVER_KILLED,
    ),
)


def check_logs(found: Iterable[str]) -> None:
    """Fail with the errors that were found in the logs of a stack."""
    unexpected = list(found)
    assert not unexpected, "\n\n".join(["The logs have unexpected errors:", *unexpected])
