"""The gates: what must hold, with the figure and its limit. Pure; a gate that fails is shown and fails the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Of the issue's Done-when 1 to 4.
REQUESTS_TIMES_FLOOR = 1.1
LATENCY_SLACK_S = 0.5
#: The waiting alone, with looks by raw posts; and all of it, with gql, tasks and the model.
CPU_TIMES_FLOOR_BARE = 1.5
CPU_TIMES_FLOOR = 2.0
PEAK_MB = 150.0
PREFECT_SHARE = 0.1
BYTES_PER_WAIT = 2048.0
#: Our choice: O(1) is the one task run of the wait, whatever the number of handles.
TASK_RUNS = 1.0
#: Our choice: how much dearer a status may become from the second largest number of jobs to the largest.
CPU_GROWTH = 1.25


@dataclass(frozen=True)
class Gate:
    """One rule, and whether it holds. `figure` and `limit` are shown as they are."""

    rule: str
    figure: str
    limit: str
    passed: bool


def at_most(rule: str, figure: float | None, limit: float, unit: str = "") -> Gate:
    """Holds if there is a figure and it is not above the limit: what was not measured has not passed."""
    if figure is None:
        return Gate(rule, "not measured", f"{limit:g}{unit}", False)
    return Gate(rule, f"{figure:.4g}{unit}", f"{limit:g}{unit}", figure <= limit)


def exit_status(gates: Iterable[Gate]) -> int:
    """1 if any gate failed."""
    return 0 if all(gate.passed for gate in gates) else 1


def no_wrong_ends(rule: str, verdict: Mapping[str, Any], failure: str = "") -> Gate:
    """The contestant finished, and missed, doubled, false-failed, told early, left unbounded or made up no end."""
    names = ("missed", "doubled", "false_failed", "early", "unbounded", "strange")
    wrong = {name.replace("_", "-"): verdict[name] for name in names if verdict[name]}
    words = [f"{count} {name}" for name, count in wrong.items()] + ([failure] if failure else [])
    return Gate(rule, ", ".join(words) or "none", "none", not words)


def recovery_s(latencies: Sequence[Sequence[float]], back_at: float) -> float:
    """How long after `back_at` the last end was known of those that had come before; 0 if all were known before."""
    known = [end_at + late_s for end_at, late_s in latencies if end_at < back_at]
    return max(0.0, max(known, default=back_at) - back_at)
