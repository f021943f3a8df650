"""The UI of a person: the form of a deployment in Prefect's own UI, in a real browser.

Skipped without chromium; `.ci/run` installs one and proves that nothing was skipped.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Page, async_playwright, expect
from prefect.utilities.callables import parameter_schema

from flows.wait_for_jobs import wait_for_jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

#: How long two busy cores take to render a page.
PATIENCE_MS = 60_000
#: Without these, Chromium looks up hosts of its vendor at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Prefect's own blocks have logos on other hosts; these tests use only loopback.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            page = await browser.new_page(viewport={"width": 1400, "height": 3000})
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            await browser.close()


def deployment_id(stack: Stack, name: str) -> str:
    flow, deployment = name.split("/")
    with urllib.request.urlopen(f"{stack.url}/api/deployments/name/{flow}/{deployment}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return str(found["id"])


async def test_the_form_of_a_run_describes_every_parameter(stack: Stack, page: Page) -> None:
    """The custom run of the sensor: choices are selects, the list of ids can grow, each field says what it is."""
    await page.goto(f"{stack.url}/deployments/deployment/{deployment_id(stack, 'wait-for-jobs/wait-for-jobs')}/run")
    descriptions = [of["description"] for of in parameter_schema(wait_for_jobs).properties.values()]
    assert len(descriptions) == 15
    for words in descriptions:
        await expect(page.get_by_text(words)).to_be_visible(timeout=PATIENCE_MS)


async def test_our_blocks_are_in_the_catalog_and_fetch_no_logo(stack: Stack, page: Page) -> None:
    """Each of them has a card with Prefect's own icon, and no picture from another host."""
    await page.goto(f"{stack.url}/blocks/catalog")
    for name in ("aiWARE Credentials", "Datasaur Credentials", "Datasaur Target API", "aiWARE Engine Job"):
        await page.get_by_placeholder("Search blocks").first.fill(name)
        await expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.get_by_text("1 Block", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        pictures = await page.evaluate("[...document.images].map(image => image.src)")
        assert [address for address in pictures if not address.startswith(stack.url)] == []


async def test_secrets_of_a_block_are_visible_boxes(stack: Stack, page: Page) -> None:
    """Client secret and token of Datasaur Credentials: two password boxes, without a choice between a type and None."""
    await page.goto(f"{stack.url}/v2/blocks/catalog/datasaur-credentials/create")
    for title in ("Client secret (Optional)", "Or a token (Optional)"):
        await expect(page.get_by_label(title, exact=True)).to_have_attribute("type", "password")
    await expect(page.get_by_text("Property is type")).to_have_count(0)
