"""Types of flow parameters, with the bounds that the UI's form and the API enforce before anything starts.

Descriptions stand in each flow's docstring, where Prefect reads them from.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

#: Our choice: nobody means a year, and a form should catch milliseconds typed for seconds.
MAX_WAIT_S = 30 * 24 * 3600.0

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
#: Our choice: outcomes of that many jobs fit into one downstream run's parameters in their shortest form.
JobIds = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(min_length=1, max_length=4000)
]
#: Pre-signed addresses are long.
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
WaitSeconds = Annotated[float, Field(gt=0, le=MAX_WAIT_S)]
Lines = Annotated[int, Field(ge=0)]
PauseSeconds = Annotated[float, Field(gt=0, le=3600)]
