"""`make up`: a stack to try in the browser. Ctrl-C ends all of it."""

from __future__ import annotations

import asyncio
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
_PORT = 4200


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
    """Start everything, print the addresses, wait for Ctrl-C or SIGTERM, end everything."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    try:
        with open_stack(port=_PORT, emulator_options=("--queued-s", "10", "--running-s", "30")) as stack:
            os.environ.update(stack.environment)
            from scripts.demo_runs import save_blocks  # Prefect reads its settings when it is imported

            asyncio.run(save_blocks(stack))
            print(f"The UI: {stack.url}   The emulator: {stack.emulator['url']}   Ctrl-C ends it.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("Everything was ended.")
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _interrupt_once(*_: object) -> NoReturn:
    """A second Ctrl-C does not interrupt the end of the stack."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(small_stack))
