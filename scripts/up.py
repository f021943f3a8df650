"""`make up`: a stack to try in the browser. Ctrl-C ends all of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from scripts.processes import StackError
from scripts.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

#: The default port of a Prefect server.
_PORT = "4200"
#: Our choices: long enough to see a job queued and to cancel it.
_PACE = ("--queued-s", "10", "--running-s", "30")
_READY = """
Ready. Press Ctrl-C to end everything. Its data is deleted then.

Prefect UI  {ui}
Emulator    {url}  (aiWARE and Datasaur)

Start a first run in the UI: Deployments, aiware-engine, Run, Custom run. Fill in
  Engine                    {ENGINE_ID}
  Address of the recording  {MEDIA_URL}
The job takes 40 s. For Datasaur, use the deployment datasaur-auto-label with
  Project to label          {PROJECT_ID}
  Email of the labeler      {LABELER_EMAIL}

The blocks aiware, datasaur and datasaur-target-api have the credentials of the emulator:
  aiWARE token              {aiware_token}
  Datasaur client id        {datasaur_client_id}
  Datasaur client secret    {datasaur_client_secret}

To see a run survive a fault, let the next three polls of aiWARE fail while its job runs:
  curl --data '{{"kind": "server_error", "operation": "job", "times": 3}}' {url}/_emulator/faults
The log of the run shows the retries, and the job still succeeds.
"""


class OpenStack(Protocol):
    """Starts a stack with its deployments and workers."""

    def __call__(self, *, port: int, emulator_options: tuple[str, ...]) -> AbstractContextManager[Stack]: ...


@contextmanager
def small_stack(*, port: int, emulator_options: tuple[str, ...]) -> Iterator[Stack]:
    """One server and one worker."""
    with Stack(port, emulator_options) as stack:
        stack.deploy()
        stack.start_worker()
        yield stack


def main(open_stack: OpenStack) -> int:
    """Start everything, print each step and the addresses, wait for Ctrl-C or SIGTERM, end everything."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    try:
        with _steps_printed(), open_stack(port=_port(), emulator_options=_PACE) as stack:
            os.environ.update(stack.environment)
            from scripts import demo_runs  # Prefect reads its settings when it is imported

            asyncio.run(demo_runs.save_blocks(stack))
            names = ("ENGINE_ID", "MEDIA_URL", "PROJECT_ID", "LABELER_EMAIL")
            samples = {name: getattr(demo_runs, name) for name in names}
            print(_READY.format(ui=stack.url, **stack.emulator, **samples), flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("Everything has ended.")
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _port() -> int:
    port = os.environ.get("PORT") or _PORT
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise StackError(f"PORT must be from 1 to 65535, not {port!r}.")
    return int(port)


@contextmanager
def _steps_printed() -> Iterator[None]:
    """Print the steps, which the stack logs."""
    log, handler = logging.getLogger("scripts"), logging.StreamHandler(sys.stdout)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)
        log.removeHandler(handler)


def _interrupt_once(*_: object) -> NoReturn:
    """A second Ctrl-C does not interrupt the end of the stack."""
    os.write(2, b"\nEnding everything, which takes some seconds ...\n")  # `print` must not be called in a handler
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(small_stack))
