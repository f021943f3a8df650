"""The names of runs, from their parameters. Needs no server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prefect.context import FlowRunContext

from tasks.names import engine_run, file_of, named_after, printable

SIGNED = "https://b.s3.example.invalid/in/Hitchhikers%20Guide.mp4?X-Amz-Signature=s3cret#part"
GENERATED = [
    "handmade-osprey",
    "Handmade-Osprey",
    "gamma5-alphard",
    "phi2-trebus-y",
    "omega-neubilia-quadrant",
    "mu7-ursae-majoris-ring",
    "tau",
]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (
            {"engine_id": "c0e55cde-340b-44d7-bb42-2e0d65e98255", "upload_url": SIGNED},
            "engine c0e55cde on Hitchhikers Guide.mp4",
        ),
        ({"engine_id": "no-such-one", "target_id": "102"}, "engine no-such-one on data object 102"),
        ({"tasks": [{}, {}], "upload_url": None}, "2 aiWARE tasks on a new data object"),
        ({"tasks": 3}, "handmade-osprey"),
        ({}, "handmade-osprey"),
    ],
)
def test_run_is_named_after_its_input(parameters: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file name of a signed address, without the signature; wrong parameters leave the generated name."""
    _context(monkeypatch, "handmade-osprey", parameters)
    assert named_after(engine_run)() == name


@pytest.mark.parametrize("name", ["nightly 28 Nov", "reprocess", "engine e on a.mp4", "tau lepton", "news-2026-11"])
def test_name_that_a_person_gave_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the name from the input, when a suspended run starts again."""
    _context(monkeypatch, name, {"engine_id": "f", "target_id": "1"})
    assert named_after(engine_run)() == name


@pytest.mark.parametrize("name", GENERATED)
def test_generated_name_is_replaced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of Prefect's client, and those with which its two UIs fill in the form."""
    _context(monkeypatch, name, {"engine_id": "f", "target_id": "1"})
    assert named_after(engine_run)() == "engine f on data object 1"


def test_name_is_short_and_printable() -> None:
    """An address without a path gives its host; a line break would break the log."""
    assert file_of("https://media.example.invalid/") == "media.example.invalid"
    assert file_of("https://a.example.invalid/%0Aa%00.mp3/") == "a.mp3"
    assert len(printable("x" * 500)) == 80


def _context(monkeypatch: pytest.MonkeyPatch, name: str, parameters: dict[str, Any]) -> None:
    context = SimpleNamespace(flow_run=SimpleNamespace(name=name), parameters=parameters)
    monkeypatch.setattr(FlowRunContext, "get", lambda: context)
