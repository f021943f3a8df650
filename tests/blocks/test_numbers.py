"""The numbers that tell equal submissions of one run apart, given out in many threads at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from blocks import submission

if TYPE_CHECKING:
    import pytest


class Slow(dict[str, int]):
    """A dictionary whose readers are overtaken by others."""

    def get(self, key: str, default: int = 0) -> int:  # type: ignore[override] # all that is asked of it
        value = super().get(key, default)
        time.sleep(0.001)  # real: what is tried is that threads take turns
        return value


def test_no_two_threads_get_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect runs what is submitted to its task runner in threads: 40 equal specs at once are 40 jobs."""
    given = submission._Given()
    given.next = Slow()
    monkeypatch.setattr(submission, "_given_in", lambda attempt: given)
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda _: submission._number("spec", "run 1"), range(40)))
    assert sorted(numbers) == list(range(40))
