"""The marker beside the store: by it a store that was deleted, put back from a copy, or cloned is recognised.

Store and marker count the same generation, which rises before anything is written that may lead to a post. The marker
goes first, and says so: a crash between the two leaves it one ahead, and that is no reason for doubt.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from autopublish.disk import sync_names
from autopublish.errors import StoreError

#: Names this copy of the program where the machine's own id does not: in containers.
INSTANCE = "AUTOPUBLISH_INSTANCE"
#: Source: https://www.freedesktop.org/software/systemd/man/latest/machine-id.html
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """How far a store has come, and where it is at work."""

    generation: int
    #: Empty where nothing tells one machine from another.
    instance: str
    #: Written before the store took this generation over.
    is_ahead: bool = False


#: Stands for a marker that is there and cannot be read: it fits no store.
UNREADABLE = Marker(generation=-1, instance="")


def instance_id() -> str:
    """What tells this machine, or this copy of the program, from others; empty if nothing does.

    Digested: the machine's own id is nobody else's business.
    """
    given = os.environ.get(INSTANCE, "").strip()
    if not given:
        try:
            given = MACHINE_ID.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""
    return hashlib.sha256(f"autopublish {given}".encode()).hexdigest()[:16] if given else ""


def read(folder: Path) -> Marker | None:
    """The marker in the folder beside the store; None if there is none.

    Raises:
        StoreError: it may not be read.
    """
    path = folder / "marker"
    try:
        raw = json.loads(path.read_bytes())
        return Marker(
            generation=int(raw["generation"]), instance=str(raw["instance"]), is_ahead=raw["is_ahead"] is True
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"the marker {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError):
        return UNREADABLE


def write(folder: Path, marker: Marker) -> None:
    """The marker is in the folder; one that goes ahead of its store outlives a power loss, too.

    Raises:
        StoreError: it cannot be written; the one before is still there.
    """
    path = folder / "marker"
    text = json.dumps({"generation": marker.generation, "instance": marker.instance, "is_ahead": marker.is_ahead})
    # A name of its own: two processes may write at the same moment.
    new = folder / f"marker.{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        with new.open("w", encoding="ascii") as file:
            file.write(text + "\n")
            if marker.is_ahead:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
        if marker.is_ahead:
            sync_names(folder)
    except OSError as error:
        raise StoreError(f"the marker {path} cannot be written: {error.strerror}. Nothing was sent") from error


def doubt(marker: Marker | None, stored: Marker | None, instance: str) -> str | None:
    """Why the store may not know what was posted last, in words; None: it does.

    `stored` is what the store itself holds, None for a new one; `instance` names where we are.
    """
    if stored is None:
        # A first start that was broken off between the two.
        is_first = marker is None or (marker.is_ahead and marker.generation == 1)
        return None if is_first else "the store is new, but one was at work here before: it was deleted or moved away"
    if marker is None or marker == UNREADABLE:
        return "the marker beside the store is missing or broken: the store may be a copy that was put back"
    if instance and any(one.instance not in ("", instance) for one in (marker, stored)):
        return "the store was at work on another machine before: it may still be at work there"
    ahead = marker.generation - stored.generation
    if ahead == 0 or (ahead == 1 and marker.is_ahead):
        return None
    if ahead > 0:
        return "the store is older than the marker beside it: an older copy was put back"
    return "the store is newer than the marker beside it: they are copies that were put back"
