"""Making a server's text fit for a message: without secrets in any spelling, on one line, bounded."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from typing import TYPE_CHECKING

from graphql_jobs.transport.spelling import in_base64, readings, resolved
from graphql_jobs.urls import urls_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Our choice: enough for a sentence and an id in a log line; servers may send megabytes.
MAX_DETAIL_CHARACTERS = 400
#: Our choice: how much of a text is searched for secrets before it is cut.
_SEARCHED_CHARACTERS = 1_000


#: Our choice: room for four projects of a hundred pre-signed documents; the oldest are let go.
_KEPT = 2_000
#: Our choice: shorter values are dates and names, and stars would make messages unreadable.
_SHORTEST_SIGNATURE = 16
#: Our choice: no signature is so short, and single letters would become stars in every message.
_SHORTEST_QUERY = 4
#: A value is a secret by its name, too.
_SECRET_NAME = re.compile(r"sig|token|key|secret|pass|pwd|code|auth|cred|hmac|session", re.IGNORECASE)
#: How a secret begins is what it is found by.
_BEGINNING = 4
#: Our choice: an id may hold a shorter secret by chance.
_SHORTEST_IN_ID = 8
_ESCAPED_IN_ID = re.compile(r"[%\\&]")
#: So many are looked for one after the other faster than by their beginnings.
_FEW = 50


class Secrets:
    """Texts that must not be shown, in any spelling, found in linear time however many they are.

    Their spellings are sorted, by their beginnings, so that the longest that stands at some place is found by
    bisection.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, set[str]] = {}
        self._spellings: Counter[str] = Counter()
        self._by_beginning: dict[str, list[str]] = {}
        self._short: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def add(self, secret: str, *, base64: bool = False) -> None:
        """Never show `secret`; if so, neither what holds it in base64."""
        if not secret or secret in self._secrets:
            return
        spellings = {secret, resolved(secret), secret.replace(" ", "+")} | (in_base64(secret) if base64 else set())
        spellings = {one for one in spellings if one and (one == secret or len(one) >= _BEGINNING)}
        self._secrets[secret] = spellings
        for spelling in spellings:
            self._spellings[spelling] += 1
            if self._spellings[spelling] > 1:
                continue
            if len(spelling) < _BEGINNING:
                self._short.add(spelling)
            else:
                insort(self._by_beginning.setdefault(spelling[:_BEGINNING], []), spelling)

    def discard(self, secret: str) -> None:
        """It may be shown again."""
        for spelling in self._secrets.pop(secret, ()):
            self._spellings[spelling] -= 1
            if self._spellings[spelling]:
                continue
            del self._spellings[spelling]
            self._short.discard(spelling)
            if alike := self._by_beginning.get(spelling[:_BEGINNING]):
                del alike[bisect_left(alike, spelling)]
                if not alike:
                    del self._by_beginning[spelling[:_BEGINNING]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in `text`, one of which may be cut off by its end."""
        found: list[tuple[int, int]] = []
        for level in readings(text):
            at = [place for place in self._places(level.text) if place[0] < place[1]]
            found += [(level.starts[start], level.ends[end - 1]) for start, end in at]
        return found

    def may_stand_in(self, text: str) -> bool:
        """Whether a secret that is long enough for an id may stand in `text`."""
        if _ESCAPED_IN_ID.search(text):
            return True
        if len(self._spellings) <= _FEW:
            return any(len(one) >= _SHORTEST_IN_ID and one in text for one in self._spellings)
        beginnings = range(len(text) - _BEGINNING + 1)
        return not self._by_beginning.keys().isdisjoint([text[at : at + _BEGINNING] for at in beginnings])

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        for short in self._short:
            yield from ((match.start(), match.end()) for match in re.finditer(re.escape(short), text))
        if len(self._spellings) <= _FEW and not any(one in text for one in self._spellings):
            beginnings = range(max(len(text) - max(map(len, self._spellings), default=0), 0), len(text))
        else:
            beginnings = range(len(text))
        known = self._by_beginning
        for start in [at for at in beginnings if text[at : at + _BEGINNING] in known]:
            yield start, start + self._longest(known[text[start : start + _BEGINNING]], text, start)

    @staticmethod
    def _longest(alike: list[str], text: str, start: int) -> int:
        """The length of the longest of `alike` that stands there; also of one that the end of `text` cuts off."""
        rest = text[start : start + len(max(alike, key=len))] if len(alike) < _FEW else text[start:]
        cut = bisect_left(alike, rest)
        if cut < len(alike) and alike[cut].startswith(rest):
            return len(rest)
        while rest:
            before = bisect_right(alike, rest)
            if not before:
                return 0
            nearest = alike[before - 1]
            if rest.startswith(nearest):
                return len(nearest)
            rest = rest[: _common(nearest, rest)]
        return 0


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class KeptSecrets(Secrets):
    """The secrets of a session: its credentials, and what some request carries in its variables."""

    def __init__(self, credentials: Callable[[], tuple[str, ...]] = tuple) -> None:
        super().__init__()
        self._credentials_now = credentials  # a token is renewed
        self._credentials: tuple[str, ...] = ()
        self._kept: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def redact(self, text: str) -> str:
        """`text` cut to a bounded length, on one line, without any of them."""
        self._use(self._credentials_now())
        return redacted(text, self)

    def clean_id(self, word: str) -> str:
        """An id, or ids, with stars for a secret that is long enough not to be a part of it by chance."""
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
        """Never show `secret`, until so many others were kept since."""
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
        """Never show the query of `url`, nor a value in it that is long or secret by its name, nor its password.

        By hand, since what only looks like an address cannot be parsed.
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
        """The same for each address in plain JSON, such as what is about to be sent."""
        for url in urls_in(plain):
            self.keep_query(url)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` cut to `MAX_DETAIL_CHARACTERS`, its control characters as blanks, each of the `secrets` as three stars."""
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
