"""The flow in docs/how-to/write-your-own-flow.md runs unchanged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from graphql_jobs.emulator import Emulator

GUIDE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "write-your-own-flow.md"

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("saved", "aiware")]


async def test_flow_in_the_guide_fetches_the_results_of_one_job(emulator: Emulator) -> None:
    """Its code is read from the page: it submits one job and returns the engine's results."""
    code, *_ = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(code, names)
    result = await names["transcribe"]("https://media.example.com/a")
    assert result["engine_results"]
    assert len([one for one in emulator.ledger.submissions if one.job_id]) == 1
