"""Counts the requests to Prefect's API."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.client.base import PrefectHttpxAsyncClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import pytest


@contextmanager
def counted(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The requests of this process to Prefect's API within the block: methods and paths, without those for logs."""
    made: list[str] = []
    send = PrefectHttpxAsyncClient.send

    async def sending(self: PrefectHttpxAsyncClient, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        if not request.url.path.endswith("/logs/"):
            made.append(f"{request.method} {request.url.path}")
        return await send(self, request, *args, **kwargs)

    with patch.context() as patched:
        patched.setattr(PrefectHttpxAsyncClient, "send", sending)
        yield made
