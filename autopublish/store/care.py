"""The care of a store: what the first run of a day does, and what a person asks for.

Knows the file and the folder beside it; the moves that deliveries and accounts make are given to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autopublish.disk import sync_names
from autopublish.errors import StoreBusy, StoreError, StoreLost
from autopublish.models import Delivery, Standing
from autopublish.store import _copies, _lock
from autopublish.store._sqlite import Database
from autopublish.store._statements import newest_version
from autopublish.store._store import Store, open_store

#: Bodies are kept for so long.
BODIES = timedelta(days=90)
#: Slimming takes no more of a run.
SLIM_SECONDS = 0.2
#: The days on which the store was last found sound, copied, and told that no copy could be made.
CHECKED, COPIED, _FAILED = "checked", "copied", "copy failed"


# --- once a day ------------------------------------------------------------------------------------------------------


def check_daily(store: Store, now: datetime) -> None:
    """The store was found sound today.

    Raises:
        StoreLost: it is damaged; names the newest copy.
    """
    if found := store.problems():
        raise StoreLost(damaged(store.path, found[0]))
    store.keep_note(CHECKED, day_of(now))


def day_of(now: datetime) -> str:
    """The day for which there is one check and one copy."""
    return now.date().isoformat()


def damaged(path: Path, problem: str) -> str:
    """What is to be done about a damaged store, in words."""
    copies = _copies.kept(path.with_name(f"{path.name}.d"))
    newest = copies[-1] if copies else "FILE` with the newest copy that you have as `FILE"
    return (
        f"the store {path} is damaged ({problem}). Keep the file; `autopublish db restore {newest}` puts a copy in its "
        "place"
    )


def keep_daily(store: Store, now: datetime) -> str | None:
    """The day has its copy, old ones are gone, and old bodies with them; gives what a person must know, once a day.

    Never raises: what was sent is sent, whatever the disk says afterwards.
    """
    day = day_of(now)
    try:
        target = _copies.daily(store.folder, now.date())
        _copy_once(store.path, target)
        store.keep_note(COPIED, day)
        _copies.forget_old(store.folder)
    except (StoreError, OSError) as error:
        return _told_once(store, day, f"today's copy of the store was not kept: {error}")
    with suppress(StoreError):  # tomorrow is early enough
        _lock.living(store.folder)  # those who look remove the files of the dead
        store.slim(now - BODIES, SLIM_SECONDS)
    return None


def _copy_once(path: Path, target: Path) -> None:
    """The copy is there, made by us or by a process beside us."""
    if target.exists():
        return
    try:
        _copies.copy(path, target)
    except StoreError:
        if not target.exists():
            raise


def newest_copy(folder: Path) -> datetime | None:
    """When the newest daily copy in the store's folder was made; None: there is none."""
    copies = _copies.kept(folder)
    try:
        return datetime.fromtimestamp(copies[-1].stat().st_mtime, UTC) if copies else None
    except OSError:
        return None


def _told_once(store: Store, day: str, words: str) -> str | None:
    with suppress(StoreError):
        if store.note(_FAILED) == day:
            return None
        store.keep_note(_FAILED, day)
    return words


# --- by a person -----------------------------------------------------------------------------------------------------


