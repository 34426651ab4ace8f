"""The disk, beyond a write: that the names of files outlive a power loss. Knows no folder's meaning."""

from __future__ import annotations

import os
from pathlib import Path


def sync_names(folder: Path) -> None:
    """The names of the folder's files are durable.

    Raises:
        OSError: the folder cannot be opened or written.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
