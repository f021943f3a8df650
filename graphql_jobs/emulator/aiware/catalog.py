"""Engines, their categories, clusters and libraries: the known ones, and any engine whose id looks like a UUID."""

import re
from dataclasses import dataclass, replace
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# Ids of the single-engine template's steps: docs/providers/aiware.md#submission.
WEBSTREAM_ADAPTER_ID = "9e611ad7-2d3b-48f6-a51b-0a1ba40fe255"
PLAYBACK_ID = "352556c7-de07-4d55-b33f-74b1cf237f25"
CHUNKER_ID = "8bdb0e3b-ff28-4f6e-a3ba-887bd06e6440"
OUTPUT_WRITER_ID = "8eccf9cc-6b6d-4d7d-8cb3-7ebf4950c5f3"
# Invented: the only engine without a job template.
NO_TEMPLATE_ID = "00000000-0000-4000-8000-000000000000"
# Steps that move data and have no result. The first is the job quickstart's adapter; the others have old ids.
HELPER_IDS = frozenset(
    {
        *(WEBSTREAM_ADAPTER_ID, PLAYBACK_ID, CHUNKER_ID, OUTPUT_WRITER_ID),
        "9e611ad7-2d3b-48f6-a51b-0a1ba40feab4",
        *("insert-into-index", "thumbnail-generator", "mention-generate", "download-file"),
    }
)
TRANSCRIPTION_ID = "67cd4dd0-2f75-445d-a6f0-2f297d6cd182"
_UTILITY_ID = "00000000-0000-4000-8000-000000000001"
# Documented formats; labels and types are invented.
_FORMATS = tuple({"format": name, "label": name.upper(), "types": ["caption"]} for name in ("srt", "vtt", "ttml"))
# Invented, but for the id of the first.
CATEGORIES: tuple[dict[str, Any], ...] = (
    {
        "id": TRANSCRIPTION_ID,
        "name": "Transcription",
        "description": "Speech to text",
        "categoryType": "transcript",
        "exportFormats": _FORMATS,
    },
    {"id": _UTILITY_ID, "name": "Utility", "description": "Moves data", "categoryType": "utility"},
)
# Invented.
LIBRARIES = ({"id": "00000000-0000-4000-8000-000000000002", "name": "Emulated library"},)

# The names are ours; the ids are from the vendor's examples.
_NAMES = {
    WEBSTREAM_ADAPTER_ID: "Webstream Adapter",
    PLAYBACK_ID: "Playback Segment Creator",
    CHUNKER_ID: "Chunker",
    OUTPUT_WRITER_ID: "Output Writer",
    "c0e55cde-340b-44d7-bb42-2e0d65e98255": "Transcription - English V3",
    "54525249-da68-4dbf-b6fe-aea9a1aefd4d": "Transcription - English",
    NO_TEMPLATE_ID: "Engine without a job template",
    # Old ids, which the vendor's documents name.
    "insert-into-index": "Insert into index",
    "thumbnail-generator": "Thumbnail generator",
    "mention-generate": "Mention generator",
    "download-file": "Download file",
    "transcribe-speechmatics-container-en-us": "Transcription - Speechmatics",
}
_TEMPLATES = tuple(
    {"type": kind, "template": '{"tasks": "the emulator fills its own"}', "templateLanguage": "Handlebars"}
    for kind in ("Upload", "Reprocess")
)


@dataclass(frozen=True)
class Engine:
    """An engine that tasks run."""

    id: str
    name: str
    category_id: str = TRANSCRIPTION_ID
    state: str = "active"
    owner_organization_id: str = "1"
    fields: tuple[Any, ...] = ()
    templates: tuple[dict[str, str], ...] = _TEMPLATES


def find_engine(engine_id: str) -> Engine | None:
    """Return the engine, or None if the id is neither known nor like a UUID.

    Invented: the real service knows its engines. Any UUID is accepted, for transcription, so that users can try theirs.
    """
    if engine_id not in _NAMES and not _UUID.fullmatch(engine_id):
        return None
    category_id = _UTILITY_ID if engine_id in HELPER_IDS else TRANSCRIPTION_ID
    engine = Engine(engine_id, _NAMES.get(engine_id, f"Engine {engine_id[:8]}"), category_id)
    return replace(engine, templates=()) if engine_id == NO_TEMPLATE_ID else engine


def find_category(category_id: str) -> dict[str, Any] | None:
    """Return the category, or None."""
    return next((category for category in CATEGORIES if category["id"] == category_id), None)


def known_engines() -> list[Engine]:
    """Return the engines that a listing shows."""
    return [engine for engine in map(find_engine, _NAMES) if engine is not None]


# The first is the default US production cluster in the documented samples.
CLUSTERS = (
    {"id": "rt-1cdc1d6d-a500-467a-bc46-d3c5bf3d6901", "name": "Emulated cluster", "organizationId": "1"},
    {"id": "rt-00000000-0000-4000-8000-000000000001", "name": "Second cluster", "organizationId": "1"},
)

# The vendor's published messages; none is delivered.
EVENTS = tuple(
    {"eventName": name, "eventType": kind, "application": "system"}
    for name, kind in (("JobCreated", "job"), ("JobCompleted", "job"), ("JobFailed", "job"), ("TaskCompleted", "task"))
)
