"""What the models know about a place in the stack file: its keys and their descriptions."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kindling.models.paths import Location


def alias_of(name: str, field: FieldInfo) -> str:
    """The key of a field in the file."""
    return field.alias or name


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by their key in the file."""
    return {alias_of(name, field): field for name, field in model.model_fields.items()}


def model_at(root: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model of the map at a location, or None when the keys there are free."""
    kind: Any = root
    for part in location:
        kind = _step(kind, part)
    return _model_in(kind)


def field_at(root: type[BaseModel], location: Location) -> FieldInfo | None:
    """The field that a location names, or None."""
    model = model_at(root, location[:-1]) if location else None
    return fields_of(model).get(str(location[-1])) if model else None


def models_in(kind: Any) -> list[type[BaseModel]]:
    """All models that an annotation mentions."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in models_in(argument)]


def _step(kind: Any, part: str | int) -> Any:
    if (model := _model_in(kind)) is not None:
        field = fields_of(model).get(str(part))
        return field.annotation if field else None
    for member in _members(kind):
        if get_origin(member) in (dict, tuple):
            # The values of a map; the entries of a list (annotated as tuple[X, ...]).
            return get_args(member)[1 if get_origin(member) is dict else 0]
    return None


def _model_in(kind: Any) -> type[BaseModel] | None:
    for member in _members(kind):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def _members(kind: Any) -> list[Any]:
    """The members of a union, without Annotated's additions."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (dict, tuple) or not get_args(kind):
        return [kind]
    return [inner for member in get_args(kind) for inner in _members(member)]
