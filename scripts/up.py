"""`make up`: a stack to click on. Ctrl-C takes all of it down."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from scripts.stack import Stack, StackError

#: The port of a Prefect server that people expect.
_PORT = 4200


def main() -> int:
    """Start everything, say where to click, wait for Ctrl-C or SIGTERM, take everything down."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Stack(port=_PORT, emulator_options=("--queued-s", "10", "--running-s", "30")) as stack:
            stack.deploy()
            stack.start_worker()
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


if __name__ == "__main__":
    sys.exit(main())
