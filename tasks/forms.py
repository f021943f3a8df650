"""The form of a flow in Prefect's UI: plain titles, the important fields first, and a box for each optional value.

Prefect makes the form from the signature of the flow. `with_form` gives the flow a second signature for that purpose.
The function keeps its own: a call has the same parameters, types and defaults as before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter, Signature
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from pydantic_core import MISSING

F = TypeVar("F", bound=Flow[..., Any])

_ADVANCED = "Advanced: "


def with_form(**titles: str) -> Callable[[F], F]:
    """Decorate a flow, above `@flow`: the form has the named parameters first, in this order and with these titles.

    The other parameters follow as "Advanced: ...", with the title that their type has. An optional parameter is a box
    that may stay empty: the UI would show `str | None` as two buttons without a box.
    """

    def give(flow: F) -> F:
        parameters = inspect.signature(flow.fn, eval_str=True).parameters
        advanced = {name: _ADVANCED + _title(one) for name, one in parameters.items() if name not in titles}
        shown = [_shown(parameters[name], title) for name, title in (titles | advanced).items()]
        form: Any = flow
        form.__signature__ = Signature(shown)
        form.parameters = parameter_schema(flow)
        return flow

    return give


def _title(parameter: Parameter) -> str:
    fields = (one for one in getattr(parameter.annotation, "__metadata__", ()) if isinstance(one, FieldInfo))
    return next((one.title for one in fields if one.title), parameter.name)


def _shown(parameter: Parameter, title: str) -> Parameter:
    extra: dict[str, Any] = {"title": title}
    annotation, default = _without_none(parameter.annotation), parameter.default
    if default is Parameter.empty:
        default = Field(json_schema_extra=extra)
    elif annotation != parameter.annotation or default == {}:
        # A default of null would be sent for an empty box, and one of {} would choose raw JSON.
        default = Field(default=MISSING, json_schema_extra=extra)
    else:
        default = Field(default=default, json_schema_extra=extra)
    return Parameter(parameter.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _without_none(annotation: Any) -> Any:
    """Return the type without `None`. Prefect's API accepts null nevertheless, if there is no default.

    A structure keeps it, since the API would refuse null. The form leaves a structure out unless it is chosen.
    """
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return Annotated[(_without_none(inner), *metadata)]
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    is_optional = get_origin(annotation) in (Union, UnionType) and len(kinds) == 1
    is_structure = is_optional and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel)
    return kinds[0] if is_optional and not is_structure else annotation