def backup(path: Path, target: Path, *, replacing: bool = False) -> int:
    """A whole copy of the store is at `target`; gives its size in bytes. Others may work on the store meanwhile.

    Raises:
        StoreError: it cannot be made; the store is as it was.
    """
    return _copies.copy(path, target, replacing=replacing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a look into every corner of a store found."""

    #: In words; empty if it is sound.
    problems: tuple[str, ...]
    #: How much there is of what.
    counts: Mapping[str, int]


#: What no store holds, by the statement that counts it.
_NEVER = {
    "check_deliveries": "deliveries belong to no article",
    "check_attempts": "attempts belong to no delivery",
    "check_aliases": "names of articles lead nowhere",
    "check_frozen": "deliveries need the bytes of an attempt that is missing",
    "check_sending": "deliveries are in the middle of a call of which no attempt tells",
}


def check(path: Path) -> Health:
    """What is wrong with the store; nothing is written.

    Raises:
        StoreError: there is none, or it cannot be opened at all.
    """
    if not path.is_file():
        raise StoreError(f"there is no store at {path} yet: `autopublish run` makes it")
    with closing(Database(path, read_only=True)) as database:
        problems = database.problems("integrity_check")
        if problems:
            # Nothing that a damaged file says of its content can be relied on.
            return Health(problems=problems, counts={})
    with closing(open_store(f"sqlite:///{path}", read_only=True)) as store:
        found = store.tally([*_NEVER, "care_counts"])
    wrong = [f"{found[name]['n']} {words}" for name, words in _NEVER.items() if found[name]["n"]]
    return Health(problems=tuple(wrong), counts=found["care_counts"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What putting a copy back left."""

    #: Where the file lies that was the store until now; None: there was none.
    kept: Path | None
    #: Why the store is in SAFE_MODE now.
    why: str


def restore(
    path: Path,
    copy: Path,
    now: datetime,
    *,
    who: str,
    doubted: Callable[[Delivery, datetime], Delivery | None],
    stopped: Callable[[Standing, str], Standing],
) -> Restored:
    """The copy is the store, in SAFE_MODE; what was the store lies beside it under another name.

    Raises:
        StoreError: the copy is no store, is damaged or of a newer version, or something works on the store; all is as
            it was.
    """
    folder = path.with_name(f"{path.name}.d")
    _demand_good(copy)
    if copy.exists() and path.exists() and copy.samefile(path):
        raise StoreError(f"{copy} is the store itself: name a copy")
    path.parent.mkdir(parents=True, exist_ok=True)
    why = f"{copy.name}, a copy, was put back by {who}; what was posted since it was made is not known here"
    new = path.with_name(f"{path.name}.new")
    with ExitStack() as locks:
        _hold_all(locks, folder, now)
        _copies.copy(copy, new, replacing=True)
        try:
            kept = _put_aside(path, now)
            new.replace(path)
            sync_names(path.parent)
        except OSError as error:
            words = f"{copy} cannot be put in the place of {path}: {error.strerror}"
            raise StoreError(f"{words}. What is not there lies beside it as {path.name}.replaced-…") from error
        finally:
            new.unlink(missing_ok=True)
        # Who dies before this is found out by the marker.
        with closing(open_store(f"sqlite:///{path}")) as store:
            store.distrust(why, now, doubted=doubted, stopped=stopped)
    return Restored(kept=kept, why=why)


def _demand_good(copy: Path) -> None:
    if not copy.is_file():
        raise StoreError(f"there is no file {copy}")
    with closing(Database(copy, read_only=True)) as database:
        version = database.version()
        problems = database.problems("integrity_check")
    if version == 0:
        raise StoreError(f"{copy} is not a store of autopublish. Nothing was changed")
    if version > newest_version():
        raise StoreError(f"{copy} was made by a newer version of autopublish: install that. Nothing was changed")
    if problems:
        raise StoreError(f"{copy} is damaged ({problems[0]}): take an older copy. Nothing was changed")


def _hold_all(locks: ExitStack, folder: Path, now: datetime) -> None:
    """Nothing works on the store, and nothing begins to."""
    try:
        locks.enter_context(_lock.hold(folder, now))
        locks.enter_context(_lock.hold(folder, now, name="daemon", busy="a daemon is at work"))
    except StoreBusy as error:
        raise StoreError(f"{error}: end it first. Nothing was changed") from error
    if at_work := _lock.living(folder):
        raise StoreError(f"the store is in use ({'; '.join(at_work)}): end that first. Nothing was changed")


def _put_aside(path: Path, now: datetime) -> Path | None:
    """The store's files have names of another time; a log that was left belongs to its file and to no other."""
    if not path.exists():
        for end in ("-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = path.with_name(f"{path.name}.replaced-{now:%Y%m%dT%H%M%S}Z")
    if kept.exists():
        raise StoreError(f"{kept} is there already: try again in a second. Nothing was changed")
    # The log first: a log beside another file would be taken for that file's.
    if (log := Path(f"{path}-wal")).exists():
        log.replace(f"{kept}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    path.replace(kept)
    return kept


def form_of(path: Path) -> int:
    """The number of the last migration of a store.

    Raises:
        StoreError: there is none, or it cannot be opened.
    """
    if not path.is_file():
        raise StoreError(f"there is no store at {path} yet: `autopublish run` makes it")
    with closing(Database(path, read_only=True)) as database:
        return database.version()
