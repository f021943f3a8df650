"""The bytes of a request are those of the standard library's JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.transport.http import encoded

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", "null"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)
)


@given(VALUES)
def test_request_is_encoded_as_by_the_standard_library(value: Any) -> None:
    """NaN does not become null, and half of a surrogate pair and large numbers are kept."""
    assert repr(json.loads(encoded(value))) == repr(json.loads(json.dumps(value)))


@dataclass
class _Plain:
    number: int = 1


@pytest.mark.parametrize("value", [datetime.now(UTC), _Plain(), {1, 2}, b"x"])
def test_value_that_the_standard_library_refuses_is_refused(value: object) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        encoded({"x": value})
