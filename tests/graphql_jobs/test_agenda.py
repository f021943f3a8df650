"""Which jobs are looked at next: plain numbers in, slots out."""

from __future__ import annotations

from collections import Counter
from math import inf
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.agenda import _SHARES, Agenda, Round


def agenda_of(*due_at: float, pause_s: float = 10.0) -> Agenda:
    """An agenda with one slot for each instant, called by its number."""
    agenda = Agenda()
    for number, at in enumerate(due_at):
        agenda.put(agenda.slot(str(number)), at, pause_s)
    return agenda


def ids(rounds: list[Round]) -> list[str]:
    """What the slots are called."""
    return [job_id for one in rounds for job_id in one.slots]


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


def test_what_is_due_soon_makes_requests_of_its_own_right_after_what_is_due() -> None:
    """Pauses of 10 s, the first due now, a job per request: who is due within 1 s goes too; alone it would not."""
    assert agenda_of(0.9).take(0, 1) == []
    agenda = agenda_of(0, 0.9, 1.1)
    assert [ids(agenda.take(0, 1)) for _ in range(3)] == [["0"], ["1"], []]


def test_what_goes_together_has_an_end() -> None:
    """Half a second later more would be due within 1 s: nothing goes, since none is due."""
    agenda = agenda_of(0, 1.4, 2.3)
    agenda.take(0, 1)
    assert agenda.take(0.5, 1) == []
    assert [ids(agenda.take(1.4, 1)) for _ in range(3)] == [["1"], ["2"], []]


def test_a_train_is_not_made_longer_by_what_is_due_meanwhile() -> None:
    """Its second request goes late, when its job is due: what is due within a second of that one is not taken along."""
    agenda = agenda_of(0, 0.95, 1.9)
    assert [ids(agenda.take(now, 1)) for now in (0, 0.95, 0.95)] == [["0"], ["1"], []]


def test_what_is_overdue_has_company_from_now_on() -> None:
    """Due at 0, and it is 0.5: what is due at 1.4 goes too."""
    agenda = agenda_of(0, 1.4)
    assert [ids(agenda.take(0.5, 1)) for _ in range(2)] == [["0"], ["1"]]


def test_who_joins_begins_no_train_and_ends_none() -> None:
    """A first look goes before what is due: that one has company all the same."""
    agenda = agenda_of(0, 0.9)
    agenda.put(agenda.slot("new"), -1, 0)
    assert [ids(agenda.take(0, 1)) for _ in range(3)] == [["new"], ["0"], ["1"]]


def test_a_look_for_the_sake_of_a_deadline_is_not_early() -> None:
    """Looked at a second ago, its deadline comes in a second: another look now would bring a third one."""
    agenda = agenda_of(0)
    agenda.put(agenda.slot("deadline"), 1, 10, asked_at=-1)
    assert [ids(agenda.take(0, 1)) for _ in range(2)] == [["0"], []]
    assert ids(agenda.take(1, 1)) == ["deadline"]


def test_a_request_holds_no_more_than_its_size() -> None:
    """Five are due, two places: two, two and one."""
    agenda = agenda_of(*[0] * 5)
    assert [len(ids(agenda.take(0, 2))) for _ in range(4)] == [2, 2, 1, 0]


def test_the_last_instant_counts() -> None:
    """Put to 1, then to 9, then to 5: taken once, at 5; a slot that was dropped is never taken."""
    agenda = agenda_of(1, 1)
    slot = agenda.slots["0"]
    agenda.put(slot, 9, 10)
    agenda.put(slot, 5, 10)
    agenda.drop(agenda.slots["1"])
    assert agenda.take(4, 10) == []
    assert ids(agenda.take(5, 10)) == ["0"]
    assert agenda.take(100, 10) == []
    assert agenda.next_at == inf


def test_a_slot_that_is_put_twice_to_one_instant_is_taken_once() -> None:
    """Two who wait for one job join at the same instant."""
    agenda = agenda_of(0)
    agenda.put(agenda.slots["0"], 0, 10)
    assert ids(agenda.take(0, 10)) == ["0"]


