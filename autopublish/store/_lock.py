"""The locks beside the store, which the kernel frees when their holder dies: of the run, the daemon, each process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from autopublish.errors import StoreBusy, StoreError

#: Owners' files are told from the other locks by the length of their names.
_OWNER_LENGTH = 16


@contextmanager
def hold(folder: Path, since: datetime, *, name: str = "run", busy: str = "another run is at work") -> Iterator[None]:
    """Hold the lock of this name in `folder`.

    Raises:
        StoreBusy: another process holds it; the text is `busy` with its id and since when.
    """
    path = folder / f"{name}.lock"
    handle = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "just starting"
            raise StoreBusy(f"{busy} ({holder})") from None
        os.ftruncate(handle, 0)
        os.write(handle, _words(since).encode())
        yield
        # The file stays: removing it would let two processes lock two files of one name.
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextmanager
def be_owner(folder: Path, kind: str, since: datetime) -> Iterator[str]:
    """A name that leases may bear: its file in `folder` is locked as long as this process lives and this lasts.

    `kind` is what others are told that the process is.
    """
    while True:
        owner = secrets.token_hex(_OWNER_LENGTH // 2)
        path = _file_of(folder, owner)
        handle = _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            if not _is_ours(handle, path):
                continue
            os.write(handle, f"{kind}, {_words(since)}".encode())
            try:
                yield owner
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


def _is_ours(handle: int, path: Path) -> bool:
    """Whether the fresh file is locked now; who looked in between may have taken it for that of a dead process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def holder_of(folder: Path, owner: str) -> str | None:
    """What the living process says of itself that bears this name; None: it is dead, and its file is gone.

    The lock is asked for as one of many readers, so that two who look at once do not take each other for the owner.
    """
    path = _file_of(folder, owner)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            path.unlink()
    except BlockingIOError:
        return os.read(handle, 200).decode(errors="replace").strip() or "a process that just starts"
    finally:
        os.close(handle)
    return None


def living(folder: Path) -> tuple[str, ...]:
    """What the processes that work on the store say of themselves; the files of dead ones are gone."""
    names = sorted(path.stem for path in folder.glob("*.lock") if len(path.stem) == _OWNER_LENGTH)
    return tuple(words for name in names if (words := holder_of(folder, name)) is not None)


def _file_of(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.lock"


def _opened(path: Path, flags: int) -> int:
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be made: {error.strerror}") from error


def _words(since: datetime) -> str:
    return f"pid {os.getpid()}, since {since:%Y-%m-%d %H:%M:%S} UTC"
