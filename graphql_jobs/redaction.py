"""Making a server's text fit for a message: without secrets, on one line, bounded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from graphql_jobs.addresses import addresses_in

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: Our choice: enough for a sentence and an id in a log line; servers may send megabytes.
MAX_DETAIL_CHARACTERS = 400
#: Our choice: how much of a text is searched for secrets before it is cut.
_SEARCHED_CHARACTERS = 10_000


#: Our choice: room for four projects of a hundred pre-signed documents; each is looked for in each message, so the
#: oldest are let go.
_KEPT = 2_000
#: Our choice: shorter values are dates and names, and stars would make messages unreadable.
_SHORTEST_SIGNATURE = 16
#: Our choice: no signature is so short, and single letters would become stars in every message.
_SHORTEST_QUERY = 4


class KeptSecrets(deque[str]):
    """What some request carries in its variables and a server may repeat."""

    def __init__(self) -> None:
        super().__init__(maxlen=_KEPT)

    def keep(self, secret: str) -> None:
        """Never show `secret`."""
        if secret and secret not in self:
            self.append(secret)

    def keep_query(self, url: str) -> None:
        """Never show the query of `url`, nor a long value in it: the signature of a pre-signed address."""
        query = url.partition("?")[2].partition("#")[0]  # by hand: what only looks like an address cannot be parsed
        if len(query) >= _SHORTEST_QUERY:
            for secret in (query, *(value for _, value in parse_qsl(query) if len(value) >= _SHORTEST_SIGNATURE)):
                self.keep(secret)

    def keep_queries(self, plain: object) -> None:
        """The same for each address in plain JSON, such as what is about to be sent."""
        for url in addresses_in(plain):
            self.keep_query(url)


def redacted(text: str, secrets: AbstractSet[str]) -> str:
    """`text` cut to `MAX_DETAIL_CHARACTERS`, its control characters as blanks, each of the `secrets` as three stars."""
    longest_first = sorted(secrets, key=len, reverse=True)  # one secret may hold another
    window = text[:_SEARCHED_CHARACTERS]
    for secret in longest_first:
        window = window.replace(secret, "***")
    if len(text) > _SEARCHED_CHARACTERS and longest_first:
        window = window[: -len(longest_first[0])]  # the window may have cut through a secret at its end
    printable = "".join(character if character.isprintable() else " " for character in window)
    cut = printable[:MAX_DETAIL_CHARACTERS]
    return cut if len(text) <= _SEARCHED_CHARACTERS and cut == printable else f"{cut}..."
