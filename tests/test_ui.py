"""The walk of a new user through Prefect's own UI, in a real browser: forms, runs, reports, failures and cancels.

With `UI_SCREENSHOTS=folder` each step leaves pictures there: light, dark and narrow. `python -m scripts.pictures` makes
those of the documentation from them. Skipped without chromium; `.ci/run` installs one and proves that nothing was
skipped.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect
from prefect.utilities.callables import parameter_schema

from flows.wait_for_jobs import wait_for_jobs
from scripts.demo_runs import ENGINE_ID, MEDIA_URL, save_blocks
from tests.browser import (
    PATIENCE_MS,
    WIDE,
    Runs,
    address_of,
    artifact,
    begin,
    check,
    click_until_done,
    deployment_id,
    fill,
    form_of,
    has_job,
    is_cleaned_up,
    is_final,
    keep,
    open_ended,
    save_credentials,
    submit,
    type_in_old_ui,
    until,
)
from tests.prefect_api import api_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.asyncio(loop_scope="module"),
]

expect.set_options(timeout=PATIENCE_MS)
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(stack: Stack) -> Runs:
    """Runs with saved credentials."""
    with api_at(stack.environment["PREFECT_API_URL"]):
        await save_blocks(stack)
    return begin(stack)


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
    await open_ended(stack, page, right, "Completed")
    await expect(page.get_by_text(re.compile(r"^aiWARE at \S+ answers as .+ in [\d.]+ s\."))).to_be_visible()
    await keep(page, "check-connection")
    await open_ended(stack, page, wrong, "RequestFailed", "Logs")
    await expect(page.get_by_text(re.compile("token")).first).to_be_visible()
    await expect(page.get_by_text("Traceback")).to_have_count(0)
    await keep(page, "check-refused")


async def test_new_user_runs_an_engine(stack: Stack, page: Page) -> None:
    """Typed into visible boxes; then the progress, the report with its timeline and words, and the downstream run."""
    await page.goto(form_of(stack, "run-aiware-engine/aiware-engine"))
    await page.get_by_role("button", name="Submit").click()
    # In the form: a late check leaves the refusal to the server, which a message beside the form repeats.
    await expect(page.locator("form").get_by_text("is a required property")).to_have_count(2)
    await expect(page.get_by_text("Property is type")).to_have_count(0)
    await page.reload()  # the form checks itself again while one types, and a late answer of a busy server would stand
    await fill(page, {"Engine": ENGINE_ID, "Address of the recording": f"{MEDIA_URL}?signature=s3cret"})
    await page.get_by_role("button", name="Add item").first.click()
    await page.get_by_role("textbox").nth(4).fill("store-results/store-results")
    await keep(page, "engine-form", height=1500)
    run = await submit(page)
    await open_ended(stack, page, run, "Completed")
    await expect(page.get_by_text("engine c0e55cde on HitchhikersGuide.mp4").first).to_be_visible()
    await expect(
        page.get_by_text(re.compile(r"^aiWARE job \S+ succeeded in .+; 1 downstream run started\.$"))
    ).to_be_visible()
    await expect(page.get_by_text("s3cret")).to_have_count(0)
    await keep(page, "run")
    await page.get_by_role("tab", name="Subflow Runs").click()
    await expect(page.get_by_text("store-results").first).to_be_visible()
    await keep(page, "downstream")
    await page.get_by_role("tab", name="Artifacts").click()
    await keep(page, "artifacts")
    report = artifact(stack, run, "markdown")
    await page.goto(f"{stack.url}/v2/artifacts/artifact/{report}")
    await expect(page.get_by_role("heading", name="First words")).to_be_visible()
    await expect(page.get_by_role("img", name="Timeline of the job and its tasks")).to_be_visible()
    await expect(page.get_by_role("cell", name="complete", exact=True)).to_have_count(4)
    await keep(page, "report", height=1300)
    await page.goto(f"{stack.url}/v2/artifacts/artifact/{artifact(stack, run, 'progress')}")
    await expect(page.get_by_text("Progress: 100%")).to_be_visible()
    await keep(page, "progress")


async def test_failed_job_is_red_with_its_reason(stack: Stack, page: Page, runs: Runs) -> None:
    """The state, its message and the log have aiWARE's reason, and no traceback."""
    await open_ended(stack, page, runs.fails, "JobFailed")
    await expect(page.get_by_text("The recording has no audio track.")).to_be_visible()
    await keep(page, "failed")
    await page.get_by_role("tab", name="Logs").click()
    await expect(page.get_by_text("The recording has no audio track.").first).to_be_visible()
    await expect(page.get_by_text("Traceback")).to_have_count(0)
    await keep(page, "failed-log", height=1500)


