"""The JSON Schema of the file, from which editors complete and check: made of the models and their comments.

It accepts whatever the program accepts, since an editor reads `no`, `2026` and `12:30` in its own way, and refuses what
a pattern can tell to be wrong. What hangs on other parts of the file (is there such a feed?) only the program knows.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import AnyUrl, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from autopublish import platforms
from autopublish.config._report import models_in
from autopublish.config._schema import NAME_FORM, AccountKeys, AlertKeys, FeedKeys, TopKeys
from autopublish.config._secrets import REFERENCE
from autopublish.models import FirstRunRule, RateWindow

#: What an editor may take a plain text for.
_SCALAR = ["string", "number", "boolean"]
_YES_OR_NO = "^(?:[Yy]([Ee][Ss])?|[Nn][Oo]?|[Oo][Nn]|[Oo][Ff][Ff]|[Tt]([Rr][Uu][Ee])?|[Ff]([Aa][Ll][Ss][Ee])?|[01])$"
_WHOLE = r"^\s*[+-]?\d+(?:_\d+)*(?:\.0*)?\s*$"
_NUMBER = r"^\s*[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1)}


def file_schema() -> dict[str, Any]:
    """The schema of a whole file, with the keys of each platform that loads."""
    found = {name: found for name in platforms.available() if (found := _settings_of(name)) is not None}
    definitions: dict[str, Any] = {"secret": _secret()}
    top = _model(TopKeys, "", definitions)
    definitions["feed"] = _model(FeedKeys, "", definitions)
    definitions["alerts"] = _model(AlertKeys, "alerts.", definitions)
    definitions["keys"] = _model(AccountKeys, "", definitions)
    for name, settings in found.items():
        definitions[f"account.{name}"] = _account(name, settings, definitions)
    return {
        "$schema": _DIALECT,
        "title": "The configuration of autopublish",
        "type": "object",
        "properties": {
            **top["properties"],
            "feeds": _named("feed", "Each feed has a name of your own: letters, digits, - and _."),
            "defaults": {
                "description": "What accounts share: any key of an account but those of its platform.",
                "type": ["object", "null"],
                "properties": _common(),
                "additionalProperties": False,
            },
            "accounts": _named("account", "Each account has a name of your own: letters, digits, - and _."),
            "alerts": {
                "description": "Who hears of it when the program cannot do its work; the first channel is tried first.",
                "anyOf": [{"$ref": "#/$defs/alerts"}, {"type": "null"}],
            },
        },
        "required": ["feeds", "accounts"],
        "additionalProperties": False,
        "$defs": {**definitions, "account": _any_account(tuple(found))},
    }


def _settings_of(name: str) -> type[BaseModel] | None:
    """The platform's own keys; None if it does not load, which `config check` tells where it matters."""
    try:
        return platforms.load(name).Settings
    except (ImportError, LookupError):
        return None


# --- parts -----------------------------------------------------------------------------------------------------------


def _named(definition: str, words: str) -> dict[str, Any]:
    return {
        "description": words,
        "type": "object",
        "minProperties": 1,
        "propertyNames": NAME_FORM,
        "additionalProperties": {"$ref": f"#/$defs/{definition}"},
    }


def _any_account(names: tuple[str, ...]) -> dict[str, Any]:
    """An account; its `platform` says which other keys it has."""
    return {
        "type": "object",
        "properties": {
            "platform": {"description": "The network; `autopublish platforms` lists them.", "enum": [*names]}
        },
        "required": ["platform"],
        "allOf": [
            {
                "if": {"properties": {"platform": {"const": name}}, "required": ["platform"]},
                "then": {"$ref": f"#/$defs/account.{name}"},
            }
            for name in names
        ],
    }


def _common() -> dict[str, Any]:
    """The keys of every account."""
    return {key: {"$ref": f"#/$defs/keys/properties/{key}"} for key in AccountKeys.model_fields}


