"""The commands of guides are run in order, as the pages have them, and print what the pages show.

The pages about the pytest plugin and about a flow of one's own have such tests in tests/emulator/test_pytest_plugin.py
and tests/tasks/test_guide.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest
from httpx import AsyncClient

from graphql_jobs import BearerToken
from graphql_jobs.cli.credentials import VARIABLES
from graphql_jobs.providers.aiware import AiwareClient, EngineJobSpec
from scripts import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
TERMINAL = ROOT / "docs" / "how-to" / "use-from-a-terminal.md"
WITHOUT_AN_ACCOUNT = ROOT / "docs" / "how-to" / "test-without-an-account.md"
FIRST_RUN = ROOT / "docs" / "tutorial" / "first-run.md"
_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: Makes the command of a clone that of an installed wheel.
_PROGRAM = f'graphql-jobs() {{ {shlex.quote(sys.executable)} -m graphql_jobs.cli "$@"; }}\n'
SPEC = EngineJobSpec(engine_id="c0e55cde-340b-44d7-bb42-2e0d65e98255", upload_url="https://media.example.com/a.mp3")


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page: kind and text."""
    return [(match["kind"], match["text"]) for match in _BLOCK.finditer(page.read_text())]


def the_block(page: Path, beginning: str) -> str:
    """The block of the page that begins so."""
    [text] = [text for _, text in blocks(page) if text.startswith(beginning)]
    return text


def ids_of(text: str) -> list[str]:
    """The ids of jobs in a text, each once."""
    return list(dict.fromkeys(re.findall(r"\b26114722_\w{10}\b", text)))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the emulator prints that both pages start, on a free port, with jobs of an instant."""
    commands = [
        the_block(TERMINAL, "graphql-jobs emulator"),
        the_block(WITHOUT_AN_ACCOUNT, "python -m graphql_jobs.em"),
    ]
    assert commands == ["graphql-jobs emulator --port 8080\n", "python -m graphql_jobs.emulator --port 0\n"]
    options = ("--port", "0", "--queued-s", "0.1", "--running-s", "0.1")
    command = [sys.executable, "-m", "graphql_jobs.cli", "emulator", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_terminal_guide_is_followed_word_by_word(account: dict[str, str], tmp_path: Path) -> None:
    """Its jobs are made first: one that fails and one that stays queued; then each command prints what is shown."""
    exports = re.findall(r"(\w+)=", the_block(TERMINAL, "export"))
    assert exports == [name for names in VARIABLES.values() for name in names if name != "DATASAUR_TOKEN"]
    snippet = next(text for kind, text in blocks(TERMINAL) if kind == "python")
    shown = "".join(text for kind, text in blocks(TERMINAL) if kind in {"bash", "text"})
    made = asyncio.run(submitted(account, snippet, tmp_path))
    names = dict(zip(ids_of(shown), made, strict=True))
    environment = {"AIWARE_URL": account["url"], "AIWARE_TOKEN": account["aiware_token"], "PYTHONPATH": str(ROOT)}
    printed: list[str] = []
    for kind, text in blocks(TERMINAL):
        for old, new in names.items():
            text = text.replace(old, new)
        if kind == "bash":
            printed.append(in_bash(_PROGRAM + text, tmp_path, environment))
        elif kind == "text":
            assert without_task(printed[-1]) == without_task(text)
    assert len(printed) == 5
    assert json.loads(in_bash(the_block(WITHOUT_AN_ACCOUNT, "curl"), tmp_path, {"URL": account["url"]}))
    assert json.loads((tmp_path / "result.json").read_text())["engine_results"]


async def submitted(account: dict[str, str], snippet: str, folder: Path) -> list[str]:
    """Submit the jobs of the page; the third by its snippet, which saves the handle."""
    lines: dict[str, Any] = {}
    exec(f"async def save(client, spec, open):\n{indent(snippet, '    ')}    return handle", lines)
    failing = {"kind": "job_fails", "failure_reason": "invalid_data", "failure_message": "The recording has no sound."}
    async with (
        AsyncClient(base_url=account["url"]) as emulator,
        AiwareClient.connect(account["url"], BearerToken(account["aiware_token"])) as client,
    ):
        good = await client.submit(SPEC)
        await emulator.post("/_emulator/faults", json=failing)
        bad = await client.submit(SPEC)
        saved = await lines["save"](client, SPEC, lambda name, mode: (folder / name).open(mode))
        await emulator.post("/_emulator/faults", json={"kind": "stuck"})
        return [one.job_id for one in (good, bad, saved, await client.submit(SPEC))]


def in_bash(commands: str, folder: Path, environment: dict[str, str]) -> str:
    """Run commands as a person types them, and return what they print on standard output."""
    environment = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert not re.search("Traceback|not found|unexpected", done.stderr), done.stderr
    return done.stdout


def without_task(text: str) -> str:
    """The text without the id of a job's task and without the end of a line."""
    return re.sub(r"task \w+:", "task ...:", text).strip()


def test_tutorial_has_the_commands_that_start_the_stack_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, work pool, deployments and worker: the same commands deploy the stack on which most tests run."""
    installing, *typed = the_block(FIRST_RUN, "make .venv/installed").splitlines()
    assert installing == "make .venv/installed && . .venv/bin/activate"
    run: list[str] = []

    class Recorded(stack.Stack):
        def run(self, *arguments: str, cwd: Path = ROOT) -> str:
            run.extend(arguments[1:])
            return ""

        def _start(self, name: str, *command: str, **_: Any) -> Any:
            run.append(" ".join(command[1:]).removesuffix(f" --name {name}"))
            return type("Part", (), {"wait_until_ready": lambda _: None})()

    recorded = Recorded()
    monkeypatch.setattr(recorded, "folder", ROOT / ".venv" / "no-such-folder")
    monkeypatch.setattr(Path, "mkdir", lambda *_: None)
    recorded.deploy()
    recorded.start_worker()
    assert [line.removeprefix("python -m prefect ") for line in typed] == run


def test_tutorial_names_what_there_is() -> None:
    """Targets of make, deployments, and block types with the names that the flows load by default."""
    page = FIRST_RUN.read_text()
    targets = re.findall(r"^make (\S+)$", page, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["demo", "up"]
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    deployments = set(re.findall(r"^\s*- name: (\S+)", (ROOT / "prefect.yaml").read_text(), re.MULTILINE))
    assert {"aiware-engine", "check-connection"} <= deployments & set(re.findall(r"`([\w-]+)`", page))
