"""What the tests of Prefect's UI do in the browser, and what they ask of the server meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from playwright.async_api import Page, ViewportSize, expect
from tenacity import (
    AsyncRetrying,
    retry,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from graphql_jobs import submission_key
from scripts.demo_runs import ENGINE_ID
from tasks.cancelling.layers import MESSAGE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.stack import Stack

#: Where the pictures go; empty for none.
PICTURES = os.environ.get("UI_SCREENSHOTS", "")
#: How long two busy cores take to render a page, or to run a flow.
PATIENCE_MS = 90_000
WIDE: ViewportSize = {"width": 1280, "height": 800}


class Runs(NamedTuple):
    """The ids of the runs that a walk begins with, so that they run while it types."""

    fails: str
    waits: str
    goes_on: str


def begin(stack: Stack) -> Runs:
    """Start three engine runs: a job that fails, one that stays queued and one that never ends."""
    faults = {
        "Silent": {"kind": "job_fails", "failure_message": "The recording has no audio track."},
        "Queued": {"kind": "stuck"},
        "Running": {"kind": "stuck", "word": "running"},
    }
    return Runs(*[start_with_a_fault(stack, name, fault) for name, fault in faults.items()])


async def type_in_old_ui(page: Page, texts: dict[str, str]) -> None:
    """Type into the boxes below these titles, which are no labels of the boxes there."""
    for title, text in texts.items():
        box = f"//*[normalize-space(text())='{title}']/following::*[self::textarea or self::input][1]"
        await page.locator(box).first.fill(text)


def form_of(stack: Stack, deployment: str) -> str:
    """The address of the form of a custom run."""
    return f"{stack.url}/v2/deployments/deployment/{deployment_id(stack, deployment)}/run"


def address_of(stack: Stack, run: str, tab: str) -> str:
    return f"{stack.url}/v2/runs/flow-run/{run}?tab={tab}"


async def open_ended(stack: Stack, page: Page, run: str, state: str, tab: str = "Details") -> None:
    """Open a run as soon as it has ended: an open page shows a new state half a minute later."""
    await until(is_final, stack, run)
    await page.goto(address_of(stack, run, tab))
    await expect(page.get_by_text(state, exact=True).first).to_be_visible()


async def until(is_so: Callable[[Stack, str], bool], stack: Stack, run: str) -> None:
    """Wait until something is so of a run."""
    retrying = AsyncRetrying(
        retry=retry_if_result(lambda so: not so), wait=wait_fixed(0.3), stop=stop_after_delay(PATIENCE_MS / 1000)
    )
    await retrying(asyncio.to_thread, is_so, stack, run)


def is_final(stack: Stack, run: str) -> bool:
    return get(f"{stack.url}/api/flow_runs/{run}")["state_type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


def is_cleaned_up(stack: Stack, run: str) -> bool:
    """Whether the message of its state says what became of its job."""
    return MESSAGE_PREFIX in (get(f"{stack.url}/api/flow_runs/{run}")["state"]["message"] or "")


def has_job(stack: Stack, run: str) -> bool:
    """Whether the run waits for its job, which it has submitted."""
    tasks = post(f"{stack.url}/api/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return any(task["name"].startswith("wait for") for task in tasks)


def artifact(stack: Stack, run: str, kind: str) -> str:
    """The id of the run's artifact of this kind."""
    found = post(f"{stack.url}/api/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    return str(next(one["id"] for one in found if one["type"] == kind))


async def submit(page: Page) -> str:
    """Submit the form of a custom run, and return the run's id."""
    return str((await click_until_done(page, "Submit", "**/create_flow_run"))["id"])


async def click_until_done(page: Page, button: str, url: str) -> dict[str, Any]:
    """Click until the server has created something: a busy one answers 503, and a person clicks again."""
    while True:
        async with page.expect_response(url) as created:
            await page.get_by_role("button", name=button, exact=True).click()
        response = await created.value
        if response.ok:
            return dict(await response.json())


async def fill(page: Page, texts: dict[str, str]) -> None:
    """Type into the boxes with these titles."""
    for title, text in texts.items():
        await page.get_by_label(title, exact=True).fill(text)


async def save_credentials(stack: Stack, page: Page, name: str, token: str) -> None:
    """Create an aiWARE Credentials block through its form."""
    await page.goto(f"{stack.url}/v2/blocks/catalog/aiware-credentials/create")
    await fill(page, {"Name": name, "Address of aiWARE (Optional)": stack.emulator["url"], "Token": token})
    await keep(page, "block-form")
    await click_until_done(page, "Save", "**/api/block_documents/")


async def check(stack: Stack, page: Page, block: str) -> str:
    """Submit the form of check-connection, and return the id of the run."""
    await page.goto(form_of(stack, "check-connection/check-connection"))
    await fill(page, {"Provider": "aiware", "Name of the credentials block (Optional)": block})
    return await submit(page)


def start_with_a_fault(stack: Stack, name: str, fault: dict[str, Any]) -> str:
    """Start a run of the engine whose job gets this fault, and return the run's id."""
    key = uuid4().hex
    account = ("aiware", f"{stack.emulator['url']}/v3/graphql", "aiware", "launchSingleEngineJob")
    post(f"{stack.emulator['url']}/_emulator/faults", fault | {"key": submission_key(*account, "key", key)})
    parameters = {
        "engine_id": ENGINE_ID,
        "upload_url": f"https://media.example.com/{name}.mp4",
        "key": key,
        "max_poll_interval_s": 2,
    }
    deployment = deployment_id(stack, "run-aiware-engine/aiware-engine")
    wanted = {"parameters": parameters, "idempotency_key": key}
    run = post(f"{stack.url}/api/deployments/{deployment}/create_flow_run", wanted)
    return str(run["id"])


def _is_busy(error: BaseException) -> bool:
    """Whether the server answered 503, as while SQLite is locked. Prefect's own client repeats such a request, too."""
    return isinstance(error, urllib.error.HTTPError) and error.code == 503


repeated = retry(retry=retry_if_exception(_is_busy), wait=wait_fixed(2), stop=stop_after_attempt(5), reraise=True)


@repeated
def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@repeated
def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def deployment_id(stack: Stack, name: str) -> str:
    return str(get(f"{stack.url}/api/deployments/name/{name}")["id"])


async def keep(page: Page, name: str, height: int = 800) -> None:
    """Leave pictures of the page if they are wanted: light, dark and narrow."""
    if not PICTURES:
        return
    for kind, width, scheme in (("", 1280, "light"), ("-dark", 1280, "dark"), ("-narrow", 400, "light")):
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.wait_for_timeout(3000)  # the graph of a run is drawn slowly
        await page.screenshot(path=f"{PICTURES}/{name}{kind}.png")
    await page.set_viewport_size(WIDE)
    await page.emulate_media(color_scheme="light")
