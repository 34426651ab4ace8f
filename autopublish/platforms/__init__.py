"""Platforms by name: one module each, found by its file; outside packages by entry point.

A module loads only when an account uses it. An outside package names its class under the entry point group
`autopublish.platforms`; a module of our own wins over an entry point of the same name.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import ModuleType

    from autopublish.platforms._base import Platform

#: Where outside packages name their platforms.
GROUP = "autopublish.platforms"


def available() -> tuple[str, ...]:
    """The names that users may write under `platform:`, sorted; no platform is imported for it."""
    return tuple(sorted({*_modules(), *_outside()}))


def load(name: str) -> type[Platform]:
    """The platform's class, with its `name` set.

    Raises:
        LookupError: no platform has this name; the text holds the nearest ones.
        ImportError: it does not load, whatever an outside package raises then.
    """
    if name in _modules():
        found = _class_in(import_module(f"{__name__}.{name}"))
    elif name in (outside := _outside()):
        found = _class_of(outside[name])
    else:
        raise LookupError(_unknown(name))
    found.name = name
    return found


def _modules() -> frozenset[str]:
    return frozenset(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def _outside() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _class_in(module: ModuleType) -> type[Platform]:
    """The one platform that the module itself defines."""
    from autopublish.platforms._base import Platform

    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Platform) and member.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise LookupError(f"{module.__name__} must define one platform and defines {len(classes)}")
    return classes[0]


def _class_of(point: EntryPoint) -> type[Platform]:
    from autopublish.platforms._base import Platform

    try:
        found = point.load()
    except ImportError:
        raise
    except Exception as error:  # whatever the package of somebody else does while it is loaded
        raise ImportError(f"{point.value} failed with {type(error).__name__}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Platform)):
        raise LookupError(f"the entry point {point.name} = {point.value} does not name a platform's class")
    return found


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    names = available()
    near = get_close_matches(name.lower(), names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    return f"no platform is called {name!r}; {hint}"
