"""Map a response, or its absence, to one of our errors. No other module decides this.

It relies on gql 4 (a response with `errors` is a `TransportQueryError` with any status; a network failure is a
`TransportConnectionFailed` with aiohttp's error as its cause), on aiohttp (a `ClientConnectorError` and a
`ConnectionTimeoutError` are raised before anything is sent), and on each provider's table of codes.

A rate limit is: status 429; another 4xx with `Retry-After`, except 408 and 413; or a 4xx or an entry of `errors` that
says so in its code or words (throttling.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from gql.transport.exceptions import TransportError
from graphql import ExecutionResult

from graphql_jobs import errors
from graphql_jobs.parsing import brief, http_date_or_none
from graphql_jobs.transport.http import MAX_HEADER_BYTES, Exchange, ReplyTooLarge
from graphql_jobs.transport.throttling import has_throttle_code, has_throttle_words, says_throttled

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Our choice: the maximum `Retry-After` delay.
MAX_RETRY_AFTER_S = 3600.0
#: Our choice: a request names up to 500 jobs. A response with more errors is refused as a whole: if a job's error were
#: omitted, the job would seem to be absent.
MAX_ERRORS = 1_000

Kind = type[errors.RequestFailed]

#: The codes of Apollo servers in `extensions.code`.
#: Source: apollographql.com/docs/apollo-server/data/errors (built-in error codes).
COMMON_CODES: Mapping[str, Kind] = {
    "UNAUTHENTICATED": errors.SignInFailed,
    "FORBIDDEN": errors.NotAllowed,
    "BAD_REQUEST": errors.RequestRefused,
    "BAD_USER_INPUT": errors.RequestRefused,
    "GRAPHQL_PARSE_FAILED": errors.RequestRefused,
    "GRAPHQL_VALIDATION_FAILED": errors.RequestRefused,
    "OPERATION_RESOLUTION_FAILURE": errors.RequestRefused,
    "INTERNAL_SERVER_ERROR": errors.ServerFailed,
}

_BY_STATUS: Mapping[int, Kind] = {
    401: errors.SignInFailed,
    # aiWARE does not document the status for a rejected token: it may be either (docs/providers/aiware.md).
    403: errors.SignInFailed,
    404: errors.BadEndpoint,
    405: errors.BadEndpoint,
    408: errors.ConnectionLost,
    410: errors.BadEndpoint,
    413: errors.TooMuchAtOnce,
    429: errors.RateLimited,
}

#: These are not rate limits, even with `Retry-After`: 408 does not say whether the request was executed, and a smaller
#: request than that of a 413 may succeed at once (RFC 9110 15.5.9, 15.5.14).
_NOT_ONLY_A_DELAY = (408, 413)

# These errors concern the whole request, unless they name a field and another field has a value or another error.
_REQUEST_WIDE = (errors.SignInFailed, errors.RateLimited, errors.TooMuchAtOnce)

# aiohttp raises these before it writes anything. Match only these classes: their parents, `ClientOSError` and
# `ServerTimeoutError`, are also raised after a request was sent.
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_WRONG_PEER = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)
_NETWORK = (aiohttp.ClientError, ConnectionError, TimeoutError)


#: Return `data` without the errors that it holds, and these errors as entries of `errors`.
TakeErrors = Callable[[Mapping[str, object]], tuple[dict[str, Any], list[Mapping[str, object]]]]


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """How one provider reports errors: the location of the code in an entry of `errors`, and the codes' meanings.

    Two dialects are equal only if they are the same object: sessions are shared by dialect.
    """

    provider: str
    code_of: Callable[[Mapping[str, object]], str]
    kinds: Mapping[str, Kind]
    #: The id of the object of an error without a path, if the provider includes it.
    object_of: Callable[[Mapping[str, object]], str | None] = lambda entry: None
    #: For a provider that reports errors inside `data`, such as `userErrors` or the member of a union.
    take_errors: TakeErrors | None = None

    def kind_of(self, entry: Mapping[str, object]) -> Kind | None:
        """Return the class for one entry of `errors`, or None if neither its code nor its words are known."""
        if has_throttle_code(entry):
            return errors.RateLimited
        code = self.code_of(entry)
        if kind := self.kinds.get(code) or COMMON_CODES.get(code):
            return kind
        return errors.RateLimited if has_throttle_words(entry) else None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What went wrong with a request: the class of the error, its text, and the delay that the server asked for."""

    kind: Kind
    detail: str
    retry_after_s: float | None = None
    #: The response proves that the operation started, regardless of its text: a create must not be sent again.
    begun: bool = False


