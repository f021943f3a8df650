"""Ids that look like the vendors' and are equal for equal seeds."""

import string
import uuid
from datetime import UTC, datetime
from random import Random

_BASE_62 = string.digits + string.ascii_letters


def seeded(name: str) -> Random:
    """Return a random stream that is equal for equal names."""
    return Random(name)  # noqa: S311 - it must be repeatable, and creates no secrets


class IdFactory:
    """Create ids. Two factories with one seed create the same ids in the same order."""

    def __init__(self, seed: str) -> None:
        self._random = seeded(f"ids:{seed}")
        # Error ids have a separate stream: a failed request must not change the next job's id.
        self._error_random = seeded(f"errors:{seed}")

    def _text(self, length: int) -> str:
        return "".join(self._random.choices(_BASE_62, k=length))

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def error_id(self) -> str:
        """Return a version 4 UUID for one error entry."""
        return str(uuid.UUID(int=self._error_random.getrandbits(128), version=4))

    def hex(self, length: int) -> str:
        """Return `length` hexadecimal digits."""
        return f"{self._random.getrandbits(length * 4):0{length}x}"

    def aiware_job(self, now_at: float) -> str:
        """Return `YYMM` + ISO week + day + `_` + 10 base-62 characters, as in samples (docs/providers/aiware.md)."""
        today = datetime.fromtimestamp(now_at, UTC)
        return f"{today:%y%m}{today.isocalendar().week:02d}{today:%d}_{self._text(10)}"

    def aiware_task(self, job_id: str) -> str:
        """Return the job's id, directly followed by 5 characters."""
        return job_id + self._text(5)

    def aiware_tdo(self) -> str:
        """Decimal text."""
        return str(self._random.randrange(400_000_000, 2_000_000_000))

    def aiware_asset(self, tdo_id: str) -> str:
        """`<tdoId>_<10 characters>`."""
        return f"{tdo_id}_{self._text(10)}"

    def datasaur_project(self) -> str:
        """Return 11 characters, such as HvdyIL2iwZn."""
        return self._text(11)
