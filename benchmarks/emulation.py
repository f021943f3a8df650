"""One emulator process, and its levers over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from benchmarks.cores import give_core

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANSWERS_WITHIN_S = 60.0


class Emulation:
    """Use as `with Emulation(...) as emulation:`; the process ends with the block."""

    def __init__(self, *options: str, takes_shortcuts: bool = True) -> None:
        shortcuts = ["--takes-shortcuts"] if takes_shortcuts else []
        self._command = [sys.executable, "-m", "graphql_jobs.emulator", *shortcuts, *options]
        #: Where it is and how to sign in.
        self.introduction: dict[str, str] = {}

    def __enter__(self) -> Self:
        # Ctrl-C reaches us alone: we end the parts in order.
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, start_new_session=True)
        give_core(self._process.pid, 0)
        assert self._process.stdout is not None  # noqa: S101 (a pipe was asked for)
        self.introduction = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def add_fault(self, fault: dict[str, Any]) -> None:
        """Put a fault into the plan."""
        self._ask("faults", fault)

    def plant(self, provider: str, durations_s: Sequence[float | None]) -> list[str]:
        """Jobs that are held until the start."""
        planted = self._ask("trial", {"provider": provider, "durations_s": list(durations_s)})
        job_ids: list[str] = planted["job_ids"]
        return job_ids

    def unasked(self) -> int:
        """How many jobs nobody has asked for yet."""
        return int(self._ask("trial")["unasked"])

    def start(self) -> float:
        """Let the jobs begin; gives the instant."""
        return float(self._ask("trial/start", {})["started_at"])

    def verdict(self, ends: Sequence[Sequence[object]]) -> dict[str, Any]:
        """What the judge says of these ends."""
        self._ask("trial/ends", {"ends": list(ends)})
        return self._ask("trial/verdict")

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.introduction['url']}/_emulator/{path}", data)
        with urllib.request.urlopen(request, timeout=_ANSWERS_WITHIN_S) as answer:
            reply: dict[str, Any] = json.load(answer)
            return reply
