"""A month of the daemon in a minute or two: `python -m benchmarks.month` prints what it takes, and fails if it grows.

The daemon is the real one, with its threads, APScheduler and a store on a disk; only its time jumps (`clocks`). It
lives twice at once, each in a process of its own (`life`) with one feed, polled each five minutes, and five accounts:
at rest, and with some articles a day, each posted to all accounts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contestants import Interpreter, Ours, Task
from benchmarks.machine import Watch
from benchmarks.measure import Command, RunFailed, environment
from benchmarks.world import Seen, World

_ROOT = Path(__file__).parent.parent
_STORE = "autopublish.db"
_COPIES, _PICTURES = f"{_STORE}.d/copies/", f"{_STORE}.d/pictures/"
ACCOUNTS = 5
#: By these days the table stands.
_SETTLED_DAY = 8
_SHOWN = (0, 1, _SETTLED_DAY)
_MB = 1_000_000

# --- what may be -----------------------------------------------------------------------------------------------------

#: The engine's pool of nine, the main thread, the engine's, APScheduler's two and the one that watches deadlines.
MOST_THREADS = 14
#: Each thread has a connection of its own to the store: its file, and the log once it writes. Some may not have opened
#: theirs on the first day; what leaks with each hour, poll or post comes to more.
MOST_FILES_TO_COME = 4
#: SQLite copies the log into the store at 1,000 pages, 4.1 MB, and begins it anew, unless somebody reads it just then.
#: Source: https://www.sqlite.org/wal.html#automatic_checkpointing
MOST_LOG_BYTES = 6 * _MB
#: Of memory, once the first days have filled what is kept on purpose.
MOST_GROWTH_AT_REST, MOST_GROWTH_WITH_NEWS = 3 * _MB, 8 * _MB
#: A thread that first comes to work later brings a connection to the store, which keeps 2 MB of pages.
#: Source: https://www.sqlite.org/pragma.html#pragma_cache_size
MOST_BYTES_A_THREAD = 3 * _MB
#: An article with five posts, all that is known of it: see "Figures of a month" in README.md.
MOST_BYTES_AN_ARTICLE = 20_000
#: So many days have a copy.
COPIES = 7
#: What no open article needs is thrown away once an hour.
MOST_PICTURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a daemon stood at the end of a day, as `life.Look`, and what its world saw of that day."""

    day: int
    cpu_seconds: float
    wall_seconds: float
    resident_bytes: int
    open_files: int
    threads: int
    written_bytes: int
    waits: int
    rings: int
    sizes: dict[str, int]
    polls: int
    posts: int

    @property
    def store_bytes(self) -> int:
        """Of the store's file."""
        return self.sizes[_STORE]

    @property
    def log_bytes(self) -> int:
        """Of its write-ahead log."""
        return self.sizes.get(f"{_STORE}-wal", 0)

    @property
    def copies(self) -> list[int]:
        """The sizes of the daily copies."""
        return [size for name, size in self.sizes.items() if name.startswith(_COPIES)]

    @property
    def pictures(self) -> list[int]:
        """The sizes of what is kept for the pictures of articles."""
        return [size for name, size in self.sizes.items() if name.startswith(_PICTURES)]

    @property
    def others(self) -> set[str]:
        """The names of all other files."""
        return {name for name in self.sizes if not name.startswith((_COPIES, _PICTURES))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The looks at one daemon, the first when it had started."""

    days: int
    articles: int
    looks: tuple[Look, ...]

    @property
    def settled(self) -> Look:
        """The look after which memory grows no more: after eight days, or after one where they are few."""
        return next((look for look in self.looks[:-1] if look.day == _SETTLED_DAY), self.looks[1])

    @property
    def what(self) -> str:
        """It, in words."""
        return f"{self.articles} articles a day" if self.articles else "at rest"


# --- living ----------------------------------------------------------------------------------------------------------


def live(world: World, folder: Path, *, days: int, articles: int) -> Life:
    """A daemon lived so many days in the folder, with so many new articles on each of them.

    Raises:
        RunFailed: it failed, or did not post each article once to each account.
    """
    world.open(feeds=1, keeps=False)
    saw: list[Seen] = []
    ours = Ours(Interpreter.current())
    command = ours.set_up(Task(folder=folder, url=world.url, feeds=world.feeds(1), accounts=ACCOUNTS))
    looks: list[Look] = []
    posted: list[str] = []
    with _asking(command, days, articles) as questions:
        for what in questions:
            if "publish" in what:
                saw.append(world.publish(feeds=1, count=1, at=datetime.fromisoformat(what["publish"])))
                continue
            saw.append(world.seen())
            posted += [f"{post.account} {post.text}" for seen in saw for post in seen.posted]
            looks.append(_look(what["look"], saw))
            saw.clear()
    wanted = days * articles * ACCOUNTS
    if not len(posted) == len(set(posted)) == wanted:
        raise RunFailed(f"{len(set(posted))} posts of {wanted}, {len(posted)} in all")
    return Life(days=days, articles=articles, looks=tuple(looks))


def _look(raw: dict[str, Any], saw: Sequence[Seen]) -> Look:
    polls, posts = sum(len(seen.feeds(200, 304)) for seen in saw), sum(len(seen.posted) for seen in saw)
    return Look(**raw, polls=polls, posts=posts)


@contextmanager
def _asking(command: Command, days: int, articles: int) -> Iterator[Iterator[dict[str, Any]]]:
    """What the process of a life wants, one thing after the other; each is done once the next is asked for."""
    output = command.folder / "output.txt"
    argv = [sys.executable, "-m", "benchmarks.life", str(command.folder / "autopublish.yaml"), str(days), str(articles)]
    with (
        output.open("wb") as told,
        subprocess.Popen(
            argv,
            cwd=_ROOT,
            env={**environment(command), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as process,
    ):
        try:
            yield _questions(process)
            code = process.wait(60)
        finally:
            process.kill()
    if code != 0:
        raise RunFailed(f"the daemon ended with {code}:\n{output.read_text(errors='replace')[-2000:]}")


def _questions(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    assert process.stdin is not None
    for line in process.stdout:
        yield json.loads(line)
        process.stdin.write("\n")
        process.stdin.flush()


# --- judging ---------------------------------------------------------------------------------------------------------


def faults(life: Life) -> list[str]:
    """What grew that must not, in words; empty if nothing did."""
    first, settled, last = life.looks[1], life.settled, life.looks[-1]
    articles = life.articles * (life.days - 1)
    growth = MOST_GROWTH_WITH_NEWS if articles else MOST_GROWTH_AT_REST
    bounds = [
        (
            f"bytes of memory more than after day {settled.day}",
            last.resident_bytes - settled.resident_bytes,
            growth + MOST_BYTES_A_THREAD * (last.threads - settled.threads),
        ),
        ("threads", max(look.threads for look in life.looks), MOST_THREADS),
        (
            "open files more than after the first day",
            last.open_files - first.open_files,
            2 * (last.threads - first.threads) + MOST_FILES_TO_COME,
        ),
        (
            "bytes of the store more than after the first day",
            last.store_bytes - first.store_bytes,
            articles * MOST_BYTES_AN_ARTICLE,
        ),
        ("bytes of the store's log", max(look.log_bytes for look in life.looks), MOST_LOG_BYTES),
        ("copies of the store", len(last.copies), COPIES),
        ("files of pictures", len(last.pictures), MOST_PICTURES),
    ]
    found = [f"{value:,} {what}, where {most:,} may be" for what, value, most in bounds if value > most]
    # On the days of its start and its end, and on all between.
    if len(last.copies) < min(life.days + 1, COPIES):
        found.append(f"{len(last.copies)} copies of the store after {life.days} days")
    if new := sorted(last.others - first.others):
        found.append(f"files that were not there after the first day: {', '.join(new)}")
    return found


# --- telling ---------------------------------------------------------------------------------------------------------


def report(life: Life) -> str:
    """The figures of one life: a table, and what they come to."""
    heads = ("day", "CPU s", "memory MB", "files", "threads", "store KB", "log KB", "copies", "written MB")
    rows = [heads, *(_cells(look) for look in life.looks if look.day in (*_SHOWN, life.days))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([f"{life.days} days, 1 feed, {ACCOUNTS} accounts, {life.what}", *lines, *_sums(life)])


def _cells(look: Look) -> tuple[str, ...]:
    return (
        str(look.day) if look.day else "start",
        f"{look.cpu_seconds:.2f}",
        f"{look.resident_bytes / _MB:.1f}",
        str(look.open_files),
        str(look.threads),
        f"{look.store_bytes / 1000:.0f}",
        f"{look.log_bytes / 1000:.0f}",
        f"{len(look.copies)} of {sum(look.copies) / _MB:.1f} MB" if look.copies else "0",
        f"{look.written_bytes / _MB:.1f}",
    )


def _sums(life: Life) -> list[str]:
    start, first, last = life.looks[0], life.looks[1], life.looks[-1]
    cpu, days = last.cpu_seconds - start.cpu_seconds, life.days
    later = [after.cpu_seconds - before.cpu_seconds for before, after in zip(life.looks, life.looks[1:], strict=False)]
    polls, posts = sum(look.polls for look in life.looks), sum(look.posts for look in life.looks)
    each_day = f"{cpu / days:.2f} s a day ({min(later):.2f} to {max(later):.2f})"
    lines = [
        f"CPU: {start.cpu_seconds:.2f} s to start, {cpu:.1f} s for {days} days: {each_day}",
        f"woken: {last.waits:,} times, {last.rings:,} of them by APScheduler; {polls:,} polls, {posts:,} posts",
        f"written: {(last.written_bytes - start.written_bytes) / days / _MB:.1f} MB a day",
        f"lived in {last.wall_seconds:.0f} s",
    ]
    if life.articles and days > 1:
        each = (last.store_bytes - first.store_bytes) / (life.articles * (days - 1))
        lines.append(f"an article with {ACCOUNTS} posts: {each / 1000:.1f} KB of the store")
    return lines


LEFT_OUT = """
Measured: the CPU of all threads of the daemon, less what the benchmark does in its process; nothing is extrapolated.
Left out: what waking up costs the kernel and its cold caches (here the next event follows at once), TLS and names (the
site answers on the loopback, over a new connection for each poll), the service manager, and the main thread, which
wakes once an hour or for a watchdog. How often the marker beside the store is renewed goes by the real clock.
""".strip()


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.month", description=__doc__)
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how long each daemon lives (30)")
    parser.add_argument("--articles", type=int, default=20, metavar="N", help="new articles on each day (20)")
    parser.add_argument("--in-turn", action="store_true", help="one after the other: longer, and finer figures")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="on the disk that holds it (the temporary one)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Live twice and print; 1 if anything grew that must not."""
    chosen = options(list(arguments))
    watch = Watch()
    print(watch.begun(), flush=True)
    wrong = []

    def lived(articles: int) -> Life:
        with World() as world, TemporaryDirectory(prefix="month-", dir=chosen.folder) as folder:
            return live(world, Path(folder), days=chosen.days, articles=articles)

    with ThreadPoolExecutor(1 if chosen.in_turn else 2) as pool:
        for life in pool.map(lived, (0, chosen.articles)):
            print(f"\n{report(life)}", flush=True)
            wrong += [f"{life.what}: {words}" for words in faults(life)]
    print(f"\n{LEFT_OUT}\n{watch.ended()}")
    for words in wrong:
        print(f"FAILED: {words}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
