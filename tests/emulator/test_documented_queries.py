"""The requests that the vendors' documents and clients show are answered without an unknown field or argument."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from graphql_jobs.emulator import Emulator
from graphql_jobs.emulator.aiware.model import Tdo

SAMPLES = Path(__file__).parents[1] / "samples"
# Ids in the samples.
JOBS = ("19041508_f2qIbo9qAh", "18114402_busvuCo21J")
FAILED_JOB = "20072915_mrEONv6h0H"
DATA_OBJECTS = ("460907869", "52359027", "44512341", "102014611")
SUBSCRIBE = """mutation { subscribeEvent(input: {application: "system", delivery: {name: Webhook, params: {}}}) }"""


def sections(provider: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The documents of a file and their variables, by the name of their section."""
    found = {}
    text = (SAMPLES / provider / "queries.graphql").read_text()
    for name, variables, document in re.findall(
        r"^#: (.+)\n(?:#: variables (.+)\n)?((?:(?!#).*\n)+)", text, re.MULTILINE
    ):
        found[name] = (document, json.loads(variables or "{}"))
    return found


AIWARE, DATASAUR = sections("aiware"), sections("datasaur")


@pytest.fixture
async def placeholders(emulator: Emulator, aiware: Any) -> dict[str, str]:
    """Values of this emulator for the words in capitals, and the objects with the samples' ids."""
    for tdo_id in DATA_OBJECTS:
        emulator.aiware.tdos[tdo_id] = Tdo(tdo_id, 0.0, 0.0, 1.0)
    for job_id in JOBS:
        emulator.aiware.plant(job_id, target_id=DATA_OBJECTS[0])
    emulator.aiware.plant(FAILED_JOB, status="failed")
    return {
        "USER": emulator.accounts.aiware_user_name,
        "PASSWORD": emulator.accounts.aiware_password,
        "SESSION": emulator.accounts.open_session(),
        "ASSET": emulator.aiware.add_asset(
            emulator.aiware.tdos["460907869"], {"uri": "https://media.example.invalid"}
        ).id,
        "SUBSCRIPTION": (await aiware(SUBSCRIBE))["data"]["subscribeEvent"],
    }


@pytest.mark.parametrize("name", AIWARE)
async def test_documented_request_to_aiware_is_answered(name: str, aiware: Any, placeholders: dict[str, str]) -> None:
    """Each of the samples: data for each root field, and no errors."""
    document, variables = AIWARE[name]
    document = re.sub(r'"([A-Z]+)"', lambda word: json.dumps(placeholders.get(word[1], word[1])), document)
    reply = await aiware(document, **variables)
    assert "errors" not in reply, reply["errors"]
    assert None not in reply["data"].values()


@pytest.mark.parametrize("name", DATASAUR)
async def test_documented_request_to_datasaur_is_answered(name: str, datasaur: Any) -> None:
    """Each of the samples: data for each root field, and no errors."""
    document, variables = DATASAUR[name]
    reply = await datasaur(document, **variables)
    assert "errors" not in reply, reply["errors"]
    assert None not in reply["data"].values()


def test_samples_are_found() -> None:
    """A test of no sample would always pass."""
    assert (len(AIWARE), len(DATASAUR)) == (54, 29)
