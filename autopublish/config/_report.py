"""All problems of a file together: pydantic's errors in our words, each with the place of its value.

A value is never shown, since it may be a secret that stands where a reference belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autopublish.config._schema import Context, suggest
from autopublish.config._yaml import Node, Place
from autopublish.errors import Problem

Model = TypeVar("Model", bound=BaseModel)
#: Keys and positions on the way to a value.
Path = tuple[str | int, ...]


class Report:
    """Collects what is wrong with one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.warnings: list[Problem] = []
        #: By place and key, so that one mistake is told once.
        self._problems: dict[tuple[Place | None, str], Problem] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In the order of the file."""
        return tuple(sorted(self._problems.values(), key=lambda each: (each.line or 0, each.column or 0)))

    def add(self, place: Place | None, path: Path, message: str) -> None:
        """One more problem; a second one with the same place and key is dropped."""
        self._problems.setdefault((place, key_of(path)), self._problem(place, path, message))

    def warn(self, place: Place | None, path: Path, message: str) -> None:
        """One more thing that a person should know, and that stops nothing."""
        self.warnings.append(self._problem(place, path, message))

    def validate(self, model: type[Model], node: Node, path: Path, context: Context) -> Model | None:
        """The model of `node`, which stands at `path`; None if problems were added."""
        try:
            return model.model_validate(node.plain(), context=context)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                self._add_details(model, node, path, details)
            return None

    def _add_details(self, model: type[BaseModel], node: Node, path: Path, details: ErrorDetails) -> None:
        """One error of pydantic as a problem."""
        loc = details["loc"]
        found = node.find(loc)
        if details["type"] == "extra_forbidden":
            self.add(found.key, path + loc, unknown_key(str(loc[-1]), _keys_at(model, loc[:-1])))
        elif details["type"] == "missing":
            self.add(node.find(loc[:-1]).key or found.place, path + loc, "this key is required")
        else:
            self.add(found.place, path + node.steps(loc), _words(details))

    def _problem(self, place: Place | None, path: Path, message: str) -> Problem:
        line, column = (place.line, place.column) if place else (None, None)
        return Problem(file=self.file, line=line, column=column, key=key_of(path), message=message)


def key_of(path: Path) -> str:
    """The keys on the path, as `accounts.x.feeds`; positions in lists are left to the line and column."""
    return ".".join(step for step in path if isinstance(step, str))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that nothing knows."""
    return f"unknown key; {suggest(key, known)}"


#: pydantic's types of errors and our words; `{ge}` and its like are filled in.
_WORDS: Mapping[str, str] = {
    "int_parsing": "expected a whole number, such as 3",
    "int_type": "expected a whole number, such as 3",
    "int_parsing_size": "expected a smaller number",
    "int_from_float": "expected a whole number, such as 3",
    "float_parsing": "expected a number, such as 1.5",
    "float_type": "expected a number, such as 1.5",
    "bool_parsing": "expected yes or no",
    "bool_type": "expected yes or no",
    "string_type": "expected one text, found a list or keys; put it in quotes if it has brackets or a colon",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "list_type": "expected a list, such as [one, two]",
    "tuple_type": "expected a list, such as [one, two]",
    "set_type": "expected a list, such as [one, two]",
    "dict_type": "expected keys with values below it",
    "model_type": "expected keys with values below it",
    "model_attributes_type": "expected keys with values below it",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} values",
    "too_long": "expected at most {max_length} values",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
    "url_parsing": "expected an address such as https://example.org/",
    "url_scheme": "expected an address that begins with {expected_schemes}",
    "url_type": "expected an address such as https://example.org/",
    "string_pattern_mismatch": "expected text of the form {pattern}",
}


def _words(details: ErrorDetails) -> str:
    """One error in our words."""
    context = details.get("ctx", {})
    if details["type"] in {"value_error", "assertion_error"}:
        return str(context["error"])
    words = _WORDS.get(details["type"])
    return words.format_map(context) if words else details["msg"][:1].lower() + details["msg"][1:]


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand at `path` of a model."""
    for step in path:
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        inner = next(iter(models_in(fields.get(str(step)))), None)
        model = inner or model
    return keys_of(model)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that the file may have for a model."""
    return [field.alias or name for name, field in model.model_fields.items()]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
