"""What befalls the store's disk and file: full, locked, damaged, deleted, put back, killed in the middle of a step."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autopublish.errors import StoreError, StoreLocked
from autopublish.models import AccountState, State
from autopublish.pipeline import _drain
from autopublish.store import _copies, _sqlite, _store, open_store
from autopublish.store._sqlite import Transaction
from autopublish.store._statements import migrations, newest_version, statements
from tests.bench.clock import Clock
from tests.bench.network import AT_ONCE, Call, Network, Say, Step
from tests.bench.points import PointedDatabase, Points
from tests.bench.world import World, assert_invariants
from tests.desk import FEED, PAGE, Desk, seen_on, sky
from tests.servers.pds import FakePds
from tests.test_daemon import ALL, daemon, make_due, wait_for

ENOUGH = 300_000_000
DAY = timedelta(days=1)


# --- a disk that gets full, a lock that others hold ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps the store from being written, until it is over."""

    begin: Callable[[], None]
    end: Callable[[], None]
    #: What the program says of it.
    words: str


class When(Points):
    """Lets something happen at points of the program."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "points.log")
        self._happens: dict[str, Callable[[], None]] = {}
        self.passed: list[str] = []

    def at(self, name: str, happen: Callable[[], None], *, time: int = 1) -> None:
        """It happens there, when the point is passed for this time."""
        self._happens[f"{name} {time}"] = happen

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        happen = self._happens.pop(f"{name} {self.passed.count(name)}", None)
        if happen is not None:
            happen()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own of this size, in memory."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "autopublish-test", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def resize(folder: Path, size_bytes: int) -> None:
    """The small file system has this size now."""
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", folder], check=True)


def fill(folder: Path) -> None:
    """Not one page more fits on the small file system."""
    disk = os.statvfs(folder)
    resize(folder, (disk.f_blocks - disk.f_bfree) * disk.f_frsize)


@contextmanager
def full_disk(tmp_path: Path) -> Iterator[tuple[Path, Trouble]]:
    """A real file system, which gets full."""
    with small_disk(tmp_path / "disk", ENOUGH) as folder:
        yield (
            folder,
            Trouble(lambda: fill(folder), lambda: resize(folder, ENOUGH), "the disk that holds the store .* full"),
        )


@contextmanager
def file_limit(tmp_path: Path) -> Iterator[tuple[Path, Trouble]]:
    """No file of this process may grow any more, as where a quota is used up."""
    folder = tmp_path / "limited"
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def begin() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "autopublish.db-wal").stat().st_size, hard))

    def end() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    try:
        yield folder, Trouble(begin, end, "the disk that holds the store .* failed or is full")
    finally:
        end()
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def other_program(tmp_path: Path) -> Iterator[tuple[Path, Trouble]]:
    """Another program holds the write lock."""
    folder = tmp_path / "locked"
    folder.mkdir()
    path = folder / "autopublish.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        yield (
            folder,
            Trouble(
                lambda: void(other.execute("BEGIN IMMEDIATE")),
                lambda: void(other.execute("ROLLBACK")),
                "was locked by another program",
            ),
        )


def void(_: object) -> None:
    """Nothing of it is wanted."""


TROUBLES = {
    "a full disk": pytest.param(full_disk, marks=pytest.mark.fault("S01")),
    "a used-up quota": pytest.param(file_limit, marks=pytest.mark.fault("S01")),
    "a lock": pytest.param(other_program, marks=pytest.mark.fault("S03")),
}


@dataclass(slots=True)
class Troubled:
    """A world whose store meets trouble at a point of the program."""

    world: World
    trouble: Trouble
    when: When
    platform: str = field(default="")

    def start(self, platform: str) -> World:
        """An account that has posted `zero`, and an article `one` that waits for its first run."""
        self.platform = platform
        world = self.world
        world.add_account(platform)
        world.open_site()
        world.show_more(world.news("zero"))
        world.run()
        world.clock.move(minutes=5)
        world.show_more(world.news("one"))
        self.when.passed.clear()
        world.edge = self.when
        return world

    def asked(self, call: Call) -> int:
        """So many such calls came, after that for `zero`."""
        count = sum(one.call is call for one in self.world.network.asked)
        return count - (call is Call.PUBLISH)


@pytest.fixture
def troubled(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Troubled]:
    """A world on a disk of its own."""
    monkeypatch.setattr(_sqlite, "BUSY_SECONDS", 0.05)
    clock = Clock(tmp_path / "clock")
    when = When(tmp_path)
    PointedDatabase.points = when
    monkeypatch.setattr(_store, "Database", PointedDatabase)
    with request.param(tmp_path) as (folder, trouble), Network(clock) as network:
        made = Troubled(World(folder, network, clock), trouble, when)
        yield made
        assert_invariants(made.world)


@pytest.mark.parametrize("troubled", TROUBLES.values(), ids=TROUBLES, indirect=True)
@pytest.mark.fault("S01", "S03")
def test_s01_s03_a_store_that_does_not_take_the_intent_sends_nothing_and_skips_nothing(troubled: Troubled) -> None:
    world = troubled.start("strong")
    troubled.when.at("intend: before", troubled.trouble.begin)
    with pytest.raises(StoreError, match=troubled.trouble.words):
        world.run()
    troubled.trouble.end()
    assert troubled.asked(Call.PUBLISH) == 0
    assert (world.delivery("one", "strong").state, world.attempts("one", "strong")) == (State.READY, ())
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.parametrize("troubled", TROUBLES.values(), ids=TROUBLES, indirect=True)
@pytest.mark.fault("S01", "S03")
def test_s01_s03_what_became_of_a_call_is_kept_in_memory_and_written_once_the_store_takes_it(
    troubled: Troubled,
) -> None:
    # Nobody can look it up there: what is not kept is lost.
    world = troubled.start("blind")
    troubled.when.at("publish: answered", troubled.trouble.begin)
    troubled.when.at("settle: before", troubled.trouble.end, time=2)
    with pytest.raises(StoreError, match=troubled.trouble.words):
        world.run()
    row = world.delivery("one", "blind")
    (attempt,) = world.attempts("one", "blind")
    assert (row.state, row.receipt is not None, row.unclosed) == (State.POSTED, True, False)
    assert attempt.finished is not None
    world.until_quiet()
    assert (world.posted("blind"), troubled.asked(Call.PUBLISH)) == (["zero", "one"], 1)


@pytest.mark.parametrize("troubled", TROUBLES.values(), ids=TROUBLES, indirect=True)
@pytest.mark.parametrize(
    ("platform", "expected"), [("strong", State.POSTED), ("blind", State.NEEDS_REVIEW)], ids=["can look", "cannot look"]
)
@pytest.mark.fault("S01", "S03")
def test_s01_s03_what_became_of_a_call_that_was_never_written_is_looked_up_and_never_sent_again(
    troubled: Troubled, platform: str, expected: State
) -> None:
    world = troubled.start(platform)
    troubled.when.at("publish: answered", troubled.trouble.begin)
    with pytest.raises(StoreError, match=troubled.trouble.words):
        world.run()
    troubled.trouble.end()
    assert world.delivery("one", platform).state is State.SENDING
    world.until_quiet()
    assert world.delivery("one", platform).state is expected
    assert (world.posted(platform), troubled.asked(Call.PUBLISH)) == (["zero", "one"], 1)


@pytest.mark.parametrize("troubled", [TROUBLES["a full disk"]], ids=["a full disk"], indirect=True)
@pytest.mark.fault("S01")
def test_s01_a_refusal_that_could_not_be_written_is_no_unknown_outcome(troubled: Troubled) -> None:
    world = troubled.start("blind")
    world.network.script("blind", Call.PUBLISH, Step(say=Say.REFUSED))
    troubled.when.at("publish: answered", troubled.trouble.begin)
    troubled.when.at("settle: before", troubled.trouble.end, time=2)
    with pytest.raises(StoreError):
        world.run()
    assert world.delivery("one", "blind").state is State.REJECTED
    assert world.posted("blind") == ["zero"]


def crowded(world: World, account: str) -> str:
    """What the run says of an account whose disk is nearly full, while the feed is read all the same."""
    journal = world.run()
    assert [polled.failed for polled in journal.polled] == [False]
    assert world.delivery("one", account).state is State.READY
    (trouble,) = journal.troubles.values()
    assert trouble.failed, "a person must free some space"
    return trouble.reason


@pytest.mark.fault("S01")
def test_s01_with_less_than_100_mb_free_nothing_is_sent_until_there_is_room(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    with small_disk(tmp_path / "disk", ENOUGH) as folder, Network(clock) as network:
        world = Troubled(World(folder, network, clock), Trouble(print, print, ""), When(tmp_path)).start("strong")
        resize(folder, 90_000_000)
        assert "less than 100 MB are free where" in crowded(world, "strong")
        assert world.posted("strong") == ["zero"]
        resize(folder, ENOUGH)
        clock.move(minutes=1)
        world.run()
        assert world.posted("strong") == ["zero", "one"]
        assert_invariants(world)


@pytest.mark.fault("S01")
def test_s01_what_is_unknown_is_looked_up_though_the_disk_is_nearly_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_account("strong")
    world.open_site()
    world.network.script("strong", Call.PUBLISH, Step(say=Say.FAILED, creates=AT_ONCE))
    world.show_more(world.news("one"))
    world.run()
    monkeypatch.setattr(_drain, "LITTLE_BYTES", 10**18)
    world.until_quiet()
    assert world.delivery("one", "strong").state is State.POSTED
    world.show_more(world.news("two"))
    world.run()
    assert world.posted("strong") == ["one"]
    monkeypatch.undo()
    world.until_quiet()
    assert world.posted("strong") == ["one", "two"]


@pytest.mark.fault("S01")
def test_s01_a_disk_that_does_not_say_how_much_fits_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_account("strong")
    world.open_site()
    world.show_more(world.news("one"))
    monkeypatch.setattr(_drain, "free_bytes", lambda _folder: None)
    world.run()
    assert world.posted("strong") == ["one"]


@pytest.mark.fault("S01")
def test_s01_the_daemon_writes_what_became_of_a_call_as_soon_as_there_is_room(tmp_path: Path, pds: FakePds) -> None:
    with small_disk(tmp_path / "disk", ENOUGH) as folder:
        desk = Desk(folder)
        desk.configure(sky(pds), feeds=ALL)
        desk.show("zero")
        filled: list[bool] = []

        def fill_once() -> float:
            if not filled and any(call.name == "putRecord" for call in pds.calls):
                filled.append(True)
                fill(folder)
            return datetime.now(UTC).timestamp()

        pds.clock = fill_once
        with daemon(desk, minute=1) as running:
            running.until("full")
            resize(folder, ENOUGH)
            running.until("sky: posted: Article zero")
            assert running.end() == 0
        assert [event.what for event in events(desk, "zero")][-1] == "SENDING -> POSTED"
        assert (seen_on(pds), len(pds.called("putRecord"))) == (["zero"], 1)


def events(desk: Desk, name: str) -> tuple[_store.Event, ...]:
    """What happened to the delivery of an article to `sky`."""
    row = desk.row(name, "sky")
    with desk.store() as store:
        return store.events(row.id)


# --- power loss ------------------------------------------------------------------------------------------------------

#: The program with a store that is synced as it is, or as one would who finds that too slow.
RUN = """
import sqlite3, sys
from autopublish.cli import main
from autopublish.store import _sqlite

