"""`python -m scripts.screenshot`: renew docs/images/run.png, the picture in the README. Needs chromium.

A separate stack runs one aiWARE job; the picture shows its flow run in Prefect's UI. Check it before you commit it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from uuid import UUID

from PIL import Image
from playwright.async_api import async_playwright

from scripts.stack import Stack

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "run.png"
_PARAMETERS = {
    "engine_id": "c0e55cde-340b-44d7-bb42-2e0d65e98255",
    "upload_url": "https://media.example.com/interview.mp3",
    "max_poll_interval_s": 2,
    "downstream": ["store-results/store-results"],
}
#: No sandbox as root in a container; only loopback is used.
_CHROMIUM = [
    "--no-sandbox",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
#: Our choices: the window, and the time to render the page on a busy machine.
_SIZE, _WITHIN_MS, _SETTLES_S = (1280, 500), 90_000, 6.0


def main() -> int:
    """Take the picture. Returns the exit status."""
    with Stack(emulator_options=("--queued-s", "3", "--running-s", "9")) as stack:
        stack.deploy()
        stack.start_worker()
        os.environ.update(stack.environment)
        asyncio.run(_take(stack))
    with Image.open(PICTURE) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1000} kB")
    return 0


async def _take(stack: Stack) -> None:
    from prefect.deployments import arun_deployment  # Prefect reads its settings when it is imported

    from scripts.demo_runs import save_blocks

    await save_blocks(stack)
    run = await arun_deployment("run-aiware-engine/aiware-engine", parameters=_PARAMETERS, timeout=300)
    await asyncio.sleep(_SETTLES_S)  # the last lines of the log
    await _photograph(f"{stack.url}/runs/flow-run/{UUID(str(run.id))}", run.name)


async def _photograph(page_url: str, words: str) -> None:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_CHROMIUM)
        try:
            width, height = _SIZE
            page = await browser.new_page(viewport={"width": width, "height": height})
            await page.goto(page_url)
            await page.get_by_text(words).first.wait_for(timeout=_WITHIN_MS)
            await asyncio.sleep(2 * _SETTLES_S)  # the graph of the run, and its log
            await page.screenshot(path=PICTURE)
        finally:
            await browser.close()


if __name__ == "__main__":
    sys.exit(main())
