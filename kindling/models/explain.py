"""From pydantic's errors to sentences with a remedy.

Pydantic says what it expected; a user wants to know what to write. Each kind of error has one
sentence here; the semantic types of `kindling.models.types` bring their own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from kindling.errors import Problem
from kindling.models.fields import field_at, fields_of, model_at
from kindling.models.paths import Location, written

REFERENCE = "docs/reference/stack.md"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    by_folded = {_folded(each): each for each in known}
    found = difflib.get_close_matches(_folded(word), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that does not exist."""
    known = list(known)
    if meant := nearest(key, known):
        return f"is not a key here; did you mean {meant}?"
    return f"is not a key here; the keys are: {', '.join(known)}"


def explain(error: ErrorDetails, model: type[BaseModel]) -> tuple[Location, str, Any]:
    """Location, sentence and value of one error; ``model`` is where its location begins."""
    location = error["loc"]
    if location and location[-1] == "[key]":
        location = location[:-1]
    kind = error["type"]
    if error["input"] is None and kind != "missing":
        return location, "is empty; give a value or remove the key", None
    sentence = _SENTENCES.get(kind, _fallback)
    return location, sentence(error, location, model), _shown(error, kind)


def problem(location: Location, message: str, value: Any) -> Problem:
    """A problem; only scalars are shown, and none that may hide a secret."""
    shown = isinstance(value, str | int | float | bool) and not _confidential(value)
    path = written(location)
    return Problem(path, message, value, has_value=True) if shown else Problem(path, message)


def is_noise(error: ErrorDetails) -> bool:
    """Pydantic counts only valid entries: a list of one wrong entry is not "too short"."""
    if error["type"] != "too_short":
        return False
    return len(error["input"]) >= int(error["ctx"]["min_length"])


def _confidential(value: object) -> bool:
    text = str(value)
    return "PRIVATE KEY" in text or ("://" in text and "@" in text)


def _shown(error: ErrorDetails, kind: str) -> Any:
    return None if kind in {"missing", "extra_forbidden", "invalid_key"} else error["input"]


def _folded(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def _missing(_error: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    field = field_at(model, location)
    description = field.description if field else None
    return "is missing; add it" + (f" ({description.rstrip('.')})" if description else "")


def _extra(_error: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    parent = model_at(model, location[:-1])
    return unknown_key(str(location[-1]), fields_of(parent) if parent else ())


def _text(error: ErrorDetails, _location: Location, _model: type[BaseModel]) -> str:
    value = error["input"]
    if isinstance(value, bool):
        return f'is not text; put it in quotes: "{str(value).lower()}"'
    if isinstance(value, int | float):
        return f'is a number and must be text; put it in quotes: "{value}"'
    return "must be text, one value only"


def _choice(error: ErrorDetails, location: Location, _model: type[BaseModel]) -> str:
    expected = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    name = next((part for part in reversed(location) if isinstance(part, str)), "value")
    message = f"is not allowed here; {name} must be one of: {', '.join(expected)}"
    meant = nearest(str(error["input"]), expected)
    return f"{message} (did you mean {meant}?)" if meant else message


def _own(error: ErrorDetails, _location: Location, _model: type[BaseModel]) -> str:
    return str(error["ctx"]["error"])


def _limit(text: str, key: str) -> Callable[[ErrorDetails, Location, type[BaseModel]], str]:
    def sentence(error: ErrorDetails, _location: Location, _model: type[BaseModel]) -> str:
        return text.format(error["ctx"][key])

    return sentence


def _always(text: str) -> Callable[[ErrorDetails, Location, type[BaseModel]], str]:
    def sentence(_error: ErrorDetails, _location: Location, _model: type[BaseModel]) -> str:
        return text

    return sentence


def _fallback(error: ErrorDetails, _location: Location, _model: type[BaseModel]) -> str:
    message = error["msg"]
    return f"is refused: {message[:1].lower()}{message[1:]}; see {REFERENCE}"


_WHOLE = _always("is not a number; write a whole number without quotes")
_MAP = _always("must be a map: keys with values, indented below it")
_LIST = _always("must be a list: one entry per line, each begins with -")
_SENTENCES: dict[str, Callable[[ErrorDetails, Location, type[BaseModel]], str]] = {
    "missing": _missing,
    "extra_forbidden": _extra,
    "invalid_key": _always("is a key that is not text; put it in quotes"),
    "string_type": _text,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "finite_number": _WHOLE,
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "dict_type": _MAP,
    "mapping_type": _MAP,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "enum": _choice,
    "literal_error": _choice,
    "greater_than_equal": _limit("is too small; the least is {}", "ge"),
    "less_than_equal": _limit("is too large; the most is {}", "le"),
    "too_short": _limit("has too few entries; give at least {}", "min_length"),
    "string_too_short": _always("is empty; give some text or remove it"),
    "value_error": _own,
}
