"""Which jobs are looked at next: plain numbers in, slots out."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.agenda import Agenda, Slot


def agenda_of(*due_at: float, pause_s: float = 10.0) -> Agenda:
    """An agenda with one slot for each instant, called by its number."""
    agenda = Agenda()
    for number, at in enumerate(due_at):
        slot = agenda.slot(str(number))
        slot.pause_s = pause_s
        agenda.put(slot, at)
    return agenda


def ids(slots: list[Slot]) -> list[str]:
    """What the slots are called."""
    return [slot.job_id for slot in slots]


def test_what_is_due_first_comes_first() -> None:
    """Due at 3, 1 and 2, and it is 3 o'clock: in that order."""
    assert ids(agenda_of(3, 1, 2).take(3, 10)) == ["1", "2", "0"]


def test_nothing_is_taken_before_something_is_due() -> None:
    """Due at 5, and it is 4: nothing, and 5 is the next instant."""
    agenda = agenda_of(5)
    assert agenda.take(4, 10) == []
    assert agenda.next_at == 5


def test_free_places_are_filled_with_what_is_nearly_due() -> None:
    """Pauses of 10 s, the first due now: who is due within 5 s comes along, who is later does not."""
    assert ids(agenda_of(0, 4.9, 5.1).take(0, 10)) == ["0", "1"]


def test_a_request_holds_no_more_than_its_size() -> None:
    """Five are due, two places: two, two and one."""
    agenda = agenda_of(*[0] * 5)
    assert [len(agenda.take(0, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_the_last_instant_counts() -> None:
    """Put to 1, then to 9, then to 5: taken once, at 5; a slot that was dropped is never taken."""
    agenda = agenda_of(1, 1)
    slot = agenda.slots["0"]
    agenda.put(slot, 9)
    agenda.put(slot, 5)
    agenda.drop(agenda.slots["1"])
    assert agenda.take(4, 10) == []
    assert ids(agenda.take(5, 10)) == ["0"]
    assert agenda.take(100, 10) == []
    assert agenda.next_at == inf


def test_a_slot_that_is_put_twice_to_one_instant_is_taken_once() -> None:
    """Two who wait for one job join at the same instant."""
    agenda = agenda_of(0)
    agenda.put(agenda.slots["0"], 0)
    assert ids(agenda.take(0, 10)) == ["0"]


def test_the_second_looks_are_spread_over_the_pause_by_the_id() -> None:
    """A thousand jobs that are looked at in one instant come back evenly over their pause, alike in each process."""
    slots = [Slot(f"job-{number}") for number in range(1000)]
    due = [slot.looked_at(0.0, 10.0) for slot in slots]
    tenths = [sum(low < at <= low + 1 for at in due) for low in range(10)]
    assert sum(tenths) == 1000
    assert all(60 <= number <= 140 for number in tenths)
    assert due == [Slot(slot.job_id).looked_at(0.0, 10.0) for slot in slots]


def test_later_looks_keep_their_distance() -> None:
    """Only the first pause is cut."""
    slot = Slot("a")
    slot.looked_at(0.0, 10.0)
    assert slot.looked_at(7.0, 10.0) == 17.0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 100)), max_size=60), st.integers(1, 7))
def test_every_slot_is_taken_once_and_in_time(puts: list[tuple[int, int]], size: int) -> None:
    """Whatever was put and put again: each slot comes once, not before half of its pause is over, and none is left."""
    agenda, last = Agenda(), {}
    for number, at in puts:
        slot = agenda.slot(str(number))
        slot.pause_s = 10
        agenda.put(slot, at)
        last[str(number)] = at
    taken: dict[str, int] = {}
    for now in range(101):
        while slots := agenda.take(now, size):
            assert len(slots) <= size
            for job_id in ids(slots):
                assert job_id not in taken
                taken[job_id] = now
    assert all(last[job_id] - 5 <= at <= last[job_id] for job_id, at in taken.items())
    assert taken.keys() == last.keys()