def _account(name: str, settings: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """An account of one platform: its own keys and those of every account."""
    own = _model(settings, f"{name}.", definitions)
    module = sys.modules[platforms.load(name).__module__]
    page = (inspect.getdoc(module) or name).partition("\n")[0]
    return {
        "description": f"{page} `autopublish platforms {name}` tells more.",
        "type": "object",
        "properties": {"platform": {"description": page, "const": name}, **own.get("properties", {}), **_common()},
        "required": ["platform", *own.get("required", ())],
        "additionalProperties": False,
    }


def _secret() -> dict[str, Any]:
    return {
        "description": "Where the secret is, never the secret itself: env:NAME, file:PATH or credential:NAME.",
        "type": "string",
        "pattern": f"^(?:{REFERENCE})$",
        "examples": ["env:X_TOKEN", "file:/run/secrets/x_token", "credential:x_token"],
    }


def _model(model: type[BaseModel], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A model's schema; the models in it go to `definitions`, under names that begin with `prefix`."""
    made = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}", schema_generator=_Generator)
    inner = made.pop("$defs", {})
    inner_models = {one.__name__: one for one in _models_below(model)}
    for name, one in inner.items():
        definitions[f"{prefix}{name}"] = _told(_plain(one), inner_models.get(name))
    return _told(_plain(made), model)


def _models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that a model's keys hold, however deep."""
    found = [one for field in model.model_fields.values() for one in models_in(field.annotation)]
    return [*found, *(below for one in found for below in _models_below(one))]


def _told(schema: dict[str, Any], model: type[BaseModel] | None) -> dict[str, Any]:
    """The schema with what the comments in the code say of each key."""
    if model is None:
        return schema
    words = comments(model)
    for name, field in model.model_fields.items():
        own = schema["properties"][field.alias or name]
        if name in words:
            own.setdefault("description", words[name])
    return schema


def _plain(value: Any) -> Any:
    """The schema without titles that only repeat a name, and with references in the place of secrets."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "password":
        return {"$ref": "#/$defs/secret"}
    return {key: _plain(part) for key, part in value.items() if key != "title" or not isinstance(part, str)}


def comments(model: type[BaseModel]) -> dict[str, str]:
    """What the `#:` comments above the keys of a model say; nothing where there is no source to read."""
    found: dict[str, str] = {}
    for one in reversed([one for one in model.__mro__ if issubclass(one, BaseModel) and one is not BaseModel]):
        try:
            found |= _comments_in(one)
        except (OSError, TypeError):
            continue
    return found


@cache  # each platform's settings have the same bases, and to find the source of one takes 10 ms
def _comments_in(model: type[BaseModel]) -> Mapping[str, str]:
    """What the `#:` comments in the source of this one model say, without those of its bases.

    Raises:
        OSError: there is no source to read.
        TypeError: the model was not read from a file.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    for line in inspect.getsource(model).splitlines():
        if comment := re.match(r"\s*#: (.+)", line):
            words.append(comment[1])
            continue
        if words and (key := re.match(r"\s*(\w+):", line)):
            found[key[1]] = " ".join(words)
        words = []
    return found


# --- values ----------------------------------------------------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    """pydantic's generator, for values that are text in the file whatever an editor takes them for."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """Never: it would only repeat the key."""
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Text, which an editor may take for a number or a truth value."""
        return {**super().str_schema(schema), "type": _SCALAR}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """Yes or no, in all the words that are understood."""
        return {"anyOf": [{"enum": [True, False, 0, 1, "yes", "no"]}, {"type": "string", "pattern": _YES_OR_NO}]}

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """A whole number, in quotes or not."""
        return {"anyOf": [super().int_schema(schema), {"type": "string", "pattern": _WHOLE}]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number, in quotes or not."""
        return {"anyOf": [super().float_schema(schema), {"type": "string", "pattern": _NUMBER}]}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """As if it were never nothing: a key without a value is refused."""
        return self.generate_inner(schema["schema"])

    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        """Anything: what a platform checks by a function of its own, an editor cannot."""
        return {}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """With the default as one would write it, if one can."""
        inner = self.generate_inner(schema["schema"])
        default = written(schema.get("default"))
        return inner if default is None else {**inner, "default": default}


def written(value: object) -> object:
    """A default as it stands in a file; None if it is not to be written."""
    match value:
        case timedelta():
            return _duration(value)
        case RateWindow():
            return f"{value.count}/{_duration(value.period)}".replace("/1h", "/hour")
        case FirstRunRule():
            return value.kind.value
        case Enum():
            return value.value
        case tuple():
            return [written(part) for part in value] or None
        case str() | bool() | int() | float():
            return value
        case Decimal():
            return float(value)
        case AnyUrl() | Path():
            return str(value)
        case _:
            return None


def _duration(value: timedelta) -> str:
    """A time with the largest unit that gives a whole number."""
    for unit, length in _UNITS.items():
        if value >= length and not value % length:
            return f"{value // length}{unit}"
    return f"{value.total_seconds():g}s"
