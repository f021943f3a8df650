"""Check URLs before a request is sent, and find them in JSON, where their queries may be secrets. Pure.

A field's type is `Url`, or `BaseUrl` for the address of a service. Both keep the text unchanged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

from graphql_jobs.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

# A name or an IPv4 address. Source: RFC 1123 2.1; underscores are in use inside clusters.
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_AFTER_SCHEME = re.compile(r"[^\s\"'<>\\]+")
#: Our choice: the number of characters before "://" that are searched. Without a limit this takes quadratic time.
_SCHEME_CHARACTERS = 30


def base_url(url: str, parameter: str = "base_url") -> str:
    """Return the URL of a service without a trailing slash.

    Raises `InvalidInput` unless it is http(s) with a host, without user name, password, query and fragment, and without
    the path of the API: URLs are logged, so credentials belong in the credentials block. No message shows the URL.
    """
    parts = _checked(url, parameter)
    if parts.query or parts.fragment:
        raise InvalidInput(parameter, "the URL has a query or fragment; give the address alone.")
    if parts.path.lower().rstrip("/").endswith("/graphql"):
        raise InvalidInput(parameter, "the URL ends in the path of the API, such as /v3/graphql. Leave that out.")
    return parts.geturl().rstrip("/")


def checked_url(url: str, parameter: str) -> str:
    """Return the URL unchanged; it may have a query and a fragment. Raises `InvalidInput` as `base_url` does."""
    _checked(url.split("?", 1)[0].split("#", 1)[0], parameter)
    return url


def _named(check: Any) -> AfterValidator:
    """Return a validator that names the field in its error."""

    def of_field(url: str, info: ValidationInfo) -> str:
        return str(check(url, info.field_name or "url"))

    return AfterValidator(of_field)


BaseUrl = Annotated[str, _named(base_url)]
Url = Annotated[str, _named(checked_url)]


def _checked(url: str, parameter: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port = parts.port  # parsed on access; a bad one raises
    except ValueError:
        raise InvalidInput(parameter, "the URL cannot be parsed.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(parameter, "the URL has a user name or password; keep them in a credentials block.")
    if parts.scheme not in {"http", "https"}:
        raise InvalidInput(parameter, "the URL must start with https:// or http://.")
    if not parts.hostname:
        raise InvalidInput(parameter, "the URL has no host.")
    if port == 0 or not _can_be_a_host(parts.hostname):
        raise InvalidInput(parameter, "the URL has an invalid host or port.")
    if any(character.isspace() or not character.isprintable() for character in parts.geturl()):
        raise InvalidInput(parameter, "the URL has white space or control characters.")
    return parts


def _can_be_a_host(host: str) -> bool:
    if ":" in host:  # an IPv6 address, which was checked when the URL was split
        return True
    try:
        return bool(_HOST.fullmatch(host.encode("idna").decode()))
    except UnicodeError:
        return False


def urls_in(plain: object) -> Iterator[str]:
    """Yield all URLs in plain JSON, also in names of fields and within texts.

    This takes linear time and no recursion, since a caller may submit JSON of any size and depth.
    """
    left = [plain]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield from _urls_of(one)
        elif isinstance(one, dict):
            left += [part for item in reversed(one.items()) for part in item]
        elif isinstance(one, list | tuple):
            left += reversed(one)


def _urls_of(text: str) -> Iterator[str]:
    end = 0
    while (at := text.find("://", end)) >= 0:
        scheme = _SCHEME.search(text, max(end, at - _SCHEME_CHARACTERS), at)
        end = at + 3
        if scheme and (rest := _AFTER_SCHEME.match(text, end)):
            end = rest.end()
            yield text[scheme.start() : end]


def without_queries(plain: Any) -> Any:
    """Return plain JSON in which each text that is a URL is cut before its query."""
    if isinstance(plain, str):
        return plain.partition("?")[0] if next(_urls_of(plain), "") == plain.strip() else plain
    if isinstance(plain, dict):
        return {name: without_queries(value) for name, value in plain.items()}
    return [without_queries(value) for value in plain] if isinstance(plain, list) else plain
