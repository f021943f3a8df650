"""A hidden file beside its target that gets the target's name only when it is whole.

A process that is killed leaves its part file behind. Each part file is locked while its process runs, so the next
download into the folder can find and remove abandoned ones.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX, _SUFFIX = ".graphql-jobs-", ".part"
#: Our choice: without file locks, a part file is abandoned if it was not written for this time.
_STALE_S = 24 * 3600.0
_ADVICE = {
    (errno.ENOSPC, errno.EDQUOT): "Free some space there, or give another result_folder.",
    (errno.EACCES, errno.EPERM, errno.EROFS): "Let the worker's user write there, or give another result_folder.",
    (errno.EEXIST, errno.ENOTDIR, errno.EISDIR): "Move away what is there, or give another result_folder.",
    (errno.ENAMETOOLONG,): "Give a result_folder with a shorter name.",
}


class FileProblem(OSError):
    """An error of the local disk. Its text has the path, the problem and advice."""

    def __init__(self, path: str, problem: str, advice: str) -> None:
        super().__init__(path, problem, advice)
        self.path, self.problem, self.advice = path, problem, advice

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}. {self.advice}"


class PartFile:
    """The part file of `to`. Use it in `async with`: unless it is published, it is removed at the end."""

    def __init__(self, to: Path) -> None:
        self.to = to
        self.size = 0

    async def __aenter__(self) -> Self:
        with local_errors(self.to):
            await asyncio.to_thread(_prepare, self.to)
            # Not in a thread: a cancel while it waits for a thread would leave the file open.
            self.path, descriptor = new_part(self.to.parent)
            self._file = os.fdopen(descriptor, "wb")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        with suppress(OSError):  # on a full disk, a close fails like a write
            self._file.close()

    async def write(self, chunk: bytes) -> None:
        """Append `chunk`. Raises `FileProblem`."""
        with local_errors(self.to):
            await asyncio.to_thread(self._file.write, chunk)
        self.size += len(chunk)

    async def start_over(self) -> None:
        """Empty the file. Raises `FileProblem`."""
        with local_errors(self.to):
            await asyncio.to_thread(self._empty)
        self.size = 0

    async def flush(self) -> None:
        """Write buffered data, so that it can be read. Raises `FileProblem`."""
        with local_errors(self.to):
            await asyncio.to_thread(self._file.flush)

    def publish(self) -> None:
        """Rename the file to its target. Raises `FileProblem`."""
        with local_errors(self.to):
            os.replace(self.path, self.to)

    def _empty(self) -> None:
        self._file.seek(0)
        self._file.truncate()


@contextmanager
def local_errors(to: Path) -> Iterator[None]:
    """Raise `FileProblem` for errors of the local disk. Some have the same class as network errors."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        number = error.errno if isinstance(error, OSError) else None
        path = error.filename2 or error.filename if isinstance(error, OSError) else None
        words = error.strerror if isinstance(error, OSError) else None
        hidden = not isinstance(path, str) or Path(path).name.startswith(_PREFIX)
        otherwise = "Correct that, or set another result_folder."
        advice = next((advice for numbers, advice in _ADVICE.items() if number in numbers), otherwise)
        raise FileProblem(str(to) if hidden else str(path), words or str(error), advice) from error


def _prepare(to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(to))
    with suppress(FileNotFoundError):
        os.stat(to)  # raises for a name that is too long
    for entry in os.scandir(to.parent):
        if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
            with suppress(OSError):
                _remove_if_left(entry.path)


def new_part(folder: Path) -> tuple[str, int]:
    """Create a locked part file with the umask's permissions. Return its path and descriptor."""
    while True:
        path = str(folder / f"{_PREFIX}{uuid4().hex}{_SUFFIX}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if _lock(descriptor) is not False and os.path.exists(path):
            return path, descriptor
        os.close(descriptor)  # before it was locked, another process treated it as abandoned
        with suppress(FileNotFoundError):
            os.unlink(path)


def _remove_if_left(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        is_left = _lock(descriptor)
        if is_left is None:
            is_left = time.time() - os.stat(path).st_mtime > _STALE_S
        if is_left:
            os.unlink(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock the file. Return whether this process has the lock, or None if the file system has no locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
