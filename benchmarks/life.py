"""One daemon that lives some days in a process of its own: `python -m benchmarks.life CONFIG DAYS ARTICLES_A_DAY`.

What it prints is a line of JSON for each thing that it wants of whoever started it: an article to be published at a
time, or a look at itself to be kept. Each is answered by a line on stdin. What the daemon tells goes to stderr.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from autopublish.daemon import Daemon
from benchmarks.clocks import Jumps

_DAY = timedelta(days=1)
_HOURS = timedelta(hours=2)
#: The start is over, and the first poll with it.
_SETTLED = timedelta(seconds=30)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the process stands at the end of a day."""

    #: 0: just started.
    day: int
    #: Since the process began, and without what the benchmark itself took.
    cpu_seconds: float
    wall_seconds: float
    resident_bytes: int
    open_files: int
    threads: int
    #: What it had the kernel write to disks, by `write_bytes` of https://man7.org/linux/man-pages/man5/proc_pid_io.5.html
    written_bytes: int
    waits: int
    rings: int
    #: By the names of the files below the daemon's folder.
    sizes: dict[str, int]


class Life:
    """One daemon's, from its start to the end of its last day."""

    def __init__(self, file: Path, days: int, articles: int) -> None:
        self._file = file
        self._jumps = Jumps()
        self._began = time.monotonic()
        self._jumps.plan(_SETTLED, partial(self._look, 0))
        for day in range(days):
            for number in range(articles):
                self._jumps.plan(_DAY * day + _DAY * (2 * number + 1) / (2 * articles), self._publish)
            self._jumps.plan(_DAY * (day + 1), partial(self._look, day + 1))
        self._jumps.plan(_DAY * days, self._end)

    def live(self) -> bool:
        """Whether it ended because it was asked to."""
        return Daemon(self._file, tell=_tell, clocks=self._jumps.clocks()).run()

    def _publish(self) -> None:
        # Files age by the machine's clock, which knows nothing of the time since the article before.
        long_ago = time.time() - _HOURS.total_seconds()
        for path in (self._file.parent / "autopublish.db.d" / "pictures").rglob("*.*"):
            os.utime(path, (long_ago, long_ago))
        _ask(publish=self._jumps.now().isoformat())

    def _look(self, day: int) -> None:
        gc.collect()
        used = time.process_time() - self._jumps.own_cpu_seconds
        written = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["write_bytes"]
        look = Look(
            day=day,
            cpu_seconds=used,
            wall_seconds=time.monotonic() - self._began,
            resident_bytes=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES,
            # One is the folder that is listed.
            open_files=len(os.listdir("/proc/self/fd")) - 1,  # noqa: PTH208 (no path is made of them)
            threads=threading.active_count(),
            written_bytes=int(written),
            waits=self._jumps.waits,
            rings=self._jumps.rings,
            sizes=_sizes(self._file.parent),
        )
        _ask(look=asdict(look))

    def _end(self) -> None:
        self._jumps.end()
        os.kill(os.getpid(), signal.SIGTERM)


def _sizes(folder: Path) -> dict[str, int]:
    """Of the store's files and of all that lies beside it; what the benchmark wrote is not among them."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in (folder / "autopublish.db.d").rglob("*")
        if path.is_file()
    } | {path.name: path.stat().st_size for path in folder.glob("autopublish.db*") if path.is_file()}


def _ask(**what: object) -> None:
    print(json.dumps(what), flush=True)
    if not sys.stdin.readline():
        raise SystemExit("nobody answers")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Live."""
    file, days, articles = sys.argv[1:]
    raise SystemExit(0 if Life(Path(file), int(days), int(articles)).live() else 1)


if __name__ == "__main__":
    main()
