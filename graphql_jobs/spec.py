"""The spec of a job, and its summary for a submission record."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from graphql_jobs.inputs import invalid_input
from graphql_jobs.urls import without_queries

#: Our choice: longer values are kept as a digest.
_SHOWN_CHARACTERS = 100


class JobSpec(BaseModel):
    """The spec of a job. It is validated on creation, before anything is sent."""

    #: The provider's name of the operation that starts it.
    operation: ClassVar[str] = ""
    #: What the job is, in the names of runs: "submit Datasaur export".
    title: ClassVar[str] = "job"

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Create a spec from keyword arguments. Raises `InvalidInput`, which names the parameter and shows no value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise invalid_input(error, cls.__name__) from None

    @property
    def subject(self) -> str:
        """What the job is about, for messages."""
        return type(self).__name__

    def summary(self, salt: str) -> dict[str, str]:
        """Return the fields as a submission record keeps them: short plain values unchanged, others as a digest.

        Secrets are omitted, and so are the queries of URLs at any depth: a pre-signed URL differs each time.
        """
        plain = self.model_dump(mode="json")
        values = {
            name: value for name, value in self if value not in (None, [], {}) and not isinstance(value, SecretStr)
        }
        return {
            name: _shown(value, plain[name], salt, type(self).model_fields[name].repr) for name, value in values.items()
        }


def _shown(value: object, plain: Any, salt: str, may_show: bool) -> str:
    if isinstance(value, int | float) or (isinstance(value, str) and may_show and len(value) <= _SHOWN_CHARACTERS):
        return repr(without_queries(value))
    digest = hashlib.sha256(json.dumps([salt, without_queries(plain)], sort_keys=True).encode()).hexdigest()
    return f"digest {digest[:12]}"
