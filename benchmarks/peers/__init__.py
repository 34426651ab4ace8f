"""Programs of other people that do a part of the same work, each in an environment of its own, at pinned versions.

A module is a peer: it names what pip installs and how the program is set up. README.md has those that could not be run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.contestants import Peer
from benchmarks.program import environment

#: The names that `--peers` takes.
PEERS = tuple(sorted(module.name for module in iter_modules(__path__)))


def installed(names: Sequence[str], cache: Path, *, say: Callable[[str], None]) -> tuple[Peer, ...]:
    """The peers of these names, installed."""
    found = []
    for name in names:
        kind: type[Peer] = import_module(f"{__name__}.{name}").Program
        say(f"{name}: {', '.join(kind.requirements)}")
        found.append(kind(environment(cache / "peers" / name, *kind.requirements)))
    return tuple(found)
