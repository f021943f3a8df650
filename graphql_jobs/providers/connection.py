"""Check a connection: whose credentials these are, what they may do, how fast the service answers, and the clocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphql_jobs.providers.base import JobClient

#: Our choice: a larger difference of the clocks shifts the times in logs and the windows of searches.
_MAX_SKEW_S = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """The result of a check. `clock_skew_s` is by how much this machine's clock is ahead, None if it is not known."""

    provider: str
    url: str
    account: str
    rights: tuple[str, ...] | None
    latency_s: float
    clock_skew_s: float | None
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """Return one line: "aiWARE at https://... answers as ... in 0.12 s."."""
        return f"{self.provider} at {self.url} answers as {self.account} in {self.latency_s:.2f} s."

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON."""
        rights = None if self.rights is None else list(self.rights)
        return asdict(self) | {"rights": rights, "warnings": list(self.warnings)}


async def check_connection(client: JobClient) -> Connection:
    """Sign in and ask whose credentials these are, twice: the second answer gives the latency. Nothing is started.

    Raises `RequestFailed`, whose message says what to change.
    """
    session = client.session
    async with client:
        identity = await client.identify()
        began_at = session.clock.monotonic()
        await client.identify()
        latency_s = session.clock.monotonic() - began_at
    skew_s = session.last_heard[0].skew_s(session.last_heard[1]) if session.last_heard else None
    warnings = [f"The account lacks the right {right}. Grant it at {client.title}." for right in identity.missing]
    if skew_s is not None and abs(skew_s) > _MAX_SKEW_S:
        order = "ahead of" if skew_s > 0 else "behind"
        warnings.append(
            f"This machine's clock is {abs(skew_s):.0f} s {order} that of {client.title}. Set it, for example by NTP."
        )
    return Connection(client.title, session.url, identity.account, identity.rights, latency_s, skew_s, tuple(warnings))
