"""`python -m graphql_jobs.emulator`: the emulator as a separate process.

It prints one line of JSON once it listens, and exits with 0 on SIGINT or SIGTERM.
"""

import argparse
import asyncio
import gc
import json
import signal
import sys
from collections.abc import Callable, Sequence

from graphql_jobs.emulator import Behaviour, Emulator, Pace, SystemClock

_LAST_PORT = 65_535
# Our choice, for load: the default collections scan all records repeatedly, and would delay the answers.
_RARE_COLLECTIONS = (50_000, 20, 100)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be from 0 to {_LAST_PORT}, got {text}")
    return port


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return int(text)


def _number(*, above_zero: bool) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
        if not 0 <= number < float("inf") or (above_zero and number == 0):
            raise argparse.ArgumentTypeError(f"must be {'above 0' if above_zero else '0 or more'}, got {text}")
        return number

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m graphql_jobs.emulator", description="Two job services, emulated.")
    parser.add_argument("--port", type=_port, default=0, help="loopback port; 0 takes a free one (default)")
    parser.add_argument("--seed", type=int, default=1, help="decides ids, order of tasks and random faults")
    parser.add_argument("--queued-s", type=_number(above_zero=False), default=2.0, help="how long a job is queued")
    parser.add_argument("--running-s", type=_number(above_zero=False), default=5.0, help="how long a job runs")
    parser.add_argument(
        "--token-lifetime-s", type=_number(above_zero=True), default=3600.0, help="life of tokens, in emulated seconds"
    )
    parser.add_argument("--speed", type=_number(above_zero=True), default=1.0, help="emulated seconds per real second")
    parser.add_argument(
        "--requests-per-window", type=_limit, help="requests per 10 s and service, above which the answer is 429"
    )
    parser.add_argument(
        "--team-member",
        action="append",
        dest="team_members",
        metavar="EMAIL",
        help="a member of every Datasaur team; may be given several times",
    )
    parser.add_argument(
        "--takes-shortcuts",
        action="store_true",
        help="answer Datasaur's status checks without executing them: for load",
    )
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    team_members = tuple(options.team_members or Behaviour.team_members)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Emulator(
        clock=SystemClock(options.speed),
        seed=options.seed,
        port=options.port,
        pace=Pace(options.queued_s, options.running_s),
        token_lifetime_s=options.token_lifetime_s,
        behaviour=Behaviour(requests_per_window=options.requests_per_window, team_members=team_members),
        takes_shortcuts=options.takes_shortcuts,
    ) as emulator:
        sys.stdout.write(json.dumps(_introduction(emulator)) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def _introduction(emulator: Emulator) -> dict[str, str]:
    return {
        "url": emulator.url,
        "aiware_token": emulator.accounts.aiware_token,
        "datasaur_client_id": emulator.accounts.datasaur_client_id,
        "datasaur_client_secret": emulator.accounts.datasaur_client_secret,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until a signal. Exit with 2 and a reason for a wrong argument or a port in use."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.takes_shortcuts:
        gc.set_threshold(*_RARE_COLLECTIONS)
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        parser.error(f"cannot listen on port {options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
