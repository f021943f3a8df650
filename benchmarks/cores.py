"""Which core a process runs on: a contestant that moves, or shares its core with the emulator, loses its caches."""

from __future__ import annotations

import os
import sys


def give_core(process_id: int, number: int) -> None:
    """Keep a process on one of our cores, by its place among them; nothing where that cannot be said (not Linux)."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process_id, {cores[number % len(cores)]})
