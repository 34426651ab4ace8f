"""The disk, beyond a write: names of files that outlive a power loss, and how much fits. Knows no folder's meaning."""

from __future__ import annotations

import os
from pathlib import Path

#: With less than this nothing is to be begun that must be written down: a picture takes up to 10 MB on its way.
LITTLE_BYTES = 100_000_000


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


def free_bytes(folder: Path) -> int | None:
    """So many bytes this user may still write on the disk of the folder; None: it does not say."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    # Some file systems of networks have no size at all: https://man7.org/linux/man-pages/man3/statvfs.3.html
    return disk.f_bavail * disk.f_frsize if disk.f_blocks else None