level = sys.argv.pop(1)
connect = _sqlite.Database._connect

def with_level(self):
    connection = connect(self)
    connection.execute(f"PRAGMA synchronous={level}")
    return connection

if level != "as it is":
    _sqlite.Database._connect = with_level
main()
"""
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>")


def unsynced_at_first_byte(trace: str) -> list[int]:
    """At each POST that creates something, how many writes to the log had not been forced to the disk yet."""
    found, dirty, syncing = [], 0, set()
    for line in trace.splitlines():
        if resumed := _RESUMED.match(line):
            if resumed["call"] == "fdatasync" and resumed["pid"] in syncing:
                dirty = 0
            continue
        if not (call := _CALL.match(line)):
            continue
        if call["call"] == "pwrite64" and "autopublish.db-wal>" in call["arguments"]:
            dirty += 1
        elif call["call"] in ("fdatasync", "fsync") and "autopublish.db-wal>" in call["arguments"]:
            if "unfinished" in line:
                syncing.add(call["pid"])
            else:
                dirty = 0
        elif "POST /xrpc/com.atproto.repo.putRecord" in call["arguments"]:
            found.append(dirty)
    return found


@pytest.mark.fault("S02")
@pytest.mark.parametrize(("level", "is_safe"), [("as it is", True), ("NORMAL", False)], ids=["ours", "a faster one"])
def test_s02_the_intent_is_forced_to_the_disk_before_the_first_byte(
    desk: Desk, pds: FakePds, tmp_path: Path, level: str, is_safe: bool
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace, which shows in which order the kernel is asked")
    desk.configure(sky(pds), feeds=ALL)
    log = tmp_path / "trace"
    line = [strace, "-f", "-qq", "-y", "-s", "64", "-o", str(log), "-e", "trace=pwrite64,fsync,fdatasync,sendto,write"]
    ran = subprocess.run(
        [*line, sys.executable, "-c", RUN, level, "run"], env=desk.variables(), capture_output=True, check=False
    )
    if b"ptrace" in ran.stderr:
        pytest.skip("this machine lets nobody trace a process")
    assert ran.returncode == 0, ran.stderr
    assert seen_on(pds) == ["zero"]
    (unsynced,) = unsynced_at_first_byte(log.read_text())
    assert (unsynced == 0) == is_safe


class Watched(PointedDatabase):
    """Notes how the connection is set of each transaction that writes."""

    seen: ClassVar[set[tuple[int, int, str]]] = set()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        connection = self._connection()
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        self.seen.add((id(connection), level, mode))
        with super().write() as transaction:
            yield transaction


@pytest.mark.fault("S02")
def test_s02_every_connection_that_writes_syncs_in_full_and_keeps_a_log(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Watched.points = When(tmp_path)
    monkeypatch.setattr(Watched, "seen", set())
    monkeypatch.setattr(_store, "Database", Watched)
    for platform in ("strong", "keyed", "blind"):
        world.add_account(platform)
        world.network.script(platform, Call.PUBLISH, Step())
    world.open_site()
    world.show_more(world.news("one"))
    world.run()
    full = 2  # https://www.sqlite.org/pragma.html#pragma_synchronous
    assert {(level, mode) for _, level, mode in Watched.seen} == {(full, "wal")}
    assert len({connection for connection, *_ in Watched.seen}) > 1, "threads have connections of their own"


# --- locked by others ------------------------------------------------------------------------------------------------

#: The daemon of `tests/test_daemon.py`, which waits for locks as long as a test can.
IMPATIENT = "from autopublish.store import _sqlite; _sqlite.BUSY_SECONDS = 0.05"


@pytest.mark.fault("S03")
def test_s03_a_lock_of_others_neither_ends_the_daemon_nor_loses_what_came_meanwhile(
    folder: Path, tmp_path: Path
) -> None:
    # As many feeds as make five failures at once.
    names = [f"f{number}" for number in range(6)]
    desk = Desk(folder)
    desk.configure(PAGE, feeds="".join(f"  {name}:\n    url: ./{name}.xml\n" for name in names))
    for name in names:
        desk.show(f"old-{name}", feed=f"{name}.xml")
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    with daemon(desk, minute=0.05, environment={"PYTHONPATH": path}) as running:
        for name in names:
            running.until(f"{name}: first poll")
        with closing(sqlite3.connect(folder / "autopublish.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for name in names:
                desk.show(f"new-{name}", feed=f"{name}.xml")
            running.until("was locked by another program")
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(1)
            other.execute("ROLLBACK")
        make_due(desk)
        for name in names:
            running.until(f"posted: Article new-{name}")
        assert running.end() == 0
    assert desk.pages() == {f"new-{name}" for name in names}
    assert sum("was locked" in line for line in running.told) == 1, "told once"


@pytest.mark.fault("S03")
def test_s03_another_error_of_the_store_is_no_lock(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/autopublish.db")) as store:
        with closing(sqlite3.connect(store.path)) as other, other:
            other.execute("DROP TABLE feeds")
        with pytest.raises(StoreError) as caught:
            store.feeds()
    assert not isinstance(caught.value, StoreLocked)


@pytest.mark.long
@pytest.mark.fault("S03")
def test_s03_a_run_waits_ten_seconds_for_a_lock_and_leaves_the_rest_to_the_next(desk: Desk) -> None:
    desk("run")
    desk.show("one")
    with closing(sqlite3.connect(desk.folder / "autopublish.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = datetime.now(UTC)
        said = desk.process("run")
        assert timedelta(seconds=10) <= datetime.now(UTC) - begun < timedelta(seconds=29)
        assert said.code == 2
        assert "was locked by another program" in said.err
        assert "Traceback" not in said.err
    assert desk.process("run").code == 0
    assert desk.pages() == {"one"}


# --- damaged ---------------------------------------------------------------------------------------------------------


def flip_bytes(desk: Desk, *tables: str) -> bytes:
    """Pages of these tables are no pages any more; gives what the file holds then."""
    path = desk.folder / "autopublish.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        names = ", ".join("?" * len(tables))
        roots = other.execute(f"SELECT rootpage FROM sqlite_master WHERE tbl_name IN ({names})", tables).fetchall()
        (size,) = other.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        for (page,) in roots:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
    return path.read_bytes()


@pytest.mark.fault("S04")
def test_s04_a_daemon_does_not_start_on_a_damaged_store_which_is_kept(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    desk.show("one")
    with desk.store() as store:
        store.keep_note("checked", "2020-01-01")
    damaged = flip_bytes(desk, "events")
    calls = len(pds.calls)
    said = desk.process("daemon")
    assert said.code == 2
    assert "is damaged" in said.err
    assert "autopublish db restore" in said.err
    assert (len(pds.calls), (desk.folder / "autopublish.db").read_bytes()) == (calls, damaged)


@pytest.mark.fault("S04")
def test_s04_a_daemon_that_meets_damage_sends_nothing_more_and_ends_for_a_person_to_look(
    desk: Desk, pds: FakePds
) -> None:
    desk.configure(sky(pds))
    with daemon(desk, minute=0.1) as running:
        running.until("first poll")
        desk.show("one")
        flip_bytes(desk, "deliveries", "articles", "meta")
        # Somebody else wrote: nobody may rely on the pages that he remembers.
        with closing(sqlite3.connect(desk.folder / "autopublish.db")) as other, other:
            other.execute("UPDATE feeds SET last_try = last_try - 3600000000")
        assert running.ended() == 1
    assert any("is damaged. Keep the file" in line for line in running.told)
    assert pds.called("putRecord") == []
    assert desk.process("run").code == 2
    assert pds.called("putRecord") == []


# --- deleted, mistyped, put back -------------------------------------------------------------------------------------


@pytest.mark.fault("S05")
@pytest.mark.parametrize("first_run", ["none", "all"])
def test_s05_under_a_mistyped_path_nothing_is_posted_a_second_time(desk: Desk, pds: FakePds, first_run: str) -> None:
    desk.configure(sky(pds), feeds=ALL)
    desk("run")
    desk.show("one")
    desk("run")
    before = pds.visible()
    assert len(before) == 2
    desk.configure(sky(pds), feeds=FEED + f"    first_run: {first_run}\n", more="store: sqlite:///autopubilsh.db\n")
    for _ in range(2):
        assert desk("run").code == 0
    assert (desk.folder / "autopubilsh.db").exists()
    assert pds.visible() == before, "the same post has the same key in every store"


@pytest.mark.fault("S05")
def test_s05_a_store_deleted_under_the_daemon_sends_nothing_and_the_next_start_is_in_safe_mode(
    desk: Desk, pds: FakePds
) -> None:
    desk.configure(sky(pds))
    with daemon(desk, minute=0.1) as running:
        running.until("first poll")
        desk.show("one")
        make_due(desk)
        for end in ("", "-wal", "-shm"):
            Path(f"{desk.folder}/autopublish.db{end}").unlink(missing_ok=True)
        running.until("was deleted, moved or replaced")
        running.process.kill()
    assert pds.called("putRecord") == []
    said = desk("run")
    assert (said.code, pds.called("putRecord")) == (1, [])
    assert states(desk) == {"sky": AccountState.SAFE_MODE}


def states(desk: Desk) -> dict[str, AccountState]:
    """Where the accounts stand."""
    with desk.store() as store:
        return {name: one.state for name, one in store.standings().items()}


@pytest.mark.fault("S06")
def test_s06_a_daemon_on_a_copy_of_yesterday_sends_nothing_before_a_person_looked(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    desk("db", "backup", str(desk.folder / "copy.db"))
    for name in ("one", "two"):
        desk.show(name)
        desk("run")
    posted = pds.visible()
    desk.show("three")
    for end in ("-wal", "-shm"):
        Path(f"{desk.folder}/autopublish.db{end}").unlink(missing_ok=True)
    shutil.copy(desk.folder / "copy.db", desk.folder / "autopublish.db")
    with daemon(desk, minute=0.1) as running:
        running.until("an older copy was put back")
        make_due(desk)
        running.until("sky: held: Article three")
        assert running.end() == 0
    assert pds.visible() == posted
    assert desk("go").code == 0
    desk("run")
    assert sorted(seen_on(pds)) == ["one", "three", "two"]
    assert len(pds.called("putRecord")) == 3


# --- migrations ------------------------------------------------------------------------------------------------------

#: Dies before the statement of this number of the step that makes a store, or after the last one.
MAKE = """
import os, signal, sys
from dataclasses import replace
from autopublish.store import _statements, _store, open_store

