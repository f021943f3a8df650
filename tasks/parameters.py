"""Types of flow parameters, with the bounds that the UI's form and the API enforce before anything starts.

Descriptions stand in each flow's docstring, where Prefect reads them from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from graphql_jobs.inputs import Count, Name, invalid_input

__all__ = ["MAX_WAIT_S", "Address", "Count", "JobIds", "Name", "ParameterCheck", "PollIntervalSeconds", "WaitSeconds"]

#: Our choice: nobody means a year, and a form should catch milliseconds typed for seconds.
MAX_WAIT_S = 30 * 24 * 3600.0

#: Our choice: outcomes of that many jobs fit into one downstream run's parameters in their shortest form.
JobIds = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(min_length=1, max_length=4000)
]
#: Pre-signed addresses are long.
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
WaitSeconds = Annotated[float, Field(gt=0, le=MAX_WAIT_S)]
PollIntervalSeconds = Annotated[float, Field(gt=0, le=3600)]


class ParameterCheck:
    """Checks what a flow gets against its signature.

    Prefect's own check makes a run Failed that does not say so by its name, and logs all parameters.
    """

    def __init__(self, name: str, signature: Signature) -> None:
        fields: dict[str, Any] = {
            parameter.name: (parameter.annotation, ... if parameter.default is Parameter.empty else parameter.default)
            for parameter in signature.parameters.values()
        }
        self._signature = signature
        self._model: type[BaseModel] = create_model(name, __config__=ConfigDict(hide_input_in_errors=True), **fields)

    def checked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The values by their names, as their types say. Raises `InvalidInput` that names the parameters."""
        given = self._signature.bind_partial(*args, **kwargs).arguments
        try:
            values = self._model.model_validate(given)
        except ValidationError as error:
            raise invalid_input(error, "parameters") from None
        return {name: getattr(values, name) for name in self._model.model_fields}
