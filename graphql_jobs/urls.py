"""Checked URLs, as functions and as types for fields of pydantic models."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

from graphql_jobs.errors import InvalidInput

# A name or an IPv4 address. Source: RFC 1123 2.1; underscores are in use inside clusters.
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


def base_url(url: str, parameter: str = "base_url") -> str:
    """The URL without a trailing slash.

    Raises `InvalidInput` unless it is http(s) with a host, and without user, password, query or fragment: what a URL
    carries ends up in logs, so credentials belong into the credentials block.
    """
    shown = "the URL"  # never its text: what cannot be parsed may hold a password
    try:
        parts = urlsplit(url.strip())
        port = parts.port  # parsed on access; a bad one raises
    except ValueError:
        raise InvalidInput(parameter, f"{shown} cannot be parsed.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(parameter, f"{shown} carries a user name or password; keep them in a credentials block.")
    if parts.scheme not in {"http", "https"}:
        raise InvalidInput(parameter, f"{shown} must start with https:// or http://, which it does not.")
    if not parts.hostname:
        raise InvalidInput(parameter, f"{shown} names no host.")
    if port == 0 or not _can_be_a_host(parts.hostname):
        raise InvalidInput(parameter, f"{shown} names a host or a port that cannot be one.")
    if parts.query or parts.fragment:
        raise InvalidInput(parameter, f"{shown} carries a query or fragment; give the address alone.")
    if any(character.isspace() or not character.isprintable() for character in parts.geturl()):
        raise InvalidInput(parameter, f"{shown} holds white space or control characters.")
    return parts.geturl().rstrip("/")


def _can_be_a_host(host: str) -> bool:
    if ":" in host:  # an IPv6 address, which was checked when the URL was split
        return True
    try:
        return bool(_HOST.fullmatch(host.encode("idna").decode()))
    except UnicodeError:
        return False


def address(url: str, parameter: str) -> str:
    """The URL as it is; unlike a base URL it may have a query. Raises `InvalidInput` as `base_url` does."""
    base_url(url.split("?", 1)[0].split("#", 1)[0], parameter)
    return url


def _checked(url: str, field: ValidationInfo) -> str:
    return address(url, field.field_name or "url")


#: A URL, for fields of models. An error names the field and never shows the URL.
Url = Annotated[str, AfterValidator(_checked)]
