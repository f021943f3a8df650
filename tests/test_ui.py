"""The walk of a new user through Prefect's own UI, in a real browser: forms, runs, reports, failures and cancels.

With `UI_SCREENSHOTS=folder` each step leaves pictures there: light, dark and narrow. `python -m scripts.pictures` makes
those of the documentation from them. Skipped without chromium; `.ci/run` installs one and proves that nothing was
skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect
from prefect.utilities.callables import parameter_schema

from flows.wait_for_jobs import wait_for_jobs
from graphql_jobs import submission_key
from scripts.demo_runs import ENGINE_ID, MEDIA_URL, save_blocks
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Where the pictures go; empty for none.
PICTURES = os.environ.get("UI_SCREENSHOTS", "")

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.asyncio(loop_scope="module"),
]

#: How long two busy cores take to render a page, or to run a flow.
PATIENCE_MS = 90_000
expect.set_options(timeout=PATIENCE_MS)
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 400, "height": 800}
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


class Runs(NamedTuple):
    """The ids of the runs that a walk begins with, so that they run while it types."""

    fails: str
    waits: str
    goes_on: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(stack: Stack) -> Runs:
    """Runs with saved credentials."""
    with api_at(stack.environment["PREFECT_API_URL"]):
        await save_blocks(stack)
    return begin(stack)


def begin(stack: Stack) -> Runs:
    """Start three engine runs: a job that fails, one that stays queued and one that never ends."""
    faults = {
        "fails": {"kind": "job_fails", "failure_message": "The recording has no audio track."},
        "waits": {"kind": "stuck"},
        "goes-on": {"kind": "stuck", "word": "running"},
    }
    return Runs(*[start_with_a_fault(stack, key, fault) for key, fault in faults.items()])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(runs: Runs) -> AsyncIterator[Page]:
    """One tab for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            page = await browser.new_page(viewport=WIDE)
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            await browser.close()


async def test_new_user_saves_credentials_and_checks_them(stack: Stack, page: Page) -> None:
    """A block through its form, and one with a wrong token; the check says as whom, and what to change."""
    await save_credentials(stack, page, "ui-right", stack.emulator["aiware_token"])
    await save_credentials(stack, page, "ui-wrong", "not-the-token")
    right, wrong = await check(stack, page, "ui-right"), await check(stack, page, "ui-wrong")
    await open_run(stack, page, right)
    await expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    await expect(page.get_by_text(re.compile(r"aiWARE at \S+ answers as .+ in [\d.]+ s\."))).to_be_visible()
    await keep(page, "check-connection")
    await open_run(stack, page, wrong)
    await expect(page.get_by_text("RequestFailed", exact=True).first).to_be_visible()
    await keep(page, "check-refused")


async def test_new_user_runs_an_engine(stack: Stack, page: Page) -> None:
    """Typed into visible boxes; then the progress, the report with its timeline and transcript, and what was started."""
    await page.goto(form_of(stack, "run-aiware-engine/aiware-engine"))
    await expect(page.get_by_text("Property is type")).to_have_count(0)
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_text("is a required property")).to_have_count(2)
    await fill(page, {"Engine": ENGINE_ID, "Address of the recording": f"{MEDIA_URL}?signature=s3cret"})
    await page.get_by_role("button", name="Add item").first.click()
    await page.get_by_role("textbox").nth(4).fill("store-results/store-results")
    await expect(page.get_by_text("is a required property")).to_have_count(0)
    await keep(page, "engine-form", height=1500)
    await page.get_by_role("button", name="Submit").click()
    await page.get_by_role("link", name="View run").click()
    await expect(page.get_by_text("engine c0e55cde on HitchhikersGuide.mp4").first).to_be_visible()
    await expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    await expect(page.get_by_text("s3cret")).to_have_count(0)
    await keep(page, "run")