def with_errors_in_data(dialect: Dialect, result: ExecutionResult) -> ExecutionResult:
    """Return the result with the errors inside its `data` among its `errors`, so that both are diagnosed alike."""
    if dialect.take_errors is None or not isinstance(result.data, dict):
        return result
    data, found = dialect.take_errors(result.data)
    given: Any = result.errors  # gql leaves the entries as the server sent them
    return ExecutionResult(data, [*error_entries(given), *found] or None) if found else result  # type: ignore[list-item]


def diagnose(
    dialect: Dialect, exchange: Exchange, raised: BaseException | None, result: ExecutionResult | None
) -> Diagnosis | None:
    """Return the error of this exchange as a whole, or None if the `data` of its `result` can be used.

    `raised` is the exception that gql raised, if any. A status other than 2xx is a failure even if the body has data.
    A known code in the body is more exact than the status. `read_response` handles errors of single fields beside valid
    data. If neither the network nor the server caused `raised`, it is a bug, and is raised again.
    """
    entries = error_entries(result.errors if result else None)
    data = result.data if result else None
    begun = _was_begun(exchange, data, entries)
    if diagnosis := diagnose_http(dialect, exchange, raised, entries):
        return replace(diagnosis, begun=begun)
    if result and isinstance(result.errors, list) and len(result.errors) > MAX_ERRORS:
        return Diagnosis(errors.BadReply, f"it has more than {MAX_ERRORS} errors.", begun=begun)
    if isinstance(data, dict) and not _concerns_all(dialect, data, entries):
        return None
    if not entries:
        return Diagnosis(errors.BadReply, "neither data nor errors in the answer.")
    entries = _worst_first(dialect, entries)
    kind = dialect.kind_of(entries[0]) or errors.OperationFailed
    return Diagnosis(kind, words_of(dialect, entries), retry_after_s(exchange), begun)


def _was_begun(exchange: Exchange, data: object, entries: Sequence[Mapping[str, object]]) -> bool:
    """Whether the operation reached a resolver: there is data, an error below a root field, or a status 5xx."""
    has_data = isinstance(data, dict) and any(value is not None for value in data.values())
    deep = any(isinstance(path := entry.get("path"), list) and len(path) > 1 for entry in entries)
    return has_data or deep or (exchange.status or 0) >= 500


def diagnose_http(
    dialect: Dialect, exchange: Exchange, raised: BaseException | None, entries: Sequence[Mapping[str, object]] = ()
) -> Diagnosis | None:
    """Do the part of `diagnose` that applies to any HTTP request; `entries` are the errors in the body."""
    if exchange.status is not None and not 200 <= exchange.status < 300:
        return _refused_by_status(dialect, exchange, exchange.status, entries)
    return _broken(exchange, raised) if raised is not None else None


def _concerns_all(dialect: Dialect, data: Mapping[str, object], entries: list[Mapping[str, object]]) -> bool:
    """Whether the errors concern the whole request. An error that names a field concerns that field alone.

    They do if no field has a value, and either an error names no field or all fields were refused for a reason that
    concerns the whole request, such as a rejected token. One field that is too expensive makes the whole request so.
    """
    named = [(dialect.kind_of(entry), root_of(entry, data)) for entry in entries]
    if any(kind is errors.TooMuchAtOnce and root is not None and data[root] is None for kind, root in named):
        return True
    if any(value is not None for value in data.values()):
        return False
    refused = {root for kind, root in named if kind in _REQUEST_WIDE}
    if None in refused or (refused and data.keys() <= refused):
        return True
    is_explained = bool(data) and data.keys() <= {root for _, root in named}
    # aiWARE's "not found" has no path (docs/providers/aiware.md).
    return not is_explained and any(root is None and kind is not errors.NotFound for kind, root in named)


def root_of(entry: Mapping[str, object], data: Mapping[str, object]) -> str | None:
    """Return the root field of `data` that an error names, or None."""
    path = entry.get("path")
    root = path[0] if isinstance(path, list) and path else None
    return root if isinstance(root, str) and root in data else None


def error_entries(reply_errors: object) -> list[Mapping[str, object]]:
    """Return the `errors` of an untrusted response as a list of at most `MAX_ERRORS` objects."""
    if not isinstance(reply_errors, list):
        return []
    return [entry if isinstance(entry, dict) else {"message": brief(entry)} for entry in reply_errors[:MAX_ERRORS]]


