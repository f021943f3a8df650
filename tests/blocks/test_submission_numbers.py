"""The numbers of equal submissions in one run, in many threads and in each try."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from blocks.runs.submission_numbers import Numbers, Try

A, B, C = uuid4(), uuid4(), uuid4()


class Slow(dict[tuple[str, Try | None], int]):
    """A dictionary whose readers are overtaken by other threads."""

    def get(self, key: tuple[str, Try | None], default: int = 0) -> int:  # type: ignore[override] # all that is asked
        value = super().get(key, default)
        time.sleep(0.001)  # real time: threads must switch
        return value


def within(*runs: tuple[UUID, int]) -> list[Try]:
    """The tries of runs, the innermost first."""
    return [Try(run_id, f"try {number}") for run_id, number in runs]


def test_no_two_threads_get_one_number() -> None:
    """Prefect runs submitted tasks in threads: 40 concurrent equal specs are 40 jobs."""
    numbers = Numbers()
    numbers._taken = Slow()
    with ThreadPoolExecutor(20) as pool:
        given = list(pool.map(lambda _: numbers.take("spec", ()), range(40)))
    assert sorted(given) == list(range(40))


def test_retry_gets_the_numbers_of_the_first_try_and_then_new_ones() -> None:
    """A task submits twice and is retried, while a flow continues: 0 and 1 again, then 3."""
    numbers = Numbers()
    assert [numbers.take("spec", within((A, 1))) for _ in range(2)] == [0, 1]
    assert numbers.take("spec", ()) == 2
    assert [numbers.take("spec", within((A, 2))) for _ in range(3)] == [0, 1, 3]


def test_new_task_run_in_a_retry_of_its_parent_gets_the_same_number() -> None:
    """B in the first try of A, C in the second: one number; C tried again: the same."""
    numbers = Numbers()
    assert numbers.take("spec", within((B, 1), (A, 1))) == 0
    assert numbers.take("spec", within((C, 1), (A, 2))) == 0
    assert numbers.take("spec", within((C, 2), (A, 2))) == 0


def test_late_child_counts_in_the_try_that_started_it() -> None:
    """B starts in the first try of A and counts only after C, which started in the second, has: one number."""
    numbers = Numbers()
    assert numbers.take("spec", within((C, 1), (A, 2))) == 0
    assert numbers.take("spec", within((B, 1), (A, 1))) == 0


def test_siblings_get_different_numbers_whichever_is_retried() -> None:
    """A and B, each run twice, in mixed order: 0 and 1, twice."""
    numbers = Numbers()
    order = [(A, 1), (A, 2), (B, 1), (A, 3), (B, 2)]
    assert [numbers.take("spec", within(one)) for one in order] == [0, 0, 1, 0, 1]


def test_other_specs_are_numbered_separately() -> None:
    """Two specs in one task: both are number 0."""
    numbers = Numbers()
    assert [numbers.take(spec, within((A, 1))) for spec in ("one", "other")] == [0, 0]