async def test_cancelled_run_says_what_became_of_its_job(stack: Stack, page: Page, runs: Runs) -> None:
    """The button cancels a queued job at aiWARE; a running one goes on, which the list of runs shows by its state."""
    for run in (runs.waits, runs.goes_on):
        await until(has_job, stack, run)
        await page.goto(address_of(stack, run, "Details"))
        await page.get_by_role("button", name="Open menu").click()
        await page.get_by_role("menuitem", name="Cancel").click()
        await page.get_by_role("button", name="Cancel Flow Run").click()
        await expect(page.get_by_text("Flow run cancelled")).to_be_visible()
    await until(is_cleaned_up, stack, runs.waits)
    await open_ended(stack, page, runs.waits, "Cancelled")
    await expect(page.get_by_text("cancelled (status 'aborted')")).to_be_visible()
    await keep(page, "cancelled")
    await until(is_cleaned_up, stack, runs.goes_on)
    await open_ended(stack, page, runs.goes_on, "CancelledJobRuns")
    await expect(page.get_by_text("left running at aiWARE")).to_be_visible()
    await keep(page, "left-running")
    await page.goto(f"{stack.url}/v2/runs")
    for state in ("CancelledJobRuns", "JobFailed"):
        await expect(page.get_by_text(state, exact=True).first).to_be_visible()
    await page.get_by_placeholder("Search by flow run name").fill("engine")
    await expect(page.get_by_text("clean up after engine c0e55cde on Running.mp4").first).to_be_visible()
    await keep(page, "runs", height=1300)


async def test_main_path_in_the_old_ui(stack: Stack, page: Page, runs: Runs) -> None:
    """A block without a token is refused; a right one runs an engine; the report and the states are readable there."""
    await page.goto(f"{stack.url}/blocks/catalog/aiware-credentials/create")
    await type_in_old_ui(page, {"Block Name": "ui-old", "Address of aiWARE (Optional)": stack.emulator["url"]})
    await page.get_by_role("button", name="Create", exact=True).click()
    await expect(page.get_by_text("Token is required")).to_be_visible()
    await keep(page, "old-refused")
    await type_in_old_ui(page, {"Token": stack.emulator["aiware_token"]})
    await click_until_done(page, "Create", "**/api/block_documents/")
    deployment = deployment_id(stack, "run-aiware-engine/aiware-engine")
    await page.goto(f"{stack.url}/deployments/deployment/{deployment}/run")
    texts = {"Engine": ENGINE_ID, "Address of the recording": MEDIA_URL}
    await type_in_old_ui(page, texts | {"Name of the aiWARE Credentials block (Optional)": "ui-old"})
    run = await submit(page)
    await until(is_final, stack, run)
    await page.goto(f"{stack.url}/runs/flow-run/{run}")
    await expect(page.get_by_text("engine c0e55cde on HitchhikersGuide.mp4").first).to_be_visible()
    await expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    await keep(page, "old-run")
    await page.goto(f"{stack.url}/artifacts/artifact/{artifact(stack, run, 'markdown')}")
    await expect(page.get_by_role("heading", name="First words")).to_be_visible()
    await expect(page.get_by_role("img", name="Timeline of the job and its tasks")).to_be_visible()
    await keep(page, "old-report")
    await page.goto(f"{stack.url}/runs")
    for state in ("CancelledJobRuns", "JobFailed"):
        await expect(page.get_by_text(state, exact=True).first).to_be_visible()


async def test_the_form_of_a_run_describes_every_parameter(stack: Stack, page: Page) -> None:
    """The custom run of the sensor: choices are selects, the list of ids can grow, each field says what it is."""
    await page.goto(f"{stack.url}/deployments/deployment/{deployment_id(stack, 'wait-for-jobs/wait-for-jobs')}/run")
    descriptions = [of["description"] for of in parameter_schema(wait_for_jobs).properties.values()]
    assert len(descriptions) == 15
    for words in descriptions:
        await expect(page.get_by_text(words)).to_be_visible()


async def test_our_blocks_are_in_the_catalog_and_fetch_no_logo(stack: Stack, page: Page) -> None:
    """Each of them has a card with Prefect's own icon, and no picture from another host."""
    await page.goto(f"{stack.url}/blocks/catalog")
    for name in ("aiWARE Credentials", "Datasaur Credentials", "Datasaur Target API", "aiWARE Engine Job"):
        await page.get_by_placeholder("Search blocks").first.fill(name)
        await expect(page.get_by_role("heading", name=name)).to_be_visible()
        await expect(page.get_by_text("1 Block", exact=True)).to_be_visible()
        pictures = await page.evaluate("[...document.images].map(image => image.src)")
        assert [address for address in pictures if not address.startswith(stack.url)] == []


async def test_secrets_of_a_block_are_visible_boxes(stack: Stack, page: Page) -> None:
    """Client secret and token of Datasaur Credentials: two password boxes, without a choice between a type and None."""
    await page.goto(f"{stack.url}/v2/blocks/catalog/datasaur-credentials/create")
    for title in ("Client secret (Optional)", "Or a token (Optional)"):
        await expect(page.get_by_label(title, exact=True)).to_have_attribute("type", "password")
    await expect(page.get_by_text("Property is type")).to_have_count(0)