def test_the_second_looks_are_spread_over_the_pause_by_the_id() -> None:
    """A thousand jobs that were not looked at so far: as many in each quarter of it, the same ones in each process."""

    slots = agenda_of(*[0] * 1000, pause_s=0).slots
    assert [slots[name].share() for name in ("0", "1", "2", "3")] == [0.5, 1.0, 0.5, 1.0]
    quarters = Counter(slot.share() for slot in slots.values())
    assert quarters.keys() == {number / _SHARES for number in range(1, _SHARES + 1)}
    assert all(210 <= number <= 290 for number in quarters.values())


def test_later_looks_keep_their_distance() -> None:
    """Only the first pause is cut."""
    assert agenda_of(0).slots["0"].share() == 1.0


def test_what_was_due_while_nobody_could_ask_begins_anew() -> None:
    """Due at 3, 5 and 9; held up from 4 to 8: only the second one, which was due meanwhile, has lost its beat.

    What was looked at in time before, and what is due after that, keep theirs.
    """
    agenda = agenda_of(3, 5, 9)
    [first] = agenda.take(3, 1)
    agenda.hold(4, is_held=True)
    agenda.hold(8, is_held=False)
    agenda.hold(9, is_held=False)
    second, third = agenda.take(9, 10)
    assert [one.slots[name].share() for one, name in zip((first, second, third), "012", strict=True)] == [
        1.0,
        (crc32(b"1") % _SHARES + 1) / _SHARES,
        1.0,
    ]


def test_a_round_comes_back_as_a_whole() -> None:
    """Three jobs of one pause are taken, and put back: due together again, and only then."""
    agenda = agenda_of(0, 0, 0)
    [asked] = agenda.take(0, 10)
    agenda.put_back(asked, 10)
    assert (agenda.take(4, 10), agenda.next_at) == ([], 10)
    assert agenda.take(10, 10) == [asked]


@pytest.mark.parametrize("limits", [((90.0, -inf), (60.0, 3.0)), ((60.0, 3.0), (90.0, 1.0))])
def test_rounds_that_meet_become_one(limits: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Two rounds that were asked for together and are due together: one, with the earlier of both limits."""
    agenda = agenda_of(0, 5)
    first, second = agenda.take(0, 10)
    (first.until_at, first.asked_at), (second.until_at, second.asked_at) = limits
    agenda.put_back(first, 10)
    agenda.put_back(second, 10)
    [both] = agenda.take(10, 10)
    assert (ids([both]), both.until_at, both.asked_at) == (["0", "1"], 60.0, 3.0)
    assert {slot.round for slot in agenda.slots.values()} == {both}


def test_jobs_with_other_pauses_stand_in_other_rounds() -> None:
    """Due at the same instant, with pauses of 5 and of 10 s: asked for together, due again each in its own time."""
    agenda = Agenda()
    for pause_s in (5, 10):
        agenda.put(agenda.slot(str(pause_s)), 0, pause_s)
    assert [(one.pause_s, list(one.slots)) for one in agenda.take(0, 10)] == [(5, ["5"]), (10, ["10"])]


def test_a_slot_that_is_put_somewhere_else_leaves_its_round() -> None:
    """Of two that are asked for, one is put alone: the round holds the other. A dropped one is in none."""
    agenda = agenda_of(0, 0, 0)
    [asked] = agenda.take(0, 10)
    agenda.put(agenda.slots["0"], 7, 10)
    agenda.drop(agenda.slots["1"])
    assert list(asked.slots) == ["2"]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 100)), max_size=60), st.integers(1, 7))
def test_every_slot_is_taken_once_and_in_time(puts: list[tuple[int, int]], size: int) -> None:
    """Whatever was put and put again: each slot comes once, not before half of its pause is over, and none is left."""
    agenda, last = Agenda(), {}
    for number, at in puts:
        agenda.put(agenda.slot(str(number)), at, 10)
        last[str(number)] = at
    taken: dict[str, int] = {}
    for now in range(101):
        while rounds := agenda.take(now, size):
            assert len(ids(rounds)) <= size
            for job_id in ids(rounds):
                assert job_id not in taken
                taken[job_id] = now
    assert all(last[job_id] - 5 <= at <= last[job_id] for job_id, at in taken.items())
    assert taken.keys() == last.keys()
