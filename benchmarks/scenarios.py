"""What is measured: each scenario sets its programs up, lets them work in turn, and checks what they did.

A figure counts only for work that was done: after every run the servers are asked what was polled and posted.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.contestants import Contestant, Interpreter, Ours, Peer, Task, Yardstick
from benchmarks.measure import Command, Figure, RunFailed, Sample, measure
from benchmarks.process import Process, running
from benchmarks.world import Seen, World

PROBE = Path(__file__).with_name("probe.py")
STORES = Path(__file__).with_name("stores.py")
#: How many articles a feed shows, as WordPress does.
_WINDOW = 10
_DAY_SECONDS = 86_400
_DAEMON = "daemon, 1 feed, 5 accounts"
#: A daemon that takes longer to start hangs.
_START_SECONDS = 60
#: So long after its first poll a daemon is at rest.
_SETTLE_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the scenarios are."""

    feeds: int = 1000
    #: New articles in one run.
    burst: int = 100
    #: Articles that the large store remembers, and the small one.
    remembered: int = 100_000
    remembered_little: int = 1000
    #: Articles whose way from the feed to the network is timed.
    latencies: int = 40
    #: Polls whose transactions are timed.
    transactions: int = 500
    #: Runs of each program in the small scenarios and in the large ones.
    runs: int = 9
    runs_of_many: int = 5
    #: For so long a daemon is left alone: as long as a feed is, so that as many polls are in it as in a day.
    rest_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    scenario: str
    program: str
    #: In `unit`; None: there is no figure, and `note` says why.
    median: float | None = None
    least: float | None = None
    unit: str = "ms CPU"
    wall_seconds: float | None = None
    peak_mb: float | None = None
    #: Against the program whose figure is 1; None: nothing to compare with.
    ratio: float | None = None
    #: What `ratio`, or the median where there is none, may be at most.
    bar: float | None = None
    note: str = ""
    #: How the figure came about, where that is not plain.
    remark: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether the ratio is held against the bar, and not the median."""
        return self.ratio is not None

    @property
    def judged(self) -> float | None:
        """What is held against the bar."""
        return self.ratio if self.is_ratio else self.median


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every scenario is given."""

    world: World
    interpreter: Interpreter
    sizes: Sizes
    #: What is kept between the runs of the benchmarks.
    cache: Path
    #: Programs of other people.
    peers: tuple[Contestant, ...] = ()
    #: Told what is being done.
    say: Callable[[str], None] = field(default=lambda _words: None)

    @property
    def programs(self) -> tuple[Contestant, ...]:
        """The yardstick, ours, and the peers."""
        return (Yardstick(self.interpreter), Ours(self.interpreter), *self.peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One program in one scenario, ready to run."""

    contestant: Contestant
    command: Command
    samples: list[Sample] = field(default_factory=list)

    @property
    def figure(self) -> Figure:
        """What its runs took."""
        return Figure(samples=tuple(self.samples))


# --- common parts ----------------------------------------------------------------------------------------------------


@contextmanager
def lined_up(bench: Bench, programs: Sequence[Contestant], *, feeds: int, accounts: int = 1) -> Iterator[list[Entry]]:
    """Each program set up in a folder of its own, and run twice: it knows what is there, and its bytecode is made."""
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        entries = []
        for contestant in programs:
            own = Path(folder) / contestant.name
            own.mkdir()
            task = Task(folder=own, url=bench.world.url, feeds=bench.world.feeds(feeds), accounts=accounts)
            entries.append(Entry(contestant=contestant, command=contestant.set_up(task)))
        for entry in entries:
            bench.say(f"{entry.contestant.name}: first runs")
            measure(entry.contestant.first(entry.command))
            measure(entry.command)
        bench.world.seen()
        yield entries


def idle_run(bench: Bench, command: Command, *, feeds: int) -> Sample:
    """One run with nothing new.

    Raises:
        RunFailed: it did not ask each feed once, or posted something.
    """
    sample = measure(command)
    seen = bench.world.seen()
    _demand(len(seen.feeds(200, 304)) == feeds, command, f"{len(seen.feeds(200, 304))} of {feeds} feeds were asked")
    _demand(not seen.posted, command, f"{len(seen.posted)} posts of nothing new")
    return sample


def busy_run(bench: Bench, command: Command, *, posts: int) -> tuple[Sample, Seen]:
    """One run that must post so many.

    Raises:
        RunFailed: it posted more, or less, or one twice.
    """
    sample = measure(command)
    seen = bench.world.seen()
    texts = {(post.account, post.text) for post in seen.posted}
    _demand(len(texts) == len(seen.posted) == posts, command, f"{len(texts)} posts of {posts}")
    return sample, seen


def _demand(condition: bool, command: Command, words: str) -> None:  # noqa: FBT001 (an assertion)
    if not condition:
        output = (command.folder / "output.txt").read_text(errors="replace")[-2000:]
        raise RunFailed(f"{' '.join(command.argv)}: {words}\n{output}")


def turns(entries: Sequence[Entry], runs: int) -> Iterator[list[Entry]]:
    """Who runs in each turn of a large scenario: all in the first, then no peer again, some of which take a minute."""
    for number in range(runs):
        yield [entry for entry in entries if number == 0 or not isinstance(entry.contestant, Peer)]


def compared(scenario: str, entries: Sequence[Entry], *, bar: float) -> list[Row]:
    """The programs against the first of them; the bar is ours."""
    yardstick = entries[0].figure.cpu
    return [
        Row(
            scenario=scenario,
            program=entry.contestant.name,
            median=entry.figure.cpu * 1000,
            least=entry.figure.least * 1000,
            wall_seconds=entry.figure.wall,
            peak_mb=entry.figure.peak_mb,
            ratio=entry.figure.cpu / yardstick,
            bar=bar if isinstance(entry.contestant, Ours) else None,
        )
        for entry in entries
    ]


def _asked(bench: Bench, script: Path, *arguments: str) -> str:
    """What a script prints that uses the code of the program that is measured."""
    argv = [bench.interpreter.python, "-I", str(script), *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout


# --- scenarios -------------------------------------------------------------------------------------------------------


def one_off(bench: Bench) -> list[Row]:
    """One feed, five accounts, nothing new."""
    bench.world.open(feeds=1, window=_WINDOW)
    with lined_up(bench, bench.programs, feeds=1, accounts=5) as entries:
        for _ in range(bench.sizes.runs):
            for entry in entries:
                entry.samples.append(idle_run(bench, entry.command, feeds=1))
        return compared("one-off run, 1 feed, 5 accounts, nothing new", entries, bar=3.8)


def many_idle(bench: Bench) -> list[Row]:
    """Many feeds, nothing new, start-up included."""
    feeds = bench.sizes.feeds
    bench.world.open(feeds=feeds, window=_WINDOW)
    with lined_up(bench, bench.programs, feeds=feeds) as entries:
        for turn in turns(entries, bench.sizes.runs_of_many):
            for entry in turn:
                entry.samples.append(idle_run(bench, entry.command, feeds=feeds))
        return compared(f"{feeds} feeds, nothing new, one round", entries, bar=2.5)


def many_news(bench: Bench) -> list[Row]:
    """Many feeds, one new article in each, posted to one account."""
    feeds = bench.sizes.feeds
    bench.world.open(feeds=feeds, window=_WINDOW)
    with lined_up(bench, [one for one in bench.programs if one.posts], feeds=feeds) as entries:
        for turn in turns(entries, bench.sizes.runs_of_many):
            bench.world.publish(feeds=feeds, count=1)
            for entry in turn:
                entry.samples.append(busy_run(bench, entry.command, posts=feeds)[0])
        return compared(f"{feeds} feeds, one new article each, posted", entries, bar=4.0)


def one_more(bench: Bench) -> list[Row]:
    """What one more new article costs: runs with many of them less idle runs, by their number."""
    count = bench.sizes.burst
    bench.world.open(feeds=1, window=count + _WINDOW)
    idle: dict[str, list[float]] = {}
    programs = [one for one in bench.programs if one.posts and one.posts_each]
    with lined_up(bench, programs, feeds=1) as entries:
        for _ in range(bench.sizes.runs):
            for entry in entries:
                sample = idle_run(bench, entry.command, feeds=1)
                idle.setdefault(entry.contestant.name, []).append(sample.cpu_seconds)
            bench.world.publish(feeds=1, count=count)
            for entry in entries:
                entry.samples.append(busy_run(bench, entry.command, posts=count)[0])
        return [_beyond(entry, idle[entry.contestant.name], count) for entry in entries]


def _beyond(entry: Entry, idle: list[float], count: int) -> Row:
    pairs = zip(entry.samples, idle, strict=True)
    each = [(busy.cpu_seconds - rest) * 1000 / count for busy, rest in pairs]
    return Row(
        scenario=f"a new post beyond the idle run ({count} in one run)",
        program=entry.contestant.name,
        median=median(each),
        least=min(each),
        wall_seconds=entry.figure.wall,
        peak_mb=entry.figure.peak_mb,
        bar=4.0 if isinstance(entry.contestant, Ours) else None,
    )


def memory_of_years(bench: Bench) -> list[Row]:
    """One run with many articles remembered against one with few."""
    sizes = bench.sizes
    bench.world.open(feeds=1, window=_WINDOW)
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        entries = [
            _remembering(bench, Path(folder) / name, count)
            for name, count in (("little", sizes.remembered_little), ("much", sizes.remembered))
        ]
        rows = _idle_rows(bench, entries) + _news_rows(bench, entries)
        return rows + _transactions(bench, entries)


def _remembering(bench: Bench, folder: Path, count: int) -> Entry:
    """Ours over a store that remembers so many articles."""
    bench.say(f"a store with {count:,} articles")
    folder.mkdir()
    shutil.copy(_asked(bench, STORES, str(bench.cache), str(count)).strip(), folder / "autopublish.db")
    contestant = Ours(bench.interpreter)
    task = Task(folder=folder, url=bench.world.url, feeds=bench.world.feeds(1))
    entry = Entry(contestant=contestant, command=contestant.set_up(task))
    for _ in range(2):
        measure(entry.command)
    bench.world.seen()
    return entry


def _idle_rows(bench: Bench, entries: Sequence[Entry]) -> list[Row]:
    for _ in range(bench.sizes.runs):
        for entry in entries:
            entry.samples.append(idle_run(bench, entry.command, feeds=1))
    return _remembered_rows(bench, entries, "nothing new")


def _news_rows(bench: Bench, entries: Sequence[Entry]) -> list[Row]:
    for entry in entries:
        entry.samples.clear()
    for _ in range(bench.sizes.runs):
        bench.world.publish(feeds=1, count=1)
        for entry in entries:
            entry.samples.append(busy_run(bench, entry.command, posts=1)[0])
    return _remembered_rows(bench, entries, "one new article, posted")


def _remembered_rows(bench: Bench, entries: Sequence[Entry], what: str) -> list[Row]:
    counts = (bench.sizes.remembered_little, bench.sizes.remembered)
    rows = []
    for count, entry in zip(counts, entries, strict=True):
        figure, is_large = entry.figure, entry is entries[-1]
        rows.append(
            Row(
                scenario=f"{count:,} articles remembered, {what}",
                program=entry.contestant.name,
                median=figure.cpu * 1000,
                least=figure.least * 1000,
                wall_seconds=figure.wall,
                peak_mb=figure.peak_mb,
                ratio=figure.cpu / entries[0].figure.cpu if is_large else None,
                bar=1.05 if is_large else None,
            )
        )
    return rows


def _transactions(bench: Bench, entries: Sequence[Entry]) -> list[Row]:
    """The transaction of a poll with one new article, by the store's own verb, in turn over both stores."""
    stores = [str(entry.command.folder / "autopublish.db") for entry in entries]
    times: list[list[float]] = json.loads(_asked(bench, PROBE, str(bench.sizes.transactions), *stores))
    counts = (bench.sizes.remembered_little, bench.sizes.remembered)
    rows = []
    for count, own in zip(counts, times, strict=True):
        is_large = own is times[-1]
        rows.append(
            Row(
                scenario=f"{count:,} articles remembered, the transaction of a poll",
                program="autopublish",
                median=median(own) * 1000,
                least=min(own) * 1000,
                ratio=median(own) / median(times[0]) if is_large else None,
                bar=1.05 if is_large else None,
            )
        )
    return rows


def to_the_network(bench: Bench) -> list[Row]:
    """From the poll that shows an article to the first byte at the network, by the servers' own clock."""
    bench.world.open(feeds=1, window=_WINDOW)
    with lined_up(bench, bench.programs[:2], feeds=1) as entries:
        ways: dict[str, list[float]] = {entry.contestant.name: [] for entry in entries}
        for _ in range(bench.sizes.latencies):
            bench.world.publish(feeds=1, count=1)
            for entry in entries:
                sample, seen = busy_run(bench, entry.command, posts=1)
                entry.samples.append(sample)
                ways[entry.contestant.name].append(seen.posted[0].at - seen.feeds(200)[0].at)
        return [_way(entry, ways[entry.contestant.name]) for entry in entries]


def _way(entry: Entry, seconds: list[float]) -> Row:
    return Row(
        scenario=f"seen in the feed to first byte, p95 of {len(seconds)}",
        program=entry.contestant.name,
        median=percentile(seconds, 0.95) * 1000,
        least=min(seconds) * 1000,
        unit="ms",
        wall_seconds=entry.figure.wall,
        peak_mb=entry.figure.peak_mb,
        bar=1000.0 if isinstance(entry.contestant, Ours) else None,
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The least value that so large a part of them does not exceed."""
    return sorted(values)[max(math.ceil(part * len(values)), 1) - 1]


def at_rest(bench: Bench) -> list[Row]:
    """A daemon with one feed, asked for each five minutes and answered 304, and five accounts."""
    bench.world.open(feeds=1, window=_WINDOW, keeps=False)
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        ours = Ours(bench.interpreter)
        task = Task(folder=Path(folder), url=bench.world.url, feeds=bench.world.feeds(1), accounts=5)
        with running(ours.staying(ours.set_up(task))) as process:
            bench.say("daemon: starts")
            _wait_until_started(bench, process)
            started = process.cpu_seconds()
            bench.say(f"daemon: left alone for {bench.sizes.rest_seconds:.0f} s")
            began = time.monotonic()
            time.sleep(bench.sizes.rest_seconds)
            used, seconds = process.cpu_seconds() - started, time.monotonic() - began
            seen = bench.world.seen()
            if seen.posted or seen.feeds(200):
                raise RunFailed(f"a daemon at rest has {len(seen.feeds(200))} documents and {len(seen.posted)} posts")
            return _rest_rows(process, started, used, seconds, len(seen.feeds(304)))


def _wait_until_started(bench: Bench, process: Process) -> None:
    """The first poll is over, and all that follows from it."""
    until = time.monotonic() + _START_SECONDS
    while "recorded as known" not in process.told():
        process.demand_alive()
        if time.monotonic() > until:
            raise RunFailed(f"the daemon does not read the feed:\n{process.told()[-2000:]}")
        time.sleep(0.1)
    time.sleep(_SETTLE_SECONDS)
    bench.world.seen()


def _rest_rows(process: Process, started: float, used: float, seconds: float, polls: int) -> list[Row]:
    return [
        Row(scenario=f"{_DAEMON}: its start", program=Ours.name, median=started * 1000),
        Row(
            scenario=f"{_DAEMON}: memory at rest",
            program=Ours.name,
            median=process.resident_mb(),
            unit="MB",
            bar=80.0,
            peak_mb=process.peak_mb(),
        ),
        day_at_rest(used, seconds, polls),
    ]


def day_at_rest(used: float, seconds: float, polls: int) -> Row:
    """The CPU of a day by what a daemon took in some seconds; none if no poll was among them."""
    day = used * _DAY_SECONDS / seconds
    remark = (
        f"{_DAEMON}: {used * 1000:.1f} ms of CPU in {seconds:.0f} s with {polls} poll{'s' * (polls != 1)}, "
        f"x 86,400 / {seconds:.0f} = {day:.2f} s a day. Extrapolated: its start, and what it does once an hour or day, "
        "are not in it; see `python -m benchmarks.month`"
    )
    return Row(
        scenario=f"{_DAEMON}: CPU of a day at rest",
        program=Ours.name,
        median=day if polls else None,
        unit="s CPU",
        bar=10.0,
        wall_seconds=seconds,
        note="" if polls else "too short to tell",
        remark=remark if polls else "",
    )


SCENARIOS: dict[str, Callable[[Bench], list[Row]]] = {
    "one-off": one_off,
    "many-idle": many_idle,
    "many-news": many_news,
    "one-more": one_more,
    "remembered": memory_of_years,
    "latency": to_the_network,
    "daemon": at_rest,
}
