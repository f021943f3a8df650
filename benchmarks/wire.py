"""How contestants that are not ours speak to the emulator: requests by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

GET_JOB = "query GetJob($jobId: String!) { result: getJob(jobId: $jobId) { id status } }"
GET_JOBS = "query GetJobs($jobIds: [String!]!) { result: getJobs(jobIds: $jobIds) { id status progress } }"


class Unauthorized(Exception):
    """The server wants another token than `refused`, which no message shows."""

    def __init__(self, refused: str) -> None:
        super().__init__("another token is wanted")
        self.refused = refused


class Datasaur:
    """Datasaur by hand: a token that is fetched when it is asked for, and posts with it."""

    def __init__(self, http: aiohttp.ClientSession, emulator: dict[str, str]) -> None:
        self._http = http
        self._emulator = emulator
        self._token = ""
        self._signing_in = asyncio.Lock()

    async def sign_in(self, refused: str = "") -> str:
        """The token; another one if it is the one that was refused."""
        async with self._signing_in:
            if not self._token or self._token == refused:
                form = {
                    "grant_type": "client_credentials",
                    "client_id": self._emulator["datasaur_client_id"],
                    "client_secret": self._emulator["datasaur_client_secret"],
                }
                async with self._http.post(f"{self._emulator['url']}/api/oauth/token", data=form) as response:
                    response.raise_for_status()
                    self._token = (await response.json())["access_token"]
            return self._token

    async def ask(self, query: str, variables: dict[str, Any]) -> Any:
        """The value of `result`. Raises `Unauthorized`, RuntimeError for other errors, and what aiohttp raises."""
        token = await self.sign_in()
        body = {"query": query, "variables": variables}
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.post(f"{self._emulator['url']}/graphql", json=body, headers=headers) as response:
            response.raise_for_status()
            reply = await response.json()
        if reply.get("errors"):
            if reply["errors"][0].get("message") == "Unauthorized":
                raise Unauthorized(token)
            raise RuntimeError(reply["errors"])
        return reply["data"]["result"]


_ENDS = {"DELIVERED": True, "FAILED": False, "complete": True, "failed": False}


def is_good_end(status: str | None) -> bool | None:
    """Whether the word, of either service, is a good end or a bad one; None: it goes on."""
    return _ENDS.get(status or "")
