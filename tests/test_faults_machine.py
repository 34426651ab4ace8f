"""What befalls the process and its machine: signals at each step, too little memory, stalls, no files, odd clocks."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autopublish.feeds.dates import parse_date
from autopublish.models import RateWindow, State
from tests.bench.network import Call, Say, Step
from tests.bench.newsroom import News, document
from tests.bench.world import World
from tests.desk import FEED, PAGE, Desk, seen_on, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.pds import FakePds
from tests.test_daemon import ALL, PATIENCE_SECONDS, daemon, make_due

ROOT = Path(__file__).parent.parent


# --- signals ---------------------------------------------------------------------------------------------------------

#: The daemon, which gets signals at a point of its way: `autopublish.yaml POINT NUMBER...`; without numbers it tells
#: each point that it passes, and ends once it has posted.
SIGNALLED = """
import os, signal, sys
from pathlib import Path
from autopublish.daemon import Daemon
from autopublish.store import _store
from tests.bench.points import PointedDatabase

path, point, *numbers = sys.argv[1:]

def passed(name):
    if not numbers:
        print("point", name, flush=True)
    if name == point:
        for number in numbers:
            os.kill(os.getpid(), int(number))
        numbers.clear()

def tell(words):
    if not numbers and "posted" in words:
        os.kill(os.getpid(), signal.SIGTERM)

PointedDatabase.points = staticmethod(passed)
_store.Database = PointedDatabase
sys.exit(0 if Daemon(Path(path), tell=tell).run() else 1)
"""
ONE, TWO = (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)
#: Of the points of one post, those around which it is sent.
AROUND = (
    "save_poll: written, not committed",
    "intend: before",
    "intend: committed",
    "settle: before",
    "settle: committed",
)


def signalled(desk: Desk, point: str, numbers: tuple[signal.Signals, ...]) -> subprocess.CompletedProcess[str]:
    """A daemon that got these signals at the point, and ended."""
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(desk.file), point, *(str(int(number)) for number in numbers)],
        env={**desk.variables(), "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=30,  # and not a second more, whatever it does
        check=False,
    )


def go_on(desk: Desk, pds: FakePds) -> None:
    """Runs until all is quiet, and there is one post."""
    for _ in range(3):
        assert desk("run").code == 0
        desk.end_waits()
    assert (seen_on(pds), desk.row("zero", "sky").state) == (["zero"], State.POSTED)


@pytest.mark.fault("P01")
@pytest.mark.parametrize(
    "numbers", [ONE, TWO, (signal.SIGINT,), (signal.SIGKILL,)], ids=["TERM", "twice", "INT", "KILL"]
)
@pytest.mark.parametrize("point", [AROUND[0], *(pytest.param(one, marks=pytest.mark.long) for one in AROUND[1:])])
def test_p01_a_signal_around_a_send_leaves_one_post(
    folder: Path, pds: FakePds, point: str, numbers: tuple[signal.Signals, ...]
) -> None:
    desk = Desk(folder)
    desk.show("zero")
    desk.configure(sky(pds), feeds=ALL)
    ended = signalled(desk, point, numbers)
    assert ended.returncode == (-signal.SIGKILL if signal.SIGKILL in numbers else 0), ended.stderr
    go_on(desk, pds)


@pytest.mark.long
@pytest.mark.fault("P01")
def test_p01_a_signal_at_each_write_of_the_store_leaves_one_post(tmp_path: Path) -> None:
    points: tuple[str, ...] = ("",)
    for number in range(1000):
        folder = tmp_path / str(number)
        folder.mkdir()
        desk = Desk(folder)
        desk.show("zero")
        with FakePds() as pds:
            desk.configure(sky(pds), feeds=ALL)
            ended = signalled(desk, points[number], ONE if number else ())
            assert ended.returncode == 0, (points[number], ended.stderr)
            if number == 0:
                lines = (line for line in ended.stdout.splitlines() if line.startswith("point "))
                points = ("", *dict.fromkeys(line.removeprefix("point ") for line in lines))
                assert {*AROUND} <= {*points}
            go_on(desk, pds)
        if number == len(points) - 1:
            return


@pytest.mark.fault("P01")
@pytest.mark.parametrize("call", ["createSession", "putRecord"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_p01_a_signal_while_the_network_works_on_a_call_leaves_one_post(
    folder: Path, pds: FakePds, call: str, number: signal.Signals
) -> None:
    desk = Desk(folder)
    desk.show("zero")
    desk.configure(sky(pds), feeds=ALL)
    with daemon(desk) as running:

        def at_the_call() -> float:
            if running.process.poll() is None and any(one.name == call for one in pds.calls):
                running.process.send_signal(number)
            return time.time()

        pds.clock = at_the_call
        assert running.ended() == (-number if number is signal.SIGKILL else 0)
    go_on(desk, pds)


# --- memory ----------------------------------------------------------------------------------------------------------

#: A run that may have so many bytes of memory more than it has when everything is loaded.
LIMITED = """
import resource, sys
import autopublish.pipeline._drain, autopublish.platforms.page, autopublish.feeds.xmlfeed, autopublish.config._build
from autopublish.cli import main
from autopublish.engines import local

