"""The recordings of a batch: given, in a folder that a web server shares, or in a listing over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import httpx
from prefect.cache_policies import NO_CACHE

from graphql_jobs.errors import InvalidInput
from graphql_jobs.urls import checked_url, without_queries
from tasks.job_task import job_task

#: Our choices: a page of some ten thousand links, and the time for it.
_MAX_BYTES = 10_000_000
_TIMEOUT_S = 60.0
#: Our choices: the delays before a listing is asked for again.
_DELAYS_S = (1.0, 5.0, 30.0)
_SERVER_ERROR = 500
_DAY = re.compile(r"(?<!\d)(20\d\d)[-_]?(\d\d)[-_]?(\d\d)(?!\d)")


@job_task(name="list recordings", task_run_name="list recordings", cache_policy=NO_CACHE)
async def list_recordings(listing: str, pattern: str) -> list[str]:
    """Return the addresses in a listing: a JSON list, one address per line, or the links of a page.

    They may be relative to the listing. Only those whose file names match `pattern` are returned. A server that fails
    is asked again. Raises `InvalidInput`, whose message does not show the address.
    """
    checked_url(listing, "listing")
    text = ""
    for delay_s in (*_DELAYS_S, None):
        try:
            text = await _fetch(listing)
            break
        except (httpx.HTTPStatusError, httpx.TransportError) as error:
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
            why = f"the server answers {status}" if status else f"it cannot be read: {type(error).__name__}"
            if delay_s is None or (status and status < _SERVER_ERROR):
                raise InvalidInput("listing", f"{why}.") from None
        await asyncio.sleep(delay_s)
    return [address for address in addresses_in(text, listing) if _matches(address, pattern)]


async def _fetch(listing: str) -> str:
    async with (
        httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=True) as client,
        client.stream("GET", listing) as answer,
    ):
        answer.raise_for_status()
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _MAX_BYTES:
                raise InvalidInput("listing", f"it is larger than {_MAX_BYTES // 1_000_000} MB.")
    return content.decode(errors="replace")


def recordings_in(folder: str, folder_url: str, pattern: str) -> dict[str, Path]:
    """Return the files in `folder`, in all its folders, by their addresses for aiWARE, which are at `folder_url`."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InvalidInput("folder", f"{folder!r} is not a folder on this worker.")
    base = checked_url(folder_url, "folder_url").rstrip("/")
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {f"{base}/{quote(name)}": root / name for name in files if fnmatch(Path(name).name, pattern)}


def day_of(address: str, file: Path | None = None) -> date | None:
    """Return the day in the name of a recording, such as call-2026-11-28.mp4, else that of the file's last change."""
    for year, month, day in _DAY.findall(urlsplit(address).path.rpartition("/")[2]):
        with suppress(ValueError):
            return date(int(year), int(month), int(day))
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).date() if file else None


def addresses_in(text: str, listing: str) -> list[str]:
    """Return the addresses in the text of a listing, in order, each once. Raises `InvalidInput`."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            raise InvalidInput("listing", "it begins like a JSON list, and is none.") from None
        if not all(isinstance(one, str) for one in found):
            raise InvalidInput("listing", "the JSON list must hold addresses alone.")
    elif text.lstrip().startswith("<"):
        links = _Links()
        links.feed(text)
        # A server's page also links to its parent folder, to folders, and to itself in another order.
        base = urljoin(listing, ".")
        addresses = [urljoin(listing, link) for link in links.found]
        found = [one for one in addresses if one.startswith(base) and not one.endswith("/") and not urlsplit(one).query]
    else:
        found = [line.strip() for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys(urljoin(listing, one) for one in found))


def keys_of(batch_key: str | None, addresses: Sequence[str]) -> list[str | None]:
    """Return a key for each recording, which is the same in every run with this batch key; none without one.

    Queries do not count, since a pre-signed address differs each time. Recordings that differ only in their queries
    are numbered.
    """
    if batch_key is None:
        return [None] * len(addresses)
    keys: list[str | None] = []
    numbers: Counter[str] = Counter()
    for address in map(without_queries, addresses):
        digest = hashlib.sha256(f"{batch_key}\n{address}\n{numbers[address]}".encode()).hexdigest()[:16]
        numbers[address] += 1
        keys.append(f"{batch_key[:60]} {address.rpartition('/')[2][:100]} {digest}")
    return keys


def _matches(address: str, pattern: str) -> bool:
    return fnmatch(urlsplit(address).path.rpartition("/")[2], pattern)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (link := dict(attrs).get("href")):
            self.found.append(link)
