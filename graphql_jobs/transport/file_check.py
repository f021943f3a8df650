"""Check a downloaded file against its digests and its name.

The file is read from end to end: call this in a thread.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Our choice: after this many unpacked bytes, an archive is not checked further, since an archive of a few kB can
#: claim to contain terabytes.
MAX_UNPACKED_BYTES = 20 * 1024**3
#: Our choice: the index of an archive of half a million files. Python keeps it in memory, so a larger one is not read.
MAX_INDEX_BYTES = 64 * 1024**2
_CHUNK_BYTES = 1024**2
_END_BYTES, _LONGEST_COMMENT = 22, 0xFFFF
_CHECKED_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, RuntimeError, OverflowError)

#: The digests that a file store may send, by their names in the standard library, and their lengths in bytes.
_LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "crc32": 4}
# Sources: RFC 9530 (Repr-Digest; its appendix for Digest), RFC 1864 (Content-MD5), docs.aws.amazon.com/AmazonS3
# ("Checking object integrity"), cloud.google.com/storage/docs/xml-api/reference-headers (x-goog-hash),
# learn.microsoft.com/rest/api/storageservices/get-blob (x-ms-blob-content-md5). No contract makes an ETag a digest.
_SINGLE = {
    "content-md5": "md5",
    "x-ms-blob-content-md5": "md5",
    "x-amz-checksum-crc32": "crc32",
    "x-amz-checksum-sha1": "sha1",
    "x-amz-checksum-sha256": "sha256",
}
_LISTS = ("digest", "repr-digest", "content-digest", "x-goog-hash")


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class Stopped(Exception):
    """The check was cancelled."""


def digests_in(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Return the digests of a whole file in the headers of its response (status 200). Other values are ignored."""
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        headers = {name: value for name, value in headers.items() if name.lower() != "x-goog-hash"}
    claimed = [(algorithm, headers[name]) for name, algorithm in _SINGLE.items() if name in headers]
    for name in _LISTS:
        for item in headers.get(name, "").split(","):
            algorithm, _, text = item.strip().partition("=")
            claimed.append((re.sub(r"^sha$", "sha1", algorithm.lower().replace("-", "")), text.strip(":")))
    return {algorithm: digest for algorithm, text in claimed if (digest := _decoded(algorithm, text))}


def _decoded(algorithm: str, text: str) -> bytes | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # such as the "-12" of a checksum of checksums
        return None
    return digest if len(digest) == _LENGTHS.get(algorithm) else None


def problem_of(path: str, name: str, digests: Mapping[str, bytes], must_stop: Callable[[], bool]) -> str | None:
    """Return what is wrong with the file at `path`, which will be named `name`, or None.

    Check its digests and, if its name ends in .zip, that it is an archive with complete members. Raises `Stopped`.
    """
    with open(path, "rb") as file:
        for algorithm, claimed in digests.items():
            if _digest(file, algorithm, must_stop) != claimed:
                return f"its {algorithm} is not the one that the server sent"
        return _problem_of_archive(file, must_stop) if name.endswith(".zip") else None


def _digest(file: BinaryIO, algorithm: str, must_stop: Callable[[], bool]) -> bytes:
    hashed: _Hash = _Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)
    file.seek(0)
    for chunk in _chunks(file, must_stop):
        hashed.update(chunk)
    return hashed.digest()


def _chunks(file: BinaryIO, must_stop: Callable[[], bool]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        if must_stop():
            raise Stopped
        yield chunk


def _problem_of_archive(file: BinaryIO, must_stop: Callable[[], bool]) -> str | None:
    try:
        if _index_bytes(file) > MAX_INDEX_BYTES:
            return None
        with zipfile.ZipFile(file) as archive:
            left = MAX_UNPACKED_BYTES
            for member in archive.infolist():
                if member.flag_bits & 0x1 or member.compress_type not in _CHECKED_METHODS:
                    continue  # encrypted, or compressed in a way that the standard library cannot limit
                with archive.open(member) as part:
                    for chunk in _chunks(part, must_stop):  # type: ignore[arg-type] # it is read like a file
                        left -= len(chunk)
                        if left < 0:
                            return None
    except _BROKEN:
        return f"it is not a complete zip archive{_hint(file)}"
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that no file can have
            raise
        return "it is not a complete zip archive"
    return None


def _index_bytes(file: BinaryIO) -> int:
    """Return the size of the archive's index, from the record at its end. Source: PKWARE's APPNOTE 4.3.14 to 4.3.16."""
    size = file.seek(0, 2)
    start = max(0, size - _END_BYTES - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile
    (index_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if index_bytes != 0xFFFFFFFF:
        return int(index_bytes)
    file.seek(max(0, start + at - 20))
    locator = file.read(20)
    (wide_at,) = struct.unpack_from("<Q", locator, 8)
    file.seek(wide_at)
    (index_bytes,) = struct.unpack_from("<Q", file.read(56), 40)
    return int(index_bytes)


def _hint(file: BinaryIO) -> str:
    file.seek(0)
    beginning = file.read(1000)
    if not beginning:
        return ", but empty"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)", beginning, re.IGNORECASE):
        return ", but an HTML page"
    return "" if beginning.startswith(b"PK") else ", and does not start like one"
