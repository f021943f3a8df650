"""The idempotency key of a submission, and the label that the provider keeps with the job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from graphql_jobs.errors import InvalidInput

#: Our choice: enough for a path, or for a date and some ids. Messages show the key.
MAX_CALLER_KEY_CHARACTERS = 200
#: The key of a label in a job's free JSON.
LABEL_NAME = "graphql_jobs"
#: The beginning of each submission's key.
KEY_PREFIX = "gqj-"


@dataclass(frozen=True, slots=True)
class Label:
    """What the provider keeps with a job: the submission's key, and the flow run that owns it, if any."""

    key: str
    owner: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the label as free JSON of a job or a container."""
        return {LABEL_NAME: {"key": self.key, "owner": self.owner}}

    @classmethod
    def in_json(cls, value: object) -> Label | None:
        """Return the label in a job's free JSON, or None if none can be read."""
        ours = value.get(LABEL_NAME) if isinstance(value, dict) else None
        if not isinstance(ours, dict) or not isinstance(ours.get("key"), str):
            return None
        owner = ours.get("owner")
        return cls(ours["key"], owner if isinstance(owner, str) else "")


def checked_caller_key(key: str) -> str:
    """Return a caller's key, stripped. Raises `InvalidInput` if it is empty or too long."""
    stripped = key.strip()
    if not stripped:
        raise InvalidInput("key", "the key is empty. Set one that names this job, or none.")
    if len(stripped) > MAX_CALLER_KEY_CHARACTERS:
        raise InvalidInput("key", f"the key has {len(stripped)} characters; {MAX_CALLER_KEY_CHARACTERS} are allowed.")
    return stripped


def submission_key(provider: str, endpoint: str, account: str, operation: str, *what: str) -> str:
    """Return the key of one submission: 36 letters, digits and dashes, equal for equal arguments in any process.

    `what` distinguishes submissions of one account and operation: the caller's key, or the flow run, the spec and the
    count of equal submissions in that run.
    """
    text = json.dumps([provider, endpoint, account, operation, *what])
    return f"{KEY_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}"
