"""The credentials blocks of suspended runs, each loaded once, with an open client.

A person may rename, delete or correct a block while runs are suspended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self, cast

from prefect.blocks.core import Block

from blocks.load import load_credentials
from graphql_jobs import JobClient
from graphql_jobs.clock import Clock
from graphql_jobs.errors import InvalidInput
from graphql_jobs.transport.rate_limit import ServerDelay
from graphql_jobs.waiting.metrics import Snapshot
from graphql_jobs.waiting.wait import snapshot

#: Our choice: how often a block is read again, to see whether a person has changed it.
REREAD_S = 30.0
#: Our choice: before a run is resumed, its block is read again if the last read is older than this.
FRESH_S = 2.0

#: The provider and the name of a block.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """A loaded credentials block."""

    key: Key
    #: Its fields, to be compared with those of a later read.
    fields: dict[str, Any]
    client: JobClient


class Accounts:
    """The accounts of one watcher. Their clients are open while this is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = AsyncExitStack()
        self._loaded: dict[Key, Account] = {}
        #: Why a block could not be loaded.
        self._refused: dict[Key, InvalidInput] = {}
        #: When a block was last read.
        self._read_at: dict[Key, float] = {}
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reread_at = clock.monotonic() + REREAD_S

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    async def get(self, provider: str, name: str, log: logging.LoggerAdapter[Any]) -> Account:
        """Return the account. While its block cannot be loaded, wait, and log the reason once in `log`."""
        key, told = (provider, name), False
        while True:
            try:
                async with self._locks[key]:
                    return await self._account(key)
            except InvalidInput as error:
                if not told:
                    log.warning("The run stays suspended until its credentials block can be loaded: %s", error)
                told = True
            await self._clock.sleep(REREAD_S)

    async def is_current(self, account: Account) -> bool:
        """Whether the block can still be loaded and has not changed since `account` was loaded."""
        async with self._locks[account.key]:
            if self._loaded.get(account.key) is not account:
                return False
            if self._clock.monotonic() - self._read_at[account.key] < FRESH_S:
                return True
            with suppress(InvalidInput):
                await self._load(account.key)
            return self._loaded.get(account.key) is account

    async def renewed(self) -> list[Key]:
        """Return the blocks that have changed since they were loaded. They are read again every `REREAD_S` seconds."""
        if self._clock.monotonic() < self._reread_at:
            return []
        self._reread_at = self._clock.monotonic() + REREAD_S
        return [key for key, account in list(self._loaded.items()) if not await self.is_current(account)]

    def snapshots(self) -> dict[str, Snapshot]:
        """Return the costs so far of each account's waits, by the name of its block."""
        return {account.key[1]: snapshot(account.client) for account in self._loaded.values()}

    async def _account(self, key: Key) -> Account:
        if account := self._loaded.get(key):
            return account
        error = self._refused.get(key)
        if error and self._clock.monotonic() - self._read_at[key] < REREAD_S / 2:
            raise error
        return await self._load(key)

    async def _load(self, key: Key) -> Account:
        """Read the block. The account is a new one only if the block has changed. Raises `InvalidInput`."""
        self._read_at[key] = self._clock.monotonic()
        try:
            block = await load_credentials(key[0], key[1])
        except InvalidInput as error:
            self._refused[key] = error
            self._loaded.pop(key, None)
            raise
        self._refused.pop(key, None)
        fields = cast("Block", block).model_dump()
        known = self._loaded.get(key)
        if known and known.fields == fields:
            return known
        client = await self._open.enter_async_context(block.get_client())
        if (session := client.session).clock is not self._clock:  # all accounts have the watcher's clock
            session.clock, session.server_delay = self._clock, ServerDelay(self._clock)
        self._loaded[key] = Account(key, fields, client)
        return self._loaded[key]
