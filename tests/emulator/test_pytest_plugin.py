"""The pytest plugin: the tests in the guide pass, and the fixtures are as the guide says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "test-without-an-account.md"
MORE = """

from graphql_jobs.emulator import ManualClock
from graphql_jobs.providers.datasaur import DatasaurClient
from graphql_jobs import ClientCredentials


def test_datasaur_account_signs_in(emulator, datasaur_account):
    base_url, client_id, client_secret = datasaur_account

    async def check():
        auth = ClientCredentials(f"{base_url}/api/oauth/token", client_id, client_secret)
        async with DatasaurClient.connect(base_url, auth) as client:
            return await client.check(["AutoLabelQueue:dcbf6ed3-3841-46c1-8f6a-2affb53ac637"])

    [job] = asyncio.run(check()).values()
    assert job.state == "SUCCEEDED"
    assert emulator.ledger.tokens_issued == 1


@pytest.mark.emulator(clock=ManualClock(5.0))
def test_clock_stands_still(emulator, emulator_environment):
    assert emulator.clock.now() == 5.0
    assert emulator_environment["AIWARE_URL"] == emulator.url


def test_no_emulator_is_left():
    import threading
    assert [thread.name for thread in threading.enumerate() if thread.name == "emulator"] == []
"""


def test_tests_of_the_guide_pass(tmp_path: Path) -> None:
    """The page is followed word by word in a project of its own; strict markers and warnings as errors do no harm."""
    conftest, code, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_of_a_user.py").write_text(code + MORE)
    options = ("-q", "-p", "no:cacheprovider", "-W", "error", "--strict-markers", "-c", "/dev/null", "--rootdir", ".")
    command = [sys.executable, "-m", "pytest", *options, "test_of_a_user.py"]
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = len(re.findall(r"^def test_", code + MORE, re.MULTILINE))
    assert f"{tests} passed" in done.stdout


def test_fixtures_of_the_plugin_are_in_the_guide() -> None:
    """A fixture is added: the table names it."""
    source = (ROOT / "graphql_jobs" / "emulator" / "pytest_plugin.py").read_text()
    fixtures = set(re.findall(r"@pytest\.fixture\ndef (\w+)", source))
    assert fixtures == set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