def words_of(dialect: Dialect, entries: Sequence[Mapping[str, object]]) -> str:
    """Return the code and message of the first error, and the number of others."""
    if not entries:
        return "no reason given."
    code = dialect.code_of(entries[0])
    more = f" (and {len(entries) - 1} more)" if len(entries) > 1 else ""
    return f"{brief(code) + ': ' if code else ''}{brief(entries[0].get('message')) or 'no message'}{more}"


def _refused_by_status(
    dialect: Dialect, exchange: Exchange, status: int, entries: Sequence[Mapping[str, object]]
) -> Diagnosis:
    asked_s = retry_after_s(exchange)
    asked = "" if asked_s is None else f", Retry-After: {asked_s:.0f} s"
    entries = _worst_first(dialect, entries)
    said = f": {words_of(dialect, entries)}" if entries else ""
    detail = f"HTTP {status} ({exchange.headers.get('Content-Type', 'no content type')}{asked}){said}"
    is_limited = asked_s is not None or (not entries and says_throttled(exchange.refusal()))
    if is_limited and 400 <= status < 500 and status not in _NOT_ONLY_A_DELAY:
        return Diagnosis(errors.RateLimited, detail, asked_s)
    # The status alone decides these: aiWARE's 413 has the code invalid_input (docs/providers/aiware.md).
    known = dialect.kind_of(entries[0]) if entries and status not in {413, 429} else None
    return Diagnosis(known or _kind_of_status(status), detail, asked_s)


def _worst_first(dialect: Dialect, entries: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Sort the entries: those that concern the whole request first, "not found" last."""
    kinds = [(kind not in _REQUEST_WIDE) + (kind is errors.NotFound) for kind in map(dialect.kind_of, entries)]
    return [entry for _, entry in sorted(zip(kinds, entries, strict=True), key=itemgetter(0))]


def _kind_of_status(status: int) -> Kind:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return errors.ServerFailed
    return errors.RequestRefused if status >= 400 else errors.BadEndpoint


def _broken(exchange: Exchange, raised: BaseException) -> Diagnosis:
    cause = raised.__cause__ if isinstance(raised, TransportError) and raised.__cause__ else raised
    # Their text shows the whole URL, and a pre-signed URL is a secret.
    nameless = isinstance(cause, aiohttp.ClientResponseError | aiohttp.InvalidURL) or not str(cause)
    words = type(cause).__name__ if nameless else f"{type(cause).__name__}: {cause}"
    if isinstance(cause, ReplyTooLarge):
        return Diagnosis(errors.AnswerTooLarge, f"it has {cause}.")
    if fault := _fault_of_headers(cause):
        return Diagnosis(errors.BadReply, fault)
    if isinstance(cause, _WRONG_PEER):
        return Diagnosis(errors.BadEndpoint, words)
    if isinstance(cause, _NEVER_SENT) or (isinstance(cause, _NETWORK) and not exchange.sent):
        return Diagnosis(errors.Unreachable, words)
    if isinstance(cause, _NETWORK):
        return Diagnosis(errors.TimedOut if isinstance(cause, TimeoutError) else errors.ConnectionLost, words)
    # Once the request was written, all but errors of the local disk are caused by the response.
    if (exchange.sent or exchange.status is not None) and not isinstance(cause, OSError):
        kind = exchange.headers.get("Content-Type", "no content type")
        return Diagnosis(
            errors.BadReply, f"not a readable answer (HTTP {exchange.status or 'status unknown'}, {kind})."
        )
    raise raised


def _fault_of_headers(cause: BaseException | None) -> str:
    """Return what is wrong with the size of the headers, without their text, or an empty text."""
    while isinstance(cause, aiohttp.ClientResponseError | HttpProcessingError):
        if isinstance(cause, LineTooLong):
            return f"it has a header longer than {MAX_HEADER_BYTES} bytes."
        if cause.message == "Too many headers received":  # aiohttp has no class for it
            return "it has too many headers."
        cause = cause.__cause__
    return ""


def retry_after_s(exchange: Exchange) -> float | None:
    """Return `Retry-After` in seconds, from seconds or an HTTP date (RFC 9110 10.2.3): 0 to an hour, or None."""
    text = exchange.headers.get("Retry-After")
    if not text:
        return None
    try:
        delay_s = float(text)
    except ValueError:
        delay_s = _until(text, exchange.headers.get("Date"))
    return None if math.isnan(delay_s) else min(max(delay_s, 0.0), MAX_RETRY_AFTER_S)


def _until(http_date: str, server_date: str | None) -> float:
    then = http_date_or_none(http_date)
    # By the server's clock, if it sends `Date`: ours may be wrong.
    now = http_date_or_none(server_date) or datetime.now(UTC)
    return (then - now).total_seconds() if then else math.nan
