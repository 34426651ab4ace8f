"""How adapters read JSON that others wrote: what is not of the kind that is expected reads as absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autopublish.errors import OutcomeUnknown
from autopublish.platforms._http import Answer


def value_of(answer: Answer) -> object:
    """What the body holds; None if that is no JSON."""
    try:
        value: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return value


def object_of(answer: Answer) -> Mapping[str, Any]:
    """The JSON object that the body holds; an empty one if it holds none."""
    try:
        return answer.json()
    except OutcomeUnknown:
        return {}


def mapping_of(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_in(values: Mapping[str, Any], name: str) -> str:
    """The text of this name; an empty one if there is none."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def whole_of(value: object) -> int | None:
    """The value if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