url, last = sys.argv[1:]
steps = _statements.migrations()

def until(number):
    for place, statement in enumerate(steps[0].statements):
        if place == number:
            os.kill(os.getpid(), signal.SIGKILL)
        yield statement
    os.kill(os.getpid(), signal.SIGKILL)

for number in range(int(last)):
    child = os.fork()
    if child == 0:
        _store.migrations = lambda: (replace(steps[0], statements=until(number)),)
        open_store(f"{url}/{number}.db")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def form(path: Path) -> list[tuple[object, ...]]:
    """The tables and what is noted of the steps that made them."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        return tables + connection.execute("SELECT name, value FROM meta ORDER BY 1").fetchall()


@pytest.mark.fault("S08")
def test_s08_killed_before_any_statement_of_a_step_the_next_start_makes_all_of_it(folder: Path) -> None:
    with closing(open_store(f"sqlite:///{folder}/whole.db")):
        expected = form(folder / "whole.db")
    count = len(migrations()[0].statements) + 1
    subprocess.run([sys.executable, "-c", MAKE, f"sqlite:///{folder}", str(count)], check=True)
    for number in range(count):
        path = folder / f"{number}.db"
        with closing(sqlite3.connect(path)) as left:
            assert left.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,), f"half of it at {number}"
        open_store(f"sqlite:///{path}").close()
        assert form(path) == expected


#: Dies at a moment of the way to the next form of the store.
UPGRADE = """
import os, signal, sys
from autopublish.store import _copies, _statements, _store, open_store
from autopublish.store._statements import Migration

