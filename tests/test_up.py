"""`make up` without its stack: what it prints, and a port that is in use."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from flows.run_aiware_engine import run_aiware_engine
from flows.run_datasaur_auto_label import run_datasaur_auto_label
from scripts import demo_runs, up

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = {"aiware_token": "token-1", "datasaur_client_id": "client-1", "datasaur_client_secret": "secret-1"}


@pytest.fixture(autouse=True)
def signals_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.up.signal.signal", lambda *_: None)


def test_addresses_credentials_samples_and_a_fault_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person can sign in, fill in a form and inject a fault from the screen; boxes have the form's titles."""
    emulator = CREDENTIALS | {"url": "http://127.0.0.1:5"}

    @contextmanager
    def stack(**_: Any) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:4", emulator=emulator, environment={})

    async def save(_: Any) -> None: ...

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_runs, "save_blocks", save)
    monkeypatch.setattr("scripts.up.signal.pause", interrupt)
    assert up.main(stack) == 0
    printed = capsys.readouterr().out
    samples = (demo_runs.ENGINE_ID, demo_runs.MEDIA_URL, demo_runs.PROJECT_ID, demo_runs.LABELER_EMAIL)
    assert [one for one in (*emulator.values(), *samples, "http://127.0.0.1:4\n") if one not in printed] == []
    assert "http://127.0.0.1:5/_emulator/faults" in printed
    for deployed, boxes in ((run_aiware_engine, 2), (run_datasaur_auto_label, 2)):
        schema = deployed.parameters.properties
        assert [one["title"] for one in list(schema.values())[:boxes] if f"\n  {one['title']} " not in printed] == []
    assert sum(int(pace) for pace in up._PACE[1::2]) == 40
    assert "The job takes 40 s." in printed
    assert printed.endswith("Everything has ended.\n")


def test_port_in_use_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Another Prefect server has port 4200: nothing is started, and the message says what to do."""
    monkeypatch.setattr("scripts.stack.Part", lambda *_, **__: pytest.fail("a process was started"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        assert up.main(up.small_stack) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "choose another port, such as `make up PORT=" in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("port", ["x", "0", "65536"])
def test_wrong_port_is_a_sentence(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make up PORT=x`."""
    monkeypatch.setenv("PORT", port)
    assert up.main(up.small_stack) == 1
    assert capsys.readouterr().err == f"PORT must be from 1 to 65535, not {port!r}.\n"
