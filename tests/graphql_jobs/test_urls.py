"""Base URLs: valid ones, refused ones, and errors that show no credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_jobs.errors import InvalidInput
from graphql_jobs.urls import base_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.veritone.com", "https://api.veritone.com"),
        ("https://api.veritone.com/", "https://api.veritone.com"),
        (" https://api.veritone.com/sub/path// ", "https://api.veritone.com/sub/path"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("HTTPS://Host", "https://Host"),
    ],
)
def test_base_url_loses_its_trailing_slash(url: str, expected: str) -> None:
    """Host, port and path do not change."""
    assert base_url(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must start with"),
        ("api.veritone.com", "must start with"),
        ("ftp://api.veritone.com", "must start with"),
        ("file:///etc/passwd", "must start with"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://:443", "no host"),
        ("https://h?key=1", "query"),
        ("https://h/#part", "fragment"),
        ("https://h:notaport", "parsed"),
        ("https://h:99999", "parsed"),
        ("https://[::1", "parsed"),
        ("https://h/a b", "white space"),
        ("https://h/a\x7fb", "white space"),
    ],
)
def test_bad_base_url_is_refused_by_name(url: str, problem: str) -> None:
    """The error has the parameter and the reason."""
    with pytest.raises(InvalidInput, match=problem) as caught:
        base_url(url, "aiware_url")
    assert caught.value.parameter == "aiware_url"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter22@host",
        "https://me:hunter22/x@host",
        "https://me:hunter22?x@host",
        "https://me:hunter22\u2100@host",
        "https://hunter22@host",
        "https://me:hunter22@host:port",
        "https://me:hunter22@[host",
    ],
)
def test_credentials_in_a_url_are_refused_and_never_shown(url: str) -> None:
    """The message does not have the password, with any characters in it."""
    with pytest.raises(InvalidInput) as caught:
        base_url(url)
    assert "hunter22" not in str(caught.value)
    assert "hunter22" not in repr(caught.value)


@given(st.text())
def test_any_text_is_a_url_or_bad_input(url: str) -> None:
    """No other error is raised, and an accepted URL is http(s)."""
    try:
        assert base_url(url).startswith(("http://", "https://"))
    except InvalidInput as error:
        assert error.parameter == "base_url"  # noqa: PT017 (either outcome is right)
