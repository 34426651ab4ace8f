"""The lock beside the store that lets one run at a time work; the kernel frees it when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from autopublish.errors import StoreBusy, StoreError


@contextmanager
def hold(folder: Path, since: datetime) -> Iterator[None]:
    """Hold the run lock in `folder`.

    Raises:
        StoreBusy: another process holds it; the text names its id and since when.
    """
    path = folder / "run.lock"
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "just starting"
            raise StoreBusy(f"another run is at work ({holder})") from None
        os.ftruncate(handle, 0)
        os.write(handle, f"pid {os.getpid()}, since {since:%Y-%m-%d %H:%M:%S} UTC".encode())
        yield
        # The file stays: removing it would let two processes lock two files of one name.
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)