local.THREADS = 1
more = int(sys.argv.pop(1))
with open("/proc/self/statm") as file:
    has = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + more, resource.RLIM_INFINITY))
main()
"""


@pytest.mark.long
@pytest.mark.fault("P02")
def test_p02_a_feed_for_which_memory_is_too_short_stops_no_other(desk: Desk) -> None:
    desk.configure(PAGE, feeds="  big:\n    url: ./big.xml\n" + FEED)
    desk.show("small", feed="big.xml")
    desk("run")
    desk.show("one")
    long = "What it says is long. " * 15_000
    now = datetime.now(UTC).replace(microsecond=0)
    big = [News(name=f"b{number}", published=now, summary=f"{number} {long}") for number in range(27)]
    (desk.folder / "big.xml").write_bytes(document(big))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "60000000", "run", "--json"],
        env=desk.variables(),
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "MemoryError" in done.stdout
    assert desk.pages() == {"one"}


@pytest.mark.fault("P02")
def test_p02_what_a_process_that_the_kernel_killed_left_is_found_by_the_next(folder: Path, pds: FakePds) -> None:
    desk = Desk(folder)
    desk.show("zero")
    desk.configure(sky(pds), PAGE, feeds=ALL)
    assert signalled(desk, "intend: committed", (signal.SIGKILL,)).returncode == -signal.SIGKILL
    go_on(desk, pds)
    assert desk.pages() == {"zero"}


# --- a stall ---------------------------------------------------------------------------------------------------------


def heard_until_silence(listener: socket.socket) -> int:
    """How often the watchdog was fed until nothing was heard for as long as the listener waits."""
    fed = 0
    while True:
        try:
            fed += b"WATCHDOG=1" in listener.recv(4096)
        except TimeoutError:
            return fed


@pytest.mark.fault("P03")
def test_p03_a_daemon_that_is_stuck_is_told_to_the_service_manager_no_more(folder: Path) -> None:
    desk = Desk(folder)
    desk.configure(PAGE)
    desk.show("zero")
    name = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(name))
        listener.settimeout(PATIENCE_SECONDS)
        watched = {"NOTIFY_SOCKET": str(name), "WATCHDOG_USEC": "100000"}
        with daemon(desk, minute=0.05, silence=0.4, environment=watched) as running:
            running.until("first poll")
            while b"WATCHDOG=1" not in listener.recv(4096):
                pass
            with closing(sqlite3.connect(folder / "autopublish.db", isolation_level=None)) as other:
                # What looks at everything each minute waits for this now, and would for ten seconds.
                other.execute("BEGIN IMMEDIATE")
                listener.settimeout(1.2)
                fed = heard_until_silence(listener)
                assert fed < 14, "for as long as it looked a moment ago, and no longer"
                other.execute("ROLLBACK")
            listener.settimeout(PATIENCE_SECONDS)
            while b"WATCHDOG=1" not in listener.recv(4096):
                pass
            assert running.end() == 0


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("P09")
def test_p09_a_daemon_that_has_no_files_left_recovers_by_itself(folder: Path, pds: FakePds) -> None:
    desk = Desk(folder)
    old, one = (News(name=name, published=datetime.now(UTC) - timedelta(minutes=1)) for name in ("old", "one"))
    with FeedSite() as site:
        site.script("/feed/", Answer(body=document([old])))
        desk.configure(sky(pds), PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
        with daemon(desk, minute=0.4) as running:
            running.until("first poll")
            pid = running.process.pid
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            taken = {int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()}
            lowest = min(set(range(1000)) - taken)
            site.script("/feed/", Answer(body=document([one, old])))
            make_due(desk)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, hard))
            running.until("Too many open files")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, hard))
            make_due(desk)
            desk.end_waits()
            running.until("page: posted: Article one").until("sky: posted: Article one")
            assert running.end() == 0
    assert seen_on(pds) == ["one"]


@pytest.mark.fault("P09")
def test_p09_64_files_are_enough_for_many_feeds_and_accounts(desk: Desk) -> None:
    names = [f"p{number}" for number in range(4)]
    accounts = [PAGE.replace("page:", f"{name}:", 1).replace("out", name) for name in names]
    feeds = "".join(f"  f{number}:\n    url: ./f{number}.xml\n    first_run: all\n" for number in range(10))
    for number in range(10):
        desk.show(f"n{number}", feed=f"f{number}.xml")
    desk.configure(*(f"{account}    burst: none\n    at_most: none\n" for account in accounts), feeds=feeds)
    done = subprocess.run(
        desk.line("run"),
        env=desk.variables(),
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert done.returncode == 0, done.stderr
    assert [len(desk.pages(name)) for name in names] == [10] * 4


# --- clocks ----------------------------------------------------------------------------------------------------------

LISBON_SPRING = {
    # The clocks went from 01:00 to 02:00 on 30 March 2025, and from 02:00 back to 01:00 on 26 October.
    "before the gap": ("2025-03-30 00:59:59 Europe/Lisbon", "2025-03-30T00:59:59"),
    "in the gap": ("2025-03-30 01:30:00 Europe/Lisbon", "2025-03-30T01:30:00"),
    "after the gap": ("2025-03-30 02:30:00 Europe/Lisbon", "2025-03-30T01:30:00"),
    "first time in the fold": ("2025-10-26 01:30:00 Europe/Lisbon", "2025-10-26T00:30:00"),
    "second time in the fold": ("2025-10-26 01:30:00 WET", "2025-10-26T01:30:00"),
    "after the fold": ("2025-10-26 02:30:00 Europe/Lisbon", "2025-10-26T02:30:00"),
    "a leap second": ("Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00"),
    "a leap second of elsewhere": ("2017-01-01T07:59:60+08:00", "2017-01-01T00:00:00"),
    "the end of a day": ("2025-10-26T24:00:00+01:00", "2025-10-26T23:00:00"),
    "the end of a year": ("Wed, 31 Dec 2025 24:00:00 GMT", "2026-01-01T00:00:00"),
    "past the end of a day": ("2025-10-26T24:00:01Z", None),
    "two leap seconds": ("2016-12-31T23:59:61Z", None),
}


@pytest.mark.fault("C03")
@pytest.mark.parametrize(("text", "expected"), LISBON_SPRING.values(), ids=LISBON_SPRING)
def test_c03_dates_around_a_change_of_the_clocks_and_a_leap_second_are_one_moment(
    text: str, expected: str | None
) -> None:
    found = parse_date(text)
    assert found == (None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC))


@pytest.mark.fault("C03")
@pytest.mark.parametrize(
    "change",
    [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
    ids=["an hour is left out", "an hour comes twice", "a leap second"],
)
def test_c03_a_rolling_window_is_as_long_as_ever_while_the_clocks_change(
    world: World, monkeypatch: pytest.MonkeyPatch, change: datetime
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        world.clock.move_to(change - timedelta(hours=2))
        world.add_account("strong", at_most=(RateWindow(count=2, period=timedelta(hours=1)),))
        world.open_site()
        begun = world.clock()
        names = [f"n{number}" for number in range(8)]
        world.show_more(*(world.news(name, ago=timedelta(seconds=9 - place)) for place, name in enumerate(names)))
        seen: list[datetime] = []
        for _ in range(22):
            world.run()
            seen += [world.clock()] * (len(world.posted("strong")) - len(seen))
            world.clock.move(minutes=10)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert world.posted("strong") == names, "each once, in order"
    assert [(at - begun) / timedelta(hours=1) for at in seen] == [0, 0, 1, 1, 2, 2, 3, 3]


OFF = {"hours behind": timedelta(hours=-7), "hours ahead": timedelta(hours=7), "years ahead": timedelta(days=800)}
_HTTP = "%a, %d %b %Y %H:%M:%S GMT"


@pytest.mark.fault("C04")
@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
@pytest.mark.parametrize("form", ["date", "seconds"])
def test_c04_a_site_whose_clock_is_wrong_is_left_alone_for_as_long_as_it_asks(
    world: World, site: FeedSite, off: timedelta, form: str
) -> None:
    world.add_account("strong")
    world.add_feed(url=site.url("/feed/"))
    theirs = world.clock() + off
    until = f"{theirs + timedelta(minutes=40):{_HTTP}}" if form == "date" else "2400"
    told = Answer(status=503, headers={"Date": f"{theirs:{_HTTP}}", "Retry-After": until})
    site.script("/feed/", told, Answer(body=document([world.news("one")])))
    begun = world.clock()
    world.run()
    for minutes, count in ((39, 1), (41, 2)):
        world.clock.move_to(begun + timedelta(minutes=minutes))
        world.run()
        assert len(site.asked) == count, f"after {minutes} minutes"


@pytest.mark.fault("C04")
@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
def test_c04_a_network_whose_clock_is_wrong_is_left_alone_for_as_long_as_it_asks(
    desk: Desk, pds: FakePds, off: timedelta
) -> None:
    desk.configure(sky(pds))
    desk("run")
    pds.clock = lambda: time.time() + off.total_seconds()
    pds.limits["putRecord"] = 0
    desk.show("one")
    desk("run")
    with desk.store() as store:
        until = store.standing("sky").not_before
    assert until is not None
    assert timedelta(0) < until - datetime.now(UTC) <= timedelta(seconds=300), "its window is 300 s"
    assert desk.row("one", "sky").state is State.READY


@pytest.mark.fault("C04")
def test_c04_a_wait_in_seconds_needs_no_clock_at_all(world: World) -> None:
    world.add_account("strong")
    world.open_site()
    world.network.script("strong", Call.PUBLISH, Step(say=Say.LIMITED, wait=timedelta(minutes=40)))
    world.show_more(world.news("one"))
    world.run()
    assert world.standing("strong").not_before == world.clock() + timedelta(minutes=40)
