"""Fields of credentials that people paste: what surrounds the address or the token is removed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr

from graphql_jobs.urls import BaseUrl

_QUOTES = "\"'`"
_API_PATH = re.compile(r"(/v3)?/graphql/*\Z", re.IGNORECASE)
_HEADER = re.compile(r"\A(authorization:\s*)?(bearer(\s+|\Z))?", re.IGNORECASE)


def _pasted(text: str) -> str:
    """Return the text without the white space and quotes around it."""
    return text.strip().strip(_QUOTES).strip()


def _pasted_url(url: Any) -> Any:
    """Return the address of an installation that was pasted with quotes, or with the path of the API."""
    return _API_PATH.sub("", _pasted(url)) if isinstance(url, str) else url


def _pasted_token(token: Any) -> Any:
    """Return the token of a header that was pasted, such as "Authorization: Bearer abc"."""
    text = token.get_secret_value() if isinstance(token, SecretStr) else token
    return _pasted(_HEADER.sub("", _pasted(text))) if isinstance(text, str) else token


Address = Annotated[BaseUrl, BeforeValidator(_pasted_url)]
Token = Annotated[SecretStr, BeforeValidator(_pasted_token)]
#: Not `Token | None`: Prefect finds no secret in an annotated type within a union, and would store it as plain text.
OptionalToken = Annotated[SecretStr | None, BeforeValidator(_pasted_token)]