url, moment = sys.argv[1:]
steps, number = _statements.migrations(), _statements.newest_version() + 1
fill, name = _copies._fill, _copies._name
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def statements():
    yield "CREATE TABLE further (a)"
    if moment == "in the step":
        die()

def filled(source, part):
    fill(source, part)
    if moment == "in the copy":
        die()

def named(part, target, *, replacing):
    name(part, target, replacing=replacing)
    if moment == "after the copy":
        die()

_copies._fill, _copies._name = filled, named
_store.newest_version = lambda: number
_store.migrations = lambda: (*steps, Migration(number=number, name="further", statements=statements(), checksum="c"))
open_store(url).close()
if moment == "after the step":
    die()
"""


@pytest.mark.fault("S08")
@pytest.mark.parametrize(
    ("moment", "has_copy", "is_new"),
    [
        ("in the copy", False, False),
        ("after the copy", True, False),
        ("in the step", True, False),
        ("after the step", True, True),
    ],
    ids=["in the copy", "after the copy", "in the step", "after the step"],
)
def test_s08_killed_at_any_moment_of_an_upgrade_the_old_program_goes_on_with_the_store_or_its_copy(
    desk: Desk, moment: str, has_copy: bool, is_new: bool
) -> None:
    desk("run")
    path = desk.folder / "autopublish.db"
    before = form(path)
    killed = subprocess.run([sys.executable, "-c", UPGRADE, f"sqlite:///{path}", moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    copy = path.with_name(f"autopublish.db.before-{newest_version() + 1:03d}")
    assert copy.exists() == has_copy
    if has_copy:
        assert form(copy) == before
        with closing(sqlite3.connect(copy)) as copied:
            assert _copies.problems_in(copied, "integrity_check") == []
    desk.show("one")
    said = desk("run")
    if not is_new:
        assert (said.code, desk.pages()) == (0, {"one"})
        return
    assert said.code == 2
    assert "was made by a newer version" in said.err
    desk.configure(PAGE, more=f"store: sqlite:///{copy.name}\n")
    assert desk("db", "check").code == 0, "the copy is a store of the old form"


# --- years -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S09")
def test_s09_an_article_that_comes_back_years_later_is_still_known_by_each_of_its_names(desk: Desk) -> None:
    desk("run")
    desk.show("one")
    desk("run")
    assert desk.pages() == {"one"}
    with desk.store() as store:
        assert store.slim(datetime.now(UTC) + 400 * DAY, 60) > 0
    feed = desk.folder / "feed.xml"
    desk.show("two")
    # Another system makes the same pages, and other guids.
    feed.write_bytes(re.sub(rb"(<guid[^>]*>)", rb"\1system-2:", feed.read_bytes()))
    desk("run")
    desk.show("three")
    feed.write_bytes(re.sub(rb"<guid.*?</guid>", b"", feed.read_bytes()))
    desk("run")
    assert desk.pages() == {"one", "two", "three"}
    assert len(list((desk.folder / "out" / "posts").glob("*.json"))) == 3


#: What a poll and a drain ask in their transactions.
ASKED = (
    "alias_article", "trace_articles", "feed_by_id", "deliveries_of_article", "deliveries_ready", "deliveries_unknown",
    "attempts_counted", "attempt_by_id", "delivery_by_id", "account_by_name", "article_by_id",
)  # fmt: skip


@pytest.mark.fault("S09")
@pytest.mark.parametrize("name", ASKED)
def test_s09_what_each_poll_and_drain_asks_looks_at_no_row_but_those_it_wants(tmp_path: Path, name: str) -> None:
    open_store(f"sqlite:///{tmp_path}/autopublish.db").close()
    sql = statements()[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    with closing(sqlite3.connect(tmp_path / "autopublish.db")) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan
    assert [step for step in plan if step.startswith("SCAN")] == []


# --- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S10")
def test_s10_a_copy_that_cannot_be_read_back_is_noticed_when_it_is_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk("run")
    right = sqlite3.connect

    class Spoiled(sqlite3.Connection):
        """Its disk changes what it was given."""

        def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
            if sql.startswith("PRAGMA quick_check"):
                (root,) = super().execute("SELECT rootpage FROM sqlite_master WHERE name = 'articles'").fetchone()
                (part,) = desk.folder.glob(".copy.db.*.part")
                with part.open("r+b") as file:
                    file.seek((root - 1) * 4096)
                    file.write(b"\xff" * 4096)
            return super().execute(sql, values)

    def connect(path: Path, **options: Any) -> sqlite3.Connection:
        return right(path, factory=Spoiled) if ".part" in str(path) else right(path, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    said = desk("db", "backup", str(desk.folder / "copy.db"))
    monkeypatch.undo()
    assert said.code == 2
    assert "damaged" in said.err
    assert list(desk.folder.glob("*copy.db*")) == []


@pytest.mark.fault("S10")
def test_s10_a_backup_beside_a_daemon_at_work_is_whole_and_can_be_put_back(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), feeds=ALL)
    with daemon(desk) as running:
        wait_for(pds, "putRecord")
        assert desk("db", "backup", str(desk.folder / "copy.db")).code == 0
        running.until("sky: posted: Article zero")
        assert running.end() == 0
    assert desk("db", "check").code == 0
    assert desk("db", "restore", str(desk.folder / "copy.db")).code == 0
    assert desk("db", "check").code == 0
    desk("run")
    desk("go")
    desk.end_waits()
    desk("run")
    assert (seen_on(pds), desk.row("zero", "sky").state) == (["zero"], State.POSTED)
