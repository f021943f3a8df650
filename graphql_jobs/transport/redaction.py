"""Remove secrets from a server's text, in any spelling, and make it one line of limited length for a message."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from graphql_jobs.transport.spelling import in_base64, readings, resolved
from graphql_jobs.urls import urls_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Our choice: enough for a sentence and an id in a log line; servers may send megabytes.
MAX_DETAIL_CHARACTERS = 400
#: Our choice: the number of characters that are searched for secrets before the text is cut.
_SEARCHED_CHARACTERS = 1_000
#: Our choice: enough for four projects of a hundred pre-signed documents. Then the oldest are dropped.
_KEPT = 2_000
#: Our choice: shorter values of a query are dates and names, and stars for them would make messages unreadable.
_SHORTEST_SIGNATURE = 16
#: Our choice: no signature is shorter, and stars for single letters would make messages unreadable.
_SHORTEST_QUERY = 4
#: A value of a query is a secret if its name contains one of these.
_SECRET_NAME = re.compile(r"sig|token|key|secret|pass|pwd|code|auth|cred|hmac|session", re.IGNORECASE)
#: The number of leading characters by which secrets are indexed.
_BEGINNING = 4
#: Our choice: an id may contain a shorter secret by chance.
_SHORTEST_IN_ID = 8
_ESCAPES_IN_ID = "%\\&"
#: Up to this many secrets, searching for each is faster than the index.
_FEW = 50


class Secrets:
    """Texts that must not be shown, in any spelling.

    The time of a search hardly depends on their number: they are indexed by their first characters.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, set[str]] = {}
        self._spellings: Counter[str] = Counter()
        #: The spellings that are too long to be in an id by chance.
        self._in_ids: set[str] = set()
        self._lengths: Counter[int] = Counter()
        self._by_beginning: dict[str, set[str]] = {}
        for secret in secrets:
            self.add(secret)

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def add(self, secret: str, *, base64: bool = False) -> None:
        """Never show `secret`; with `base64`, nor a base64 text that contains it."""
        if not secret or secret in self._secrets:
            return
        spellings = {secret, resolved(secret), secret.replace(" ", "+")} | (in_base64(secret) if base64 else set())
        spellings = {one for one in spellings if one and (one == secret or len(one) >= _BEGINNING)}
        self._secrets[secret] = spellings
        self._spellings.update(spellings)
        self._lengths.update(map(len, spellings))
        for spelling in spellings:
            self._by_beginning.setdefault(spelling[:_BEGINNING], set()).add(spelling)
        self._in_ids |= {one for one in spellings if len(one) >= _SHORTEST_IN_ID}

    def discard(self, secret: str) -> None:
        """Allow `secret` to be shown again."""
        spellings = self._secrets.pop(secret, set())
        self._lengths -= Counter(map(len, spellings))
        for spelling in spellings:
            self._spellings[spelling] -= 1
            if not self._spellings[spelling]:
                del self._spellings[spelling]
                self._in_ids.discard(spelling)
                alike = self._by_beginning[spelling[:_BEGINNING]]
                alike.remove(spelling)
                if not alike:
                    del self._by_beginning[spelling[:_BEGINNING]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the positions of secrets in `text`, also of one that the end of `text` cuts off."""
        found: list[tuple[int, int]] = []
        for level in readings(text):
            at = [span for span in self._spans(level.text) if span[0] < span[1]]
            found += [(level.starts[start], level.ends[end - 1]) for start, end in at]
        return found

    def may_stand_in(self, text: str) -> bool:
        """Whether `text` may contain a secret that is too long to be in an id by chance."""
        if any(map(text.__contains__, _ESCAPES_IN_ID)):
            return True
        if len(self._spellings) <= _FEW:
            return any(map(text.__contains__, self._in_ids))
        beginnings = range(len(text) - _BEGINNING + 1)
        return not self._by_beginning.keys().isdisjoint([text[at : at + _BEGINNING] for at in beginnings])

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        known = self._by_beginning
        for size in {_BEGINNING, *(length for length in self._lengths if length < _BEGINNING)}:
            for start in [at for at in range(len(text)) if text[at : at + size] in known]:
                yield start, start + self._longest(known[text[start : start + size]], text[start:])

    def _longest(self, alike: set[str], rest: str) -> int:
        """Return the length of the longest secret at the start of `rest`, or of `rest` if it cuts a secret off."""
        if len(rest) < max(self._lengths) and any(one.startswith(rest) for one in alike):
            return len(rest)
        return max((len(head) for n in self._lengths if (head := rest[:n]) in self._spellings), default=0)


class KeptSecrets(Secrets):
    """The secrets of a session: those of its credentials, and those in the variables of its requests."""

    def __init__(self, credentials: Callable[[], tuple[str, ...]] = tuple) -> None:
        super().__init__()
        self._credentials_now = credentials  # a token is renewed
        self._credentials: tuple[str, ...] = ()
        self._kept: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def redact(self, text: str) -> str:
        """Return `text` on one line, cut to a limited length, without secrets."""
        self._use(self._credentials_now())
        return redacted(text, self)

    def clean_id(self, word: str) -> str:
        """Return one or more ids with stars for each secret that is too long to be in an id by chance."""
        self._use(self._credentials_now())
        return redacted(word, self) if self.may_stand_in(word) else word

    def _use(self, credentials: tuple[str, ...]) -> None:
        if credentials == self._credentials:
            return
        before, self._credentials = self._credentials, credentials
        for secret in before:
            if secret not in self._kept:
                self.discard(secret)
        for secret in credentials:
            self.add(secret, base64=True)

    def keep(self, secret: str, *, base64: bool = True) -> None:
        """Do not show `secret` until `_KEPT` others were kept after it."""
        if not secret:
            return
        self._kept.pop(secret, None)
        self._kept[secret] = None
        self.add(secret, base64=base64)
        if len(self._kept) > _KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            if oldest not in self._credentials:
                self.discard(oldest)

    def keep_query(self, url: str) -> None:
        """Do not show the password or query of `url`, nor a value in the query that is long or has a secret's name.

        This uses no parser, since a text that only resembles a URL cannot be parsed.
        """
        authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
        query = url.partition("?")[2].partition("#")[0]
        secrets = [authority.rpartition("@")[0].partition(":")[2], query, url.partition("#")[2]]
        for part in re.split("[&;?#]", url.partition("?")[2] or url.partition("#")[2]):
            name, _, value = part.partition("=")
            if len(value) >= _SHORTEST_SIGNATURE or _SECRET_NAME.search(name[:100]):
                secrets.append(value)
        for secret in secrets:
            if len(secret) >= _SHORTEST_QUERY:
                self.keep(secret, base64=False)

    def keep_queries(self, plain: object) -> None:
        """Do the same for each URL in plain JSON, such as the variables of a request."""
        for url in urls_in(plain):
            self.keep_query(url)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return `text` cut to `MAX_DETAIL_CHARACTERS`, with blanks for control characters and stars for secrets."""
    known = secrets if isinstance(secrets, Secrets) else Secrets(secrets)
    window = text[:_SEARCHED_CHARACTERS]
    starred = _starred(window, known.spans(window))
    printable = starred
    if not starred.isprintable():
        printable = "".join(character if character.isprintable() else " " for character in starred)
    cut = printable[:MAX_DETAIL_CHARACTERS]
    return cut if len(text) <= _SEARCHED_CHARACTERS and cut == printable else f"{cut}..."


def _starred(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end > at:
            parts += [text[at:start], "***"] if start >= at and (start > at or not parts) else []
            at = end
    return "".join([*parts, text[at:]])