async def test_failed_job_is_red_with_its_reason(stack: Stack, page: Page, runs: Runs) -> None:
    """The state, its message and the log have aiWARE's reason, and no traceback."""
    await open_run(stack, page, runs.fails)
    await expect(page.get_by_text("JobFailed", exact=True).first).to_be_visible()
    await page.goto(f"{page.url}?tab=Logs")
    await expect(page.get_by_text("The recording has no audio track.").first).to_be_visible()
    await expect(page.get_by_text("Traceback")).to_have_count(0)
    await keep(page, "failed")


async def test_cancelled_run_says_what_became_of_its_job(stack: Stack, page: Page, runs: Runs) -> None:
    """The button cancels a queued job at aiWARE; a running one goes on, which the list of runs shows by its state."""
    for run in (runs.waits, runs.goes_on):
        await open_run(stack, page, run, "Logs")
        await expect(page.get_by_text("status").first).to_be_visible()
        await page.get_by_role("button", name="Open menu").click()
        await page.get_by_role("menuitem", name="Cancel").click()
        await page.get_by_role("button", name="Cancel Flow Run").click()
        await expect(page.get_by_text("Flow run cancelled")).to_be_visible()


def form_of(stack: Stack, deployment: str) -> str:
    """The address of the form of a custom run."""
    return f"{stack.url}/v2/deployments/deployment/{deployment_id(stack, deployment)}/run"


async def open_run(stack: Stack, page: Page, run: str, tab: str = "Details") -> None:
    await page.goto(f"{stack.url}/v2/runs/flow-run/{run}?tab={tab}")


async def fill(page: Page, texts: dict[str, str]) -> None:
    """Type into the boxes with these titles."""
    for title, text in texts.items():
        await page.get_by_label(title, exact=True).fill(text)


async def save_credentials(stack: Stack, page: Page, name: str, token: str) -> None:
    """Create an aiWARE Credentials block through its form."""
    await page.goto(f"{stack.url}/v2/blocks/catalog/aiware-credentials/create")
    await fill(page, {"Name": name, "Address of aiWARE (Optional)": stack.emulator["url"], "Token": token})
    await keep(page, "block-form")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Block created successfully")).to_be_visible()


async def check(stack: Stack, page: Page, block: str) -> str:
    """Submit the form of check-connection, and return the id of the run."""
    await page.goto(form_of(stack, "check-connection/check-connection"))
    await page.get_by_role("button", name="Select Provider").click()
    await page.get_by_role("option", name="aiware").click()
    await fill(page, {"Name of the credentials block (Optional)": block})
    await page.get_by_role("button", name="Submit").click()
    link = page.get_by_role("link", name="View run")
    return str(await link.get_attribute("href")).rpartition("/")[2]


def start_with_a_fault(stack: Stack, key: str, fault: dict[str, Any]) -> str:
    """Start a run of the engine whose job gets this fault, and return the run's id."""
    account = ("aiware", f"{stack.emulator['url']}/v3/graphql", "aiware", "launchSingleEngineJob")
    post(f"{stack.emulator['url']}/_emulator/faults", fault | {"key": submission_key(*account, "key", key)})
    parameters = {
        "engine_id": ENGINE_ID,
        "upload_url": f"https://media.example.com/{key}.mp4",
        "key": key,
        "max_poll_interval_s": 2,
    }
    deployment = deployment_id(stack, "run-aiware-engine/aiware-engine")
    run = post(f"{stack.url}/api/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    return str(run["id"])


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def deployment_id(stack: Stack, name: str) -> str:
    with urllib.request.urlopen(f"{stack.url}/api/deployments/name/{name}", timeout=30) as answer:
        return str(json.load(answer)["id"])


async def keep(page: Page, name: str, height: int = 800) -> None:
    """Leave pictures of the page if they are wanted: light, dark and narrow."""
    if not PICTURES:
        return
    folder = Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, width, scheme in (("", 1280, "light"), ("-dark", 1280, "dark"), ("-narrow", 400, "light")):
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.wait_for_timeout(1000)  # the page fades from one scheme to the other
        await page.screenshot(path=folder / f"{name}{kind}.png")
    await page.set_viewport_size(WIDE)
    await page.emulate_media(color_scheme="light")
