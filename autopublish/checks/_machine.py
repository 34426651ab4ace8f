"""What is found on this machine: the program, files, store and disks, and the clock beside those of others."""

from __future__ import annotations

import os
import platform as machine
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from autopublish import __version__
from autopublish.checks._findings import Finding, Verdict, ahead, counted
from autopublish.clock import Opinion, judge
from autopublish.config import Config
from autopublish.disk import LITTLE_BYTES
from autopublish.errors import StoreError
from autopublish.models import Feed, Kept, Standing, Stop
from autopublish.store import Count, Store, open_store, path_of

#: A difference worth a person's look; what the program itself bears is far more, see `autopublish.clock`.
CLOCK_TOLERANCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the store knows; nothing where there is none."""

    finding: Finding
    feeds: Mapping[str, Feed]
    standings: Mapping[str, Standing]
    counts: Sequence[Count] = ()
    #: READY deliveries by account whose time has come.
    due: Mapping[str, int] = field(default_factory=dict)
    #: Everything is stopped.
    stop: Stop | None = None
    #: What is kept of logins, sealed, by account.
    kept: Mapping[str, Kept] = field(default_factory=dict)


def program() -> Finding:
    words = f"autopublish {__version__}, Python {machine.python_version()}, {machine.system()} {machine.release()}"
    return Finding(subject="program", words=words)


def files(config: Config) -> Iterable[Finding]:
    """The configuration with its warnings, and the file of secrets that `init` makes beside it."""
    feeds, accounts = len(config.feeds), len(config.accounts)
    words = f"{feeds} feed{'s' * (feeds != 1)}, {accounts} account{'s' * (accounts != 1)}"
    yield Finding(subject="file", name=str(config.path), words=words)
    for warning in config.warnings:
        place = f"{warning.file}:{warning.line}"
        yield Finding(subject="file", name=place, verdict=Verdict.NOTE, words=f"{warning.key}: {warning.message}")
    secrets = config.path.parent / ".env"
    try:
        mode = secrets.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(
            subject="file",
            name=str(secrets),
            verdict=Verdict.NOTE,
            words="others on this machine can read the secrets in it",
            remedy=f"chmod 600 {secrets}",
        )


def remember(config: Config, now: datetime) -> Memory:
    """What the store knows, and how it is."""
    path = path_of(config.store)
    if not path.exists():
        finding = Finding(subject="store", name=str(path), words="not there yet; the first run makes it")
        return Memory(finding=finding, feeds={}, standings={})
    try:
        with closing(open_store(config.store, read_only=True)) as store:
            standings = store.standings()
            return Memory(
                finding=_health(store),
                feeds={feed.settings.name: feed for feed in store.feeds()},
                standings=standings,
                counts=store.counts(),
                due={name: len(store.ready(name, now)) for name in standings},
                stop=store.stop(),
                kept={name: kept for account in config.accounts if (kept := store.kept(name := account.name))},
            )
    except StoreError as error:
        finding = Finding(subject="store", name=str(path), verdict=Verdict.WRONG, words=str(error))
        return Memory(finding=finding, feeds={}, standings={})


def _health(store: Store) -> Finding:
    """The store in short: it was read, and it can be written."""
    closed = [place for place in (store.path, store.path.parent) if not os.access(place, os.W_OK)]
    if closed:
        return Finding(
            subject="store",
            name=str(store.path),
            verdict=Verdict.WRONG,
            words=f"{closed[0]} cannot be written by this user",
            remedy="run autopublish as the user who owns it, or correct its rights",
        )
    articles = store.count_articles()
    return Finding(subject="store", name=str(store.path), words=f"{articles} article{'s' * (articles != 1)} known")


def disks(config: Config) -> Iterable[Finding]:
    """The disks that hold the store and the pictures, each once."""
    path = path_of(config.store)
    devices = set()
    for place in (path.parent, path.with_name(f"{path.name}.d") / "pictures"):
        there = next(folder for folder in (place, *place.parents) if folder.is_dir())
        if (device := there.stat().st_dev) not in devices:
            devices.add(device)
            yield _disk(there)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK | os.X_OK):
        words, remedy = "this user may not write here", "correct the rights of the folder"
    elif free < LITTLE_BYTES:
        words, remedy = f"only {free / 1e6:.0f} MB are free", "free some space: a full disk stops every run"
    else:
        words, remedy = f"{free / 1e9:.1f} GB free", None
    verdict = Verdict.WRONG if remedy else Verdict.OK
    return Finding(subject="disk", name=str(folder), verdict=verdict, words=words, remedy=remedy)


def clock_beside(offsets: Mapping[str, timedelta]) -> Finding:
    """This machine's clock beside those of servers: how far each differs from ours, by its host."""
    if not offsets:
        return Finding(subject="clock", words="no server told its time")
    off = {host: offset for host, offset in offsets.items() if abs(offset) > CLOCK_TOLERANCE}
    if not off:
        return Finding(subject="clock", words=f"agrees with {counted(len(offsets), 'server')} to within 2 minutes")
    said = ", ".join(f"{host} {ahead(offset)}" for host, offset in sorted(off.items())[:3])
    if judge(offsets, CLOCK_TOLERANCE) is not Opinion.MISTRUSTED:
        why = "one alone proves nothing" if len(off) == 1 else "they differ from each other, or another one agrees"
        noun = "one server's clock differs" if len(off) == 1 else f"{len(off)} servers' clocks differ"
        return Finding(subject="clock", verdict=Verdict.NOTE, words=f"{noun} from ours: {said}; {why}")
    return Finding(
        subject="clock",
        verdict=Verdict.WRONG,
        words=f"{len(off)} servers' clocks differ from ours: {said}",
        remedy="set this machine's clock, for instance with `timedatectl set-ntp true`",
    )
