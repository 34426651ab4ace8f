"""The daemon in a process of its own: it works by itself, ends in order, comes back, and takes over what changed."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Self

import pytest

from autopublish import deliveries
from autopublish.clock import WRONG
from autopublish.daemon import News, Notifier
from autopublish.health import LAST_TICK
from autopublish.models import AccountState, State
from autopublish.net import Client
from autopublish.pipeline import Changed, Parts, Pipeline, Polled, Trouble
from tests.bench.network import AT_ONCE, Call, Say, Step
from tests.bench.newsroom import News as Article
from tests.bench.newsroom import document
from tests.bench.world import World
from tests.desk import FEED, PAGE, SECRET, Desk, seen_on, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.pds import FakePds, Fault, Made, Then

#: By the real clock; only a broken daemon comes near it.
PATIENCE_SECONDS = 20.0
ALL = FEED + "    first_run: all\n"
SILENT = Fault(then=Then.SILENCE, made=Made.AT_ONCE)
SECOND = PAGE.replace("page:", "second:", 1).replace("out", "second")

#: The daemon with limits in which a test can wait.
SCRIPT = """
import sys
from datetime import timedelta
from pathlib import Path
from autopublish.daemon import Daemon, Limits

words = (word.split("=") for word in sys.argv[2:])
limits = Limits(**{name: timedelta(seconds=float(value)) for name, value in words})
in_order = Daemon(Path(sys.argv[1]), tell=lambda words: print(words, flush=True), limits=limits).run()
sys.exit(0 if in_order else 1)
"""


class Running:
    """One daemon at work, and what it told so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, words: str) -> Self:
        """It has told a line that holds the words."""
        if any(words in line for line in self.told):
            return self
        while (line := self._lines.get(timeout=PATIENCE_SECONDS)) is not None:
            self.told.append(line)
            if words in line:
                return self
        raise AssertionError(f"it ended and never told {words!r}: {self.told}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """It was asked to end, and did; its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """It ended; its exit code, or the negative number of the signal that killed it."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        while (line := self._lines.get_nowait()) is not None:
            self.told.append(line)
        return code


@contextmanager
def daemon(
    desk: Desk,
    *,
    minute: float = 0.1,
    grace: float = 10,
    last: float = 4,
    environment: Mapping[str, str] = MappingProxyType({}),
    **limits: float,
) -> Iterator[Running]:
    """A daemon on the desk's configuration, with its limits in seconds; killed in the end if it still runs."""
    limits |= {"minute": minute, "grace": grace, "last": last}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(desk.file), *(f"{name}={value}" for name, value in limits.items())],
        env={**desk.variables(), **environment},
        cwd=desk.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        running = Running(process)
        try:
            yield running
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def desk(folder: Path) -> Desk:
    """A folder with a page of posts and a feed that shows one article, of which nothing is known yet."""
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    return made


def make_due(desk: Desk) -> None:
    """Every feed was polled an hour ago."""
    with desk.store() as store:
        for feed in store.feeds():
            store.save_feeds([replace(feed, last_try=datetime.now(UTC) - timedelta(hours=1))])


def wait_for(pds: FakePds, call: str) -> None:
    """The server has been called so; asked again and again, since nothing tells of it."""
    moment = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 100)):
        if any(one.name == call for one in pds.calls):
            return
        moment.wait(0.01)
    raise AssertionError(f"nobody called {call}")


def wait_for_row(desk: Desk, name: str, account: str) -> None:
    """There is a delivery of the article on the account; asked again and again, since nothing tells of it."""
    for _ in range(int(PATIENCE_SECONDS * 100)):
        with desk.store() as store:
            articles = store.articles_like(f"/{name}/")
            if any(row.account == account for one in articles for row in store.deliveries_of(one.id)):
                return
        time.sleep(0.01)
    raise AssertionError(f"no delivery of {name} on {account}")


