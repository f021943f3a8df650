"""Who a submission is: the key that every attempt at it derives alike, and the label that a provider keeps for us."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from graphql_jobs.errors import InvalidInput

#: Our choice: room for a path or a date and some ids; it is shown in messages.
MAX_CALLER_KEY_CHARACTERS = 200
#: The name under which a label stands in free JSON that a provider keeps.
LABEL_NAME = "graphql_jobs"
#: How every key of a submission begins.
KEY_PREFIX = "gqj-"


@dataclass(frozen=True, slots=True)
class Label:
    """What is written on a job at its provider: the submission's key, and the flow run that owns it, if any."""

    key: str
    owner: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a job's or a container's free JSON."""
        return {LABEL_NAME: {"key": self.key, "owner": self.owner}}

    @classmethod
    def in_json(cls, value: object) -> Label | None:
        """The label in a piece of free JSON that came back; None if there is none that can be read."""
        ours = value.get(LABEL_NAME) if isinstance(value, dict) else None
        if not isinstance(ours, dict) or not isinstance(ours.get("key"), str):
            return None
        owner = ours.get("owner")
        return cls(ours["key"], owner if isinstance(owner, str) else "")


def checked_caller_key(key: str) -> str:
    """A caller's own key without blanks around it. Raises `InvalidInput` for one that is empty or too long."""
    stripped = key.strip()
    if not stripped:
        raise InvalidInput("key", "the key is empty. Give one that names this job, or none.")
    if len(stripped) > MAX_CALLER_KEY_CHARACTERS:
        raise InvalidInput("key", f"the key has {len(stripped)} characters; {MAX_CALLER_KEY_CHARACTERS} are allowed.")
    return stripped


def submission_key(provider: str, endpoint: str, account: str, operation: str, *what: str) -> str:
    """The key of one submission: letters, digits and dashes, 36 characters, the same wherever it is derived.

    `what` tells it from others of the same account and operation: the caller's own key, or the flow run with what is
    submitted and the how manieth time.
    """
    text = json.dumps([provider, endpoint, account, operation, *what])
    return f"{KEY_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}"
