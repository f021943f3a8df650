"""Keys and labels: equal for equal jobs, different for different jobs, and readable again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs import Label, checked_caller_key, submission_key
from graphql_jobs.errors import InvalidInput

PARTS = st.lists(st.text(max_size=5), min_size=5, max_size=7)


@given(PARTS, PARTS)
def test_two_jobs_share_no_key(one: list[str], other: list[str]) -> None:
    """Any difference in provider, endpoint, account, operation or job gives another key; equality gives the same."""
    assert (submission_key(*one) == submission_key(*other)) is (one == other)


def test_a_key_fits_everywhere() -> None:
    """Letters, digits and dashes: valid in a Prefect input's key, a Variable's name (without dashes), a TDO's name."""
    assert re.fullmatch(r"gqj-[0-9a-f]{32}", submission_key("aiware", "https://h", "", "createJob", "key", "x"))


def test_parts_do_not_run_together() -> None:
    """("a", "bc") is not ("ab", "c")."""
    assert submission_key("p", "e", "a", "bc") != submission_key("p", "e", "ab", "c")


@pytest.mark.parametrize("key", ["", "  ", "\n", "x" * 201])
def test_a_callers_key_has_bounds(key: str) -> None:
    """Empty or longer than 200 characters: the error has the length."""
    with pytest.raises(InvalidInput, match="key"):
        checked_caller_key(key)


def test_blanks_around_a_callers_key_do_not_make_another() -> None:
    """The key was pasted from a spreadsheet."""
    assert checked_caller_key(" order-7\t") == "order-7"


@given(st.text(), st.text())
def test_a_label_comes_back(key: str, owner: str) -> None:
    """From the free JSON that a provider keeps, with any other fields."""
    label = Label(key, owner)
    assert Label.in_json({"theirs": 1} | label.to_json()) == label


@pytest.mark.parametrize(
    "value", [None, 7, "text", [], {}, {"graphql_jobs": None}, {"graphql_jobs": {}}, {"graphql_jobs": {"key": 7}}]
)
def test_text_that_is_no_label_is_none(value: object) -> None:
    """A server's data may be anything."""
    assert Label.in_json(value) is None


def test_owner_that_is_no_text_is_left_out() -> None:
    """The key still identifies the submission."""
    assert Label.in_json({"graphql_jobs": {"key": "k", "owner": 7}}) == Label("k")