def locks(desk: Desk) -> list[str]:
    """The lock files beside the store that name a process."""
    paths = (desk.folder / "autopublish.db.d").glob("*.lock")
    return [path.name for path in paths if path.stem not in ("run", "daemon")]


# --- by itself -------------------------------------------------------------------------------------------------------


def test_news_goes_out_by_itself(desk: Desk) -> None:
    old, news = (Article(name=name, published=datetime.now(UTC) - timedelta(minutes=1)) for name in ("old", "one"))
    with FeedSite() as site:
        site.script("/feed/", Answer(body=document([old])))
        desk.configure(PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
        with daemon(desk) as running:
            running.until("1 article recorded as known")
            site.script("/feed/", Answer(body=document([news, old])))
            make_due(desk)
            running.until("page: posted: Article one")
            assert running.end() == 0
        assert len(site.asked) == 2, "and each feed only as often as its `every` says"
    with desk.store() as store:
        (article,) = store.articles_like("/one/")
        assert [row.state for row in store.deliveries_of(article.id)] == [State.POSTED]


def test_a_feed_that_answers_slowly_is_not_asked_again_because_it_was_due_meanwhile(desk: Desk) -> None:
    with FeedSite() as site:
        old = Article(name="old", published=datetime.now(UTC) - timedelta(minutes=1))
        site.script("/feed/", Answer(body=document([old]), delay_seconds=0.5))
        desk.configure(PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
        with daemon(desk, minute=0.05) as running:
            running.until("1 article recorded as known")
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(0.3)
            assert running.end() == 0
        assert len(site.asked) == 1


def test_the_command_works_until_it_is_asked_to_end(desk: Desk) -> None:
    desk.configure(PAGE, feeds=ALL)
    process = subprocess.Popen(
        desk.line("daemon"), env=desk.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        running = Running(process)
        running.until("at work: 1 feed, 1 account").until("page: posted: Article zero")
        assert running.end() == 0
    assert running.told[-1] == "ended; nothing is lost"
    with desk.store() as store:
        assert store.note("last_tick") == ""
    assert locks(desk) == []


def test_the_store_says_when_everything_was_looked_at_last(desk: Desk) -> None:
    before = datetime.now(UTC)
    with daemon(desk) as running:
        running.until("first poll")
        with desk.store() as store:
            first = store.note(LAST_TICK)
            for _ in range(1000):
                if (later := store.note(LAST_TICK)) != first:
                    break
                time.sleep(0.01)
        running.end()
    assert first is not None
    assert later is not None
    assert before < datetime.fromisoformat(first) < datetime.fromisoformat(later)


def test_the_store_has_its_daily_copy_without_a_run(desk: Desk) -> None:
    with daemon(desk, care=0.1) as running:
        running.until("first poll")
        for _ in range(int(PATIENCE_SECONDS * 100)):
            with desk.store() as store:
                if (copied := store.note("copied")) is not None:
                    break
            time.sleep(0.01)
        assert running.end() == 0
    assert copied is not None


@pytest.mark.fault("P02")
def test_p02_failures_one_after_the_other_end_it_with_an_exit_code_for_the_service_manager(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        with closing(sqlite3.connect(desk.folder / "autopublish.db")) as store:
            store.execute("DROP TABLE feeds")
        assert running.ended() == 1
    assert any("failures in a few minutes" in line for line in running.told)


@pytest.mark.fault("S05")
def test_s05_a_store_that_was_deleted_ends_it_although_there_is_no_news(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        (desk.folder / "autopublish.db").unlink()
        assert running.ended() == 1
    assert any("was deleted, moved or replaced while the program was at work" in line for line in running.told)
    assert not any("Traceback" in line or "traceback=" in line for line in running.told)
    assert "it was deleted or moved away" in desk("run").err, "what follows is in SAFE_MODE"


def test_a_marker_that_is_gone_stops_every_account_within_a_minute(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        (desk.folder / "autopublish.db.d" / "marker").unlink()
        running.until("Every account is in SAFE_MODE")
        assert running.end() == 0
    with desk.store() as store:
        assert store.standing("page").state is AccountState.SAFE_MODE


def test_a_store_that_is_found_damaged_ends_it_before_anything_more_is_sent(desk: Desk) -> None:
    with daemon(desk, care=1) as running:
        running.until("first poll")
        with desk.store() as store:
            store.keep_note("checked", "yesterday")
        # A page of an index that no statement of a minute reads; what is left in the log would take its place.
        with closing(sqlite3.connect(desk.folder / "autopublish.db")) as store_file:
            store_file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (page,) = store_file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
            (size,) = store_file.execute("PRAGMA page_size").fetchone()
            with (desk.folder / "autopublish.db").open("r+b") as file:
                file.seek((page - 1) * size)
                file.write(b"\xff" * size)
        assert running.ended() == 1
    assert any("is damaged" in line and "db restore" in line for line in running.told)


@pytest.mark.fault("S06")
def test_s06_an_account_that_is_added_in_safe_mode_is_in_it_at_once(desk: Desk) -> None:
    desk("run")
    (desk.folder / "autopublish.db.d" / "marker").unlink()
    with daemon(desk) as running:
        running.until("at work")
        desk.configure(PAGE, SECOND)
        running.until("the configuration was read again")
        with desk.store() as store:
            assert store.standing("second").state is AccountState.SAFE_MODE
        assert running.end() == 0


# --- the end ---------------------------------------------------------------------------------------------------------


@contextmanager
def in_a_silent_send(desk: Desk, pds: FakePds, *, grace: float) -> Iterator[Running]:
    """A daemon whose post was made by a server that says nothing."""
    desk.configure(sky(pds), feeds=ALL)
    pds.script("putRecord", SILENT)
    with daemon(desk, grace=grace) as running:
        wait_for(pds, "putRecord")
        yield running


@pytest.mark.fault("P01")
def test_p01_a_send_that_does_not_end_is_cut_off_and_looked_up_at_the_next_start(desk: Desk, pds: FakePds) -> None:
    with in_a_silent_send(desk, pds, grace=0.3) as running:
        begun = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - begun < 4
    row = desk.row("zero", "sky")
    assert (row.state, locks(desk)) == (State.VERIFYING, [])
    assert "cut off, since the program ends" in (row.reason or "")
    desk.end_waits()
    with daemon(desk) as running:
        running.until("sky: posted: Article zero")
        assert running.end() == 0
    assert seen_on(pds) == ["zero"]


@pytest.mark.fault("P01")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_p01_a_second_signal_cuts_at_once(desk: Desk, pds: FakePds, number: int) -> None:
    with in_a_silent_send(desk, pds, grace=15) as running:
        begun = time.monotonic()
        running.process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.3)
        assert running.end(number) == 0
        assert time.monotonic() - begun < 5
    assert desk.row("zero", "sky").state is State.VERIFYING


@pytest.mark.fault("P01")
def test_p01_a_send_that_ends_within_its_time_is_recorded_and_nothing_new_is_begun(desk: Desk, pds: FakePds) -> None:
    answered = threading.Event()

    def slow_clock() -> float:
        if any(call.name == "putRecord" for call in pds.calls):
            answered.wait(PATIENCE_SECONDS)
        return time.time()

    pds.clock = slow_clock
    desk.show("one")
    desk.configure(sky(pds), feeds=ALL)
    with daemon(desk, grace=15) as running:
        wait_for(pds, "putRecord")
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.3)
        answered.set()
        assert running.ended() == 0
    assert (desk.row("zero", "sky").state, desk.row("one", "sky").state) == (State.POSTED, State.READY)
    assert seen_on(pds) == ["zero"]


@pytest.mark.fault("P01")
def test_p01_killed_in_the_middle_of_a_send_it_goes_on_at_the_next_start(desk: Desk, pds: FakePds) -> None:
    with in_a_silent_send(desk, pds, grace=15) as running:
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    assert desk.row("zero", "sky").state is State.SENDING
    desk.show("one")
    make_due(desk)
    with daemon(desk) as running:
        running.until("sky: verifying: Article zero")
        desk.end_waits()
        running.until("sky: posted: Article zero")
        desk.end_waits()
        running.until("sky: posted: Article one")
        assert running.end() == 0
    assert sorted(seen_on(pds)) == ["one", "zero"]


@pytest.mark.fault("P01")
def test_p01_what_cannot_be_cut_off_does_not_keep_it_alive(desk: Desk) -> None:
    desk.configure(PAGE, feeds=ALL)
    posts = desk.folder / "out" / "posts"
    posts.mkdir(parents=True)
    # A file that never ends, as on a disk that hangs.
    os.mkfifo(posts / f"{'0' * 32}.json")
    with daemon(desk, grace=0.2, last=0.2) as running:
        wait_for_row(desk, "zero", "page")
        while desk.row("zero", "page").state is not State.SENDING:
            time.sleep(0.01)
        begun = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - begun < 5
    assert running.told[-1] == "ended in the middle of something; the next start looks it up"
    (posts / f"{'0' * 32}.json").unlink()
    assert "1 delivery was left in the middle of a call" in desk("run").err
    desk.end_waits()
    with daemon(desk) as running:
        running.until("page: posted: Article zero")
        assert running.end() == 0
    assert desk.pages() == {"zero"}


# --- others beside it ------------------------------------------------------------------------------------------------


def test_a_second_daemon_refuses_to_start(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        second = desk.process("daemon")
        assert second.code == 1
        pattern = rf"another daemon is at work \(pid {running.process.pid}, since [\d: -]+ UTC\)"
        assert re.search(pattern, second.err)
        assert running.end() == 0
    assert desk.folder.joinpath("autopublish.db.d", "daemon.lock").read_text() == ""


@pytest.mark.fault("D12")
def test_d12_a_run_beside_it_leaves_an_account_that_it_works_on_and_does_the_rest(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), PAGE, feeds=ALL)
    pds.script("putRecord", SILENT)
    with daemon(desk) as running:
        running.until("page: posted: Article zero")
        wait_for(pds, "putRecord")
        desk.show("one")
        ran = desk("run", "--json")
        document = ran.json()
        assert (ran.code, document["busy"], document["polled"][0]["status"]) == (0, None, "new")
        reasons = {one["account"]: one["reason"] for one in document["accounts"]}
        assert reasons["sky"].startswith(f"busy: daemon, pid {running.process.pid}, since ")
        assert reasons["page"] is None
        assert desk.row("one", "page").state is State.POSTED
        assert desk.row("one", "sky").state is State.READY
        assert desk.row("zero", "sky").state is State.SENDING, "what another process sends is its own"


def test_a_run_beside_it_leaves_a_feed_that_it_polls(desk: Desk) -> None:
    with FeedSite() as site:
        site.script("/feed/", Answer(body=document([]), delay_seconds=PATIENCE_SECONDS))
        slow = f"  slow:\n    url: {site.url('/feed/')}\n    allow_private: yes\n"
        desk.configure(PAGE, feeds=slow + FEED)
        with daemon(desk) as running:
            running.until("news: first poll")
            polled = desk("run", "--json").json()["polled"]
            assert [(one["feed"], one["status"]) for one in polled] == [("slow", "busy"), ("news", "nothing new")]
            assert polled[0]["reason"].startswith(f"daemon, pid {running.process.pid}, since ")
            assert polled[0]["reason"].endswith(" is polling it")
            running.process.kill()


@pytest.mark.fault("D12")
def test_d12_what_it_sends_stays_its_own_while_it_stands_still_and_is_free_when_it_is_dead(
    desk: Desk, pds: FakePds
) -> None:
    with in_a_silent_send(desk, pds, grace=15) as running:
        running.process.send_signal(signal.SIGSTOP)
        desk.show("one")
        assert "busy" in desk("run", "--json").json()["accounts"][0]["reason"]
        assert (desk.row("zero", "sky").state, desk.row("one", "sky").state) == (State.SENDING, State.READY)
        running.process.kill()
        running.process.wait()
    assert "1 delivery was left in the middle of a call" in desk("run").err
    assert (desk.row("zero", "sky").unclosed, locks(desk)) == (True, [])
    for _ in range(2):
        desk.end_waits()
        desk("run")
    assert sorted(seen_on(pds)) == ["one", "zero"]


def test_what_a_person_decides_meanwhile_it_sees(desk: Desk) -> None:
    desk.configure(PAGE, feeds=ALL)
    with daemon(desk) as running:
        running.until("posted: Article zero")
        assert desk("accounts", "pause", "page").code == 0
        desk.show("one")
        make_due(desk)
        wait_for_row(desk, "one", "page")
        assert desk.row("one", "page").state is State.READY
        assert desk("accounts", "resume", "page").code == 0
        running.until("posted: Article one")
        assert running.end() == 0


# --- its configuration -----------------------------------------------------------------------------------------------


def test_a_changed_file_is_taken_over(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        desk.configure(PAGE, SECOND)
        running.until("the configuration was read again")
        desk.show("one")
        make_due(desk)
        running.until("page: posted: Article one").until("second: posted: Article one")
        assert running.end() == 0


@pytest.mark.fault("O01")
def test_o01_a_wrong_file_is_told_once_with_its_place_and_the_one_of_before_stays_in_force(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        desk.configure(PAGE.replace("    platform: page\n", ""))
        running.until("stays in force")
        desk.show("one")
        make_due(desk)
        running.until("page: posted: Article one")
        desk.configure(PAGE, SECOND)
        running.until("the configuration was read again")
        assert running.end() == 0
    (wrong,) = [line for line in running.told if "accounts.page.platform: this key is required" in line]
    assert "autopublish.yaml:5:3: " in wrong


def test_it_reads_its_file_when_it_is_asked_to(desk: Desk) -> None:
    with daemon(desk, minute=60) as running:
        running.until("first poll")
        for _ in range(2):
            desk.configure(PAGE.replace("    platform: page\n", ""))
            running.process.send_signal(signal.SIGHUP)
            running.until("stays in force")
            running.told.clear()
        desk.configure(PAGE, SECOND)
        running.process.send_signal(signal.SIGHUP)
        running.until("the configuration was read again")
        assert running.end() == 0
    with desk.store() as store:
        assert list(store.standings()) == ["page", "second"]


def test_another_store_is_not_taken_while_it_is_at_work(desk: Desk) -> None:
    with daemon(desk) as running:
        running.until("first poll")
        desk.configure(PAGE, more="store: sqlite:///other.db\n")
        running.until("another store is taken by a daemon that is started anew")
        assert running.end() == 0
    assert not (desk.folder / "other.db").exists()


# --- what there is to do ---------------------------------------------------------------------------------------------

EVERY = timedelta(minutes=5)


def woken(world: World) -> dict[tuple[str, str], datetime | None]:
    """Whom the pipeline wakes, and for when (None: now), once it is told to wake everything."""
    times: dict[tuple[str, str], datetime | None] = {}

    def wake(verb: str, key: str, at: datetime | None = None) -> None:
        times[verb, key] = at

    def never(*_: object) -> NoReturn:
        raise AssertionError("who only looks what there is to do asks nobody")

    with world.store() as store, closing(Client(user_agent="test")) as client:
        parts = Parts(
            store=store,
            client=client,
            clock=world.clock,
            accounts=lambda: world.accounts,
            describe=never,
            connect=never,
            pictures=never,
            wake=wake,
        )
        Pipeline(parts).wake_all()
        names = {feed.id: feed.settings.name for feed in store.feeds()}
    return {(verb, names.get(key, key)): at for (verb, key), at in times.items()}


def change_feed(world: World, **values: Any) -> None:
    """The store holds the feed with these values instead."""
    with world.store() as store:
        store.save_feeds([replace(world.feed(), **values)])


def test_a_feed_is_woken_when_its_every_has_passed_and_not_earlier(world: World) -> None:
    world.open_site()
    polled = world.clock() - EVERY
    assert woken(world) == {("poll", "news"): None}
    world.clock.move_to(polled + timedelta(minutes=1))
    assert woken(world) == {("poll", "news"): polled + EVERY}


def test_a_feed_that_told_to_wait_is_woken_then_and_one_that_is_gone_never(world: World) -> None:
    world.open_site()
    until = world.clock() + timedelta(hours=2)
    change_feed(world, not_before=until)
    assert woken(world) == {("poll", "news"): until}
    change_feed(world, gone=True)
    assert woken(world) == {}


def test_a_blocked_account_is_looked_at_each_time_and_a_paused_one_is_not(world: World) -> None:
    world.add_account("strong")
    world.open_site()
    world.show_more(world.news("one"))
    world.tokens["strong"] = ""
    world.run()
    assert woken(world)["drain", "strong"] is None
    world.tokens["strong"] = "good"
    world.pause("strong")
    assert ("drain", "strong") not in woken(world)
    world.resume("strong")
    assert woken(world)["drain", "strong"] is not None
    world.until_quiet()


def test_what_is_unknown_wakes_its_account_when_it_is_to_be_looked_up(world: World) -> None:
    world.add_account("strong")
    world.open_site()
    world.network.script("strong", Call.PUBLISH, Step(say=Say.FAILED, creates=AT_ONCE))
    world.show_more(world.news("one"))
    world.run()
    assert woken(world)["drain", "strong"] == world.delivery("one", "strong").look_at
    world.until_quiet()


# --- the service manager ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket, and what the environment says of it."""
    name = f"{folder}/notify" if request.param == "path" else f"@autopublish-{os.getpid()}-{time.monotonic_ns()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listener.settimeout(PATIENCE_SECONDS)
        yield name, listener


def heard(listener: socket.socket, line: str) -> list[str]:
    """What was told up to a message that begins with the line, as the lines of that message."""
    while True:
        told = listener.recv(4096).decode().split("\n")
        if told[0].startswith(line):
            return told


def all_heard(listener: socket.socket) -> set[str]:
    """The first line of everything that was told and not heard yet."""
    listener.settimeout(0)
    told = set()
    with contextlib.suppress(BlockingIOError):
        while message := listener.recv(4096):
            told.add(message.decode().split("\n")[0])
    return told


@pytest.mark.fault("P03")
def test_p03_the_service_manager_is_told_how_it_is(desk: Desk, manager: tuple[str, socket.socket]) -> None:
    name, listener = manager
    with daemon(desk, minute=60, environment={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"}) as running:
        assert heard(listener, "READY=1") == ["READY=1", "STATUS=1 feed, 1 account"]
        heard(listener, "WATCHDOG=1")
        before = time.monotonic_ns() // 1000
        running.process.send_signal(signal.SIGHUP)
        reloading = heard(listener, "RELOADING=1")
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert before <= int(reloading[1].partition("=")[2]) <= time.monotonic_ns() // 1000
        heard(listener, "READY=1")
        running.process.send_signal(signal.SIGTERM)
        heard(listener, "STOPPING=1")
        assert running.ended() == 0


@pytest.mark.fault("P03", "P05")
@pytest.mark.parametrize("limit", ["pulse", "silence"])
def test_p03_p05_the_watchdog_is_not_fed_while_nothing_is_looked_at(
    desk: Desk, manager: tuple[str, socket.socket], limit: str
) -> None:
    name, listener = manager
    watched = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"}
    with daemon(desk, minute=60, environment=watched, **{limit: 0.0}) as running:
        running.until("first poll")
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        assert running.end() == 0
    assert all_heard(listener) == {"READY=1", "STATUS=1 feed, 1 account", "STOPPING=1"}


@pytest.mark.fault("C02")
def test_c02_a_network_that_is_asked_for_the_time_and_hangs_does_not_keep_the_daemon_from_looking_at_everything(
    desk: Desk, pds: FakePds
) -> None:
    # A clock that nobody could judge yet, and an account that was stopped for it.
    desk.configure(sky(pds))
    desk.show("zero")
    desk("run")
    with desk.store() as store:
        was = store.standing("sky")
        store.save_standing(was, deliveries.stopped_for_clock(was, WRONG), now=datetime.now(UTC))
    pds.calls.clear()
    pds.script("createSession", SILENT)
    with daemon(desk) as running:
        wait_for(pds, "createSession")
        ticks = set()
        for _ in range(int(PATIENCE_SECONDS * 100)):
            with desk.store() as store:
                ticks.add(store.note(LAST_TICK))
            if len(ticks) > 3:
                break
            time.sleep(0.01)
        assert len(pds.called("createSession")) == 1, "it is still being asked"
        assert len(ticks) > 3
        assert running.end(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=["none", "for all", "for us", "for another", "off", "no number"],
)
def test_the_watchdog_is_told_twice_as_often_as_it_asks_for(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).every_seconds == seconds


def test_a_service_manager_that_went_away_stops_nothing(folder: Path) -> None:
    Notifier({"NOTIFY_SOCKET": f"{folder}/gone"})("READY=1")
    Notifier({"NOTIFY_SOCKET": "@gone"})("READY=1")


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_feed_that_cannot_be_read_is_told_once_and_that_it_is_read_again() -> None:
    told: list[str] = []
    news = News(told.append)
    failed = Polled(feed="news", status="failed", reason="timed out")
    for polled in (failed, failed, Polled(feed="news", status="waiting", reason="told to wait"), failed):
        news.tell_poll(polled)
    news.tell_poll(Polled(feed="news", status="not modified"))
    news.tell_poll(failed)
    assert told == ["news: cannot be read: timed out", "news: is read again", "news: cannot be read: timed out"]


def test_what_a_feed_has_to_say_is_told_again_when_it_was_over_meanwhile() -> None:
    told: list[str] = []
    news = News(told.append)
    gap, quiet = Polled(feed="news", status="new", reason="a gap"), Polled(feed="news", status="not modified")
    for polled in (gap, gap, quiet, gap):
        news.tell_poll(polled)
    assert told == ["news: a gap", "news: a gap"]


def test_an_account_that_is_blocked_again_after_it_posted_is_told_again(world: World) -> None:
    told: list[str] = []
    news = News(told.append)
    world.add_account("strong")
    world.open_site()
    world.show_more(world.news("one"))
    world.until_quiet()
    row = world.delivery("one", "strong")
    with world.store() as store:
        posted = Changed(delivery=row, article=store.article(row.article), was=State.SENDING)
    blocked = Trouble(account="strong", reason="the token is dead")
    for _ in range(2):
        news.tell_trouble(blocked)
        news.tell_trouble(blocked)
        news.tell_change(posted)
    assert told.count("strong: the token is dead") == 2


def test_an_account_that_is_stopped_again_after_it_was_active_is_told_again(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds).replace(f"env:{SECRET}", "file:secret"))
    secret = desk.folder / "secret"
    with daemon(desk) as running:
        running.until("sky: ")
        first = running.told[-1]
        secret.write_text(pds.password)
        secret.chmod(0o600)
        for _ in range(int(PATIENCE_SECONDS * 100)):
            with desk.store() as store:
                if store.standing("sky").state is AccountState.ACTIVE:
                    break
            time.sleep(0.01)
        time.sleep(0.3)  # three times a minute of this daemon, so that it has looked
        secret.unlink()
        running.told.clear()
        desk.show("one")
        make_due(desk)
        running.until(first)
        assert running.end() == 0
