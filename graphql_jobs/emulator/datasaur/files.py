"""Exported files behind signed addresses, as an object store serves them."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from functools import lru_cache

from graphql_jobs.emulator.answers import Answer, store_refusal
from graphql_jobs.emulator.datasaur.world import DatasaurWorld


def download(world: DatasaurWorld, file_id: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Return a 404 until the job is delivered, then the zip (206 for a range), and a 403 after the address expired."""
    if "Authorization" in headers:
        # S3 accepts one authentication method, not two.
        return store_refusal(400, "InvalidArgument")
    file = world.files.get(file_id)
    if file is None or query.get("signature") != file.signature or world.clock.now() >= file.expires_at:
        return store_refusal(403, "AccessDenied")
    if file.job.status(world.clock.now()) != "DELIVERED":
        return store_refusal(404, "NoSuchKey")
    content = _archive(file.job.id, file.folders, world.behaviour.export_bytes)
    # An ETag like that of a multipart upload, which is not a digest of the file.
    etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}-1"'
    named = {"Content-Disposition": f'attachment; filename="{file.file_name}"', "ETag": etag}
    if not world.behaviour.file_ranges:
        return Answer(200, content, "application/zip", named)
    wanted = headers.get("Range") if headers.get("If-Range", etag) == etag else None
    return _ranged(content, wanted, named | {"Accept-Ranges": "bytes"})


def _ranged(content: bytes, wanted: str | None, headers: dict[str, str]) -> Answer:
    """Return one range of bytes, or the whole file for other ranges, as RFC 9110 allows."""
    first_text, dash, last_text = (wanted or "").removeprefix("bytes=").partition("-")
    if not dash or not (first_text + last_text).isdigit():
        return Answer(200, content, "application/zip", headers)
    size = len(content)
    first = int(first_text) if first_text else max(0, size - int(last_text))
    last = min(int(last_text), size - 1) if first_text and last_text else size - 1
    if first > last:
        return Answer(416, b"", "application/xml", {"Content-Range": f"bytes */{size}"})
    headers = {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Answer(206, content[first : last + 1], "application/zip", headers)


@lru_cache(maxsize=8)
def _archive(job_id: str, projects: tuple[str, ...], size_bytes: int) -> bytes:
    """Return a zip with the folders of each project, padded to at least `size_bytes`."""
    # Always the same bytes for the same job: a download may be resumed.
    labels = [{"label": "PERSON", "text": "Ada"}, {"label": "CITY", "text": "London"}]  # invented, as is the form
    document = json.dumps({"job": job_id, "document": "document-1.txt", "labels": labels})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for project in projects:
            for folder in ("REVIEW", "ROOT"):
                archive.writestr(zipfile.ZipInfo(f"{project}/{folder}/document-1.txt.json"), document)
        if not projects:
            # Invented: the export of a document, a team or a chart is one file.
            archive.writestr(zipfile.ZipInfo("export.json"), document)
        if size_bytes:
            archive.writestr(zipfile.ZipInfo("padding.json"), "x" * size_bytes)
    return buffer.getvalue()
