"""A provider's status words as a table that a reviewer can compare with the provider's page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from graphql_jobs.job import JobState
from graphql_jobs.titles import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)


class StatusTable(dict[str, JobState]):
    """Map words to states. A word that is not in it is UNKNOWN (the job has not ended) and is logged once."""

    def __init__(self, provider: str, states: Mapping[str, JobState]) -> None:
        super().__init__(states)
        self.provider = provider
        self._reported: set[str] = set()

    def __missing__(self, word: str) -> JobState:
        # The word is untrusted: at most a hundred different ones are kept and logged.
        if word not in self._reported and len(self._reported) < 100:
            self._reported.add(word)
            logger.warning("%s returned an unknown status: %.60r. The wait continues.", title_of(self.provider), word)
        return JobState.UNKNOWN
