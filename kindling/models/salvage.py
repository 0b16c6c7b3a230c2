"""Validation that goes on after a mistake, so that one round of reading finds all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kindling.models.explain import is_noise
from kindling.models.paths import Location, without

Model = TypeVar("Model", bound=BaseModel)
_ROUNDS = 8  # each takes away at least one wrong value; more than ever needed in practice


def validate(model: type[Model], data: Any) -> tuple[Model | None, list[ErrorDetails]]:
    """The model, or the errors. Keys are accepted as the file spells them only."""
    try:
        return model.model_validate(data, by_alias=True, by_name=False), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return None, [each for each in errors if not is_noise(each)]


def salvage(
    model: type[Model],
    data: Any,
    errors: list[ErrorDetails],
    stand_ins: Mapping[Location, Any],
) -> Model | None:
    """The model without its wrong values; None when too little is left.

    A required value that is missing or wrong is replaced by its stand-in; without one, the map
    that lacks it goes, too.
    """
    for _ in range(_ROUNDS):
        for error in errors:
            data = _mend(data, error, stand_ins)
        made, errors = validate(model, data)
        if made is not None:
            return made
    return None


def _mend(data: Any, error: ErrorDetails, stand_ins: Mapping[Location, Any]) -> Any:
    location = error["loc"]
    if error["type"] != "missing":
        return without(data, location)
    if location in stand_ins:
        return _with(data, location, stand_ins[location])
    return without(data, location[:-1])


def _with(data: Any, location: Location, value: Any) -> Any:
    if not location:
        return value
    head, rest = location[0], location[1:]
    return {**data, head: _with(data.get(head, {}), rest, value)}
