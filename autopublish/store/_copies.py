"""Copies of a store's file: whole, checked and durable, made while others write.

SQLite only. A copy has its name only when it is whole; one that cannot be finished leaves nothing.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

from autopublish.disk import sync_names
from autopublish.errors import StoreError

#: So many pages go at a time; others may work in between.
PAGES_AT_A_TIME = 1000
#: So many days have a copy of their own.
KEEP = 7
_DAY_SECONDS = 86_400
_DAILY = re.compile(r"\d{4}-\d\d-\d\d\.db")
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def copy(source: Path, target: Path, *, replacing: bool = False) -> int:
    """The file at `target` is a whole copy of the store, readable by its owner alone; gives its size in bytes.

    Raises:
        StoreError: there is a file already and `replacing` does not allow that, the disk is full, or the store is
            damaged; nothing is left at `target` that was not there before.
    """
    if target.exists() and not replacing:
        raise StoreError(f"there is a file {target} already: name another one, or say --force")
    if not source.is_file():
        raise StoreError(f"there is no store at {source}")
    if replacing and target.exists() and target.samefile(source):
        raise StoreError(f"{target} is the store itself: name another file")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _fill(source, part)
        _name(part, target, replacing=replacing)
        return target.stat().st_size
    except OSError as error:
        raise StoreError(_in_words(error, source, target)) from error
    except sqlite3.Error as error:
        raise StoreError(_in_sqlites_words(error, source, target)) from error
    finally:
        for leftover in (part, Path(f"{part}-journal"), Path(f"{part}-wal"), Path(f"{part}-shm")):
            leftover.unlink(missing_ok=True)


def _fill(source: Path, part: Path) -> None:
    with closing(sqlite3.connect(part)) as copied:
        with closing(sqlite3.connect(source, isolation_level=None, timeout=10)) as store:
            # What is read stays the same until the end: with others at work it would begin anew and anew.
            store.execute("BEGIN")
            (pages,) = store.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = store.execute("PRAGMA page_size").fetchone()
            store.execute("SELECT 1 FROM sqlite_master").fetchone()
            if (free := shutil.disk_usage(part.parent).free) < pages * page_bytes:
                raise OSError(errno.ENOSPC, f"the copy needs {pages * page_bytes} bytes, {free} are free")
            store.backup(copied, pages=PAGES_AT_A_TIME)
        copied.execute("PRAGMA journal_mode=DELETE")
        if problems := problems_in(copied, "quick_check"):
            raise sqlite3.DatabaseError(f"the copy is damaged, and so may the store be: {problems[0]}")
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _name(part: Path, target: Path, *, replacing: bool) -> None:
    if replacing:
        part.replace(target)
    else:
        # Unlike a rename it does not take the place of a file that was made meanwhile.
        os.link(part, target)
    sync_names(target.parent)


def _in_words(error: OSError, source: Path, target: Path) -> str:
    if isinstance(error, FileExistsError):
        return f"there is a file {target} already: name another one, or say --force"
    if error.errno in _FULL:
        said = error.strerror or ""
        size = said if said.startswith("the copy") else f"the copy needs about {_size_of(source)} bytes"
        return f"the disk that holds {target} is too full for a copy of {source}: {size}. The store is as it was"
    return f"the copy {target} cannot be made: {error.strerror}: {error.filename or target.parent}"


def _in_sqlites_words(error: sqlite3.Error, source: Path, target: Path) -> str:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return (
            f"the disk that holds {target} is full or failed: a copy of {source} needs about {_size_of(source)} bytes. "
            "The store is as it was"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"{source} is damaged, or no store: no copy was made, and `autopublish db check` says more"
    return f"the store {source} cannot be copied: {error}"


def _size_of(path: Path) -> int:
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def problems_in(connection: sqlite3.Connection, pragma: str) -> list[str]:
    """What SQLite finds wrong with the file by `quick_check` or `integrity_check`; empty if it is sound."""
    found = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}(20)")]
    return [] if found == ["ok"] else [line for text in found for line in text.splitlines()]


def daily(folder: Path, day: date) -> Path:
    """Where the copy of a day lies, beside the store."""
    return folder / "copies" / f"{day.isoformat()}.db"


def kept(folder: Path) -> tuple[Path, ...]:
    """The daily copies that there are, the oldest first."""
    return tuple(sorted(path for path in (folder / "copies").glob("*.db") if _DAILY.fullmatch(path.name)))


def forget_old(folder: Path) -> None:
    """No more than the newest daily copies are there, nor what a process left that died while it made one.

    What a person put beside them stays.
    """
    for path in kept(folder)[:-KEEP]:
        path.unlink(missing_ok=True)
    for part in (folder / "copies").glob(".*.part*"):
        # Somebody may be at work on one, but not for a day.
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _DAY_SECONDS:
                part.unlink()
