"""The locks beside the store, which the kernel frees when their holder dies: of the run, the daemon, each process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autopublish.errors import AutopublishError, StoreBusy, StoreError

#: Owners' files are told from the other locks by the length of their names.
_OWNER_LENGTH = 16
_SINCE = re.compile(r"since (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) UTC")
#: What ends a holder in order: what is raised on purpose, and what somebody asked for.
_IN_ORDER = (AutopublishError, KeyboardInterrupt, SystemExit)


@dataclass(slots=True)
class Hold:
    """A lock that is held."""

    handle: int
    #: When the holder before began, if it did not end in order.
    fallen: datetime | None
    #: Whoever holds it next is to know that this holder did not end in order, although it could give the lock back.
    falls: bool = False

    def end(self) -> None:
        """The holder has ended in order."""
        # The file stays: removing it would let two processes lock two files of one name.
        if not self.falls:
            os.ftruncate(self.handle, 0)


@contextmanager
def hold(folder: Path, since: datetime, *, name: str = "run", busy: str = "another run is at work") -> Iterator[Hold]:
    """Hold the lock of this name in `folder`.

    Its file keeps the holder's words if that is killed, or ends by an error that nobody expected.

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
        words = os.pread(handle, 200, 0).decode(errors="replace")
        held = Hold(handle=handle, fallen=_fallen(words, since))
        os.ftruncate(handle, 0)
        os.write(handle, _words(since).encode())
        try:
            yield held
        except _IN_ORDER:
            held.end()
            raise
        held.end()
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


def _fallen(words: str, now: datetime) -> datetime | None:
    """When the holder began that left these words; now if they do not say it, None if there are none."""
    if not words.strip():
        return None
    said = _SINCE.search(words)
    return datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if said else now


def _words(since: datetime) -> str:
    return f"pid {os.getpid()}, since {since:%Y-%m-%d %H:%M:%S} UTC"
