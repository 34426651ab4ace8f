"""The care of the store: copies, checks, putting one back, and what tells that one was put back."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autopublish import deliveries
from autopublish.app import App, RunReport, build
from autopublish.errors import StoreError, Undecided
from autopublish.models import AccountState, Delivery, Evidence, ReadBack, Resolution, State
from autopublish.platforms.bluesky import Bluesky
from autopublish.store import Store, _copies, _marker, _slim, _store, care, open_store
from autopublish.store._marker import Marker, doubt
from tests.bench.newsroom import News, document
from tests.desk import FEED, PAGE, SECRET, Desk, seen_on, sky
from tests.servers.mastodon import FakeMastodon
from tests.servers.pds import FakePds
from tests.test_daemon import daemon

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HERE = "here"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A folder with a page of posts, and a feed that shows one article, on a machine of a known name."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.setenv(SECRET, FakePds.password)
    monkeypatch.setenv(_marker.INSTANCE, HERE)
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    return made


def db(desk: Desk) -> Path:
    """The store's file."""
    return desk.folder / "autopublish.db"


def beside(desk: Desk) -> Path:
    """The folder beside the store."""
    return desk.folder / "autopublish.db.d"


def begin(desk: Desk, *accounts: str) -> None:
    """These accounts are configured, and the first poll is over."""
    desk.configure(*(accounts or (PAGE,)))
    assert desk("run").code == 0


def remove(desk: Desk) -> None:
    """Somebody deletes the store, and leaves the folder beside it."""
    for end in ("", "-wal", "-shm"):
        Path(f"{db(desk)}{end}").unlink(missing_ok=True)


def put_back(desk: Desk, copy: Path) -> None:
    """Somebody copies a file over the store, without a word to the program."""
    remove(desk)
    shutil.copy(copy, db(desk))


def states(desk: Desk) -> dict[str, AccountState]:
    """Where the accounts stand."""
    with desk.store() as store:
        return {name: one.state for name, one in store.standings().items()}


def sql(path: Path, text: str) -> list[tuple[object, ...]]:
    """What a statement gives, past the program."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(text).fetchall()


def rewrite(desk: Desk, change: Callable[[News], News]) -> None:
    """The feed shows what it showed, changed."""
    desk._shown["feed.xml"] = [change(one) for one in desk._shown["feed.xml"]]
    (desk.folder / "feed.xml").write_bytes(document(desk._shown["feed.xml"]))


def with_body(one: News) -> News:
    """The article with a body."""
    return replace(one, summary="What the article says.")


def flip_bytes(path: Path, table: str) -> None:
    """The first page of a table is no page any more."""
    (row,) = sql(path, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")
    with path.open("r+b") as file:
        file.seek((int(str(row[0])) - 1) * 4096)
        file.write(b"\xff" * 4096)


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_a_whole_store_that_only_its_owner_may_read(desk: Desk) -> None:
    begin(desk)
    target = desk.folder / "copy.db"
    said = desk("db", "backup", str(target))
    assert (said.code, said.out) == (0, f"{target}: {target.stat().st_size} bytes, checked\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with desk.store() as store, closing(open_store(f"sqlite:///{target}")) as copy:
        assert copy.count_articles() == store.count_articles() == 1
        assert copy.problems() == ()


def test_a_backup_without_a_name_lies_beside_the_store(desk: Desk) -> None:
    begin(desk)
    said = desk("db", "backup")
    made = Path(said.out.partition(": ")[0])
    assert made.parent == beside(desk) / "copies"
    assert made.is_file()
    assert made not in _copies.kept(beside(desk)), "it is not one of the days, which are forgotten"


def test_a_backup_takes_no_files_place_without_force(desk: Desk) -> None:
    begin(desk)
    target = desk.folder / "copy.db"
    target.write_text("precious")
    said = desk("db", "backup", str(target))
    assert (said.code, target.read_text()) == (2, "precious")
    assert "--force" in said.err
    assert desk("db", "backup", str(target), "--force").code == 0
    assert care.check(target).problems == ()


def test_a_file_that_appears_while_a_backup_is_made_keeps_its_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk)
    target = desk.folder / "copy.db"
    fill = _copies._fill

    def meanwhile(source: Path, part: Path) -> None:
        fill(source, part)
        target.write_text("precious")

    monkeypatch.setattr(_copies, "_fill", meanwhile)
    with pytest.raises(StoreError, match="there is a file"):
        care.backup(db(desk), target)
    assert target.read_text() == "precious"
    assert list(desk.folder.glob(".copy*")) == []


def test_the_store_is_no_backup_of_itself(desk: Desk) -> None:
    begin(desk)
    before = db(desk).read_bytes()
    said = desk("db", "backup", str(db(desk)), "--force")
    assert (said.code, "the store itself" in said.err) == (2, True)
    assert db(desk).read_bytes() == before


def test_there_is_nothing_to_back_up_before_the_first_run(desk: Desk) -> None:
    for command in ("backup", "check", "upgrade"):
        said = desk("db", command)
        assert said.code == 2
        assert "there is no store" in said.err
    assert not db(desk).exists()


@pytest.mark.fault("S10")
def test_s10_a_backup_while_another_writes_is_whole_and_sees_one_state(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk)
    with desk.store() as store:
        for number in range(200):
            store.keep_note(f"filler {number}", "x" * 2000)
    monkeypatch.setattr(_copies, "PAGES_AT_A_TIME", 1)
    stop, written = threading.Event(), threading.Semaphore(0)

    def write() -> None:
        with closing(open_store(f"sqlite:///{db(desk)}")) as store:
            number = 0
            while not stop.is_set():
                number += 1
                store.keep_note("first", str(number))
                store.keep_note("second", str(number))
                written.release()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.acquire(timeout=20)
        care.backup(db(desk), desk.folder / "copy.db")
    finally:
        stop.set()
        writer.join()
    assert care.check(desk.folder / "copy.db").problems == ()
    rows = sql(desk.folder / "copy.db", "SELECT name, value FROM meta WHERE name IN ('first', 'second')")
    notes = {str(name): int(str(value)) for name, value in rows}
    assert notes["first"] - notes["second"] in (0, 1)


@pytest.mark.fault("S10")
def test_s10_a_damaged_store_gives_no_backup(desk: Desk) -> None:
    begin(desk)
    flip_bytes(db(desk), "articles")
    said = desk("db", "backup", str(desk.folder / "copy.db"))
    assert said.code == 2
    assert "damaged" in said.err
    assert not (desk.folder / "copy.db").exists()
    assert list(desk.folder.glob(".copy*")) == []


@pytest.mark.fault("S01")
def test_s01_a_full_disk_leaves_no_half_backup_and_is_told_with_path_and_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk)
    usage = shutil.disk_usage(desk.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    said = desk("db", "backup", str(desk.folder / "copy.db"))
    assert said.code == 2
    assert f"the disk that holds {desk.folder}/copy.db is too full" in said.err
    assert "bytes, 4096 are free" in said.err
    assert list(desk.folder.glob("*copy.db*")) == []


@pytest.mark.fault("S01")
def test_s01_a_disk_that_takes_no_more_bytes_leaves_no_half_backup(desk: Desk) -> None:
    begin(desk)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try:
        with pytest.raises(
            StoreError, match=r"the disk that holds .*copy\.db is full or failed: .* needs about \d+ bytes"
        ):
            care.backup(db(desk), desk.folder / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(desk.folder.glob("*copy.db*")) == []


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_sound_store_is_told_so_with_what_it_holds_and_nothing_is_written(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    before = desk.tree()
    said = desk("db", "check")
    assert (said.code, said.err) == (0, "")
    assert "1 feed, 2 articles" in said.out
    assert said.out.endswith("sound\n")
    assert desk("db", "check", "--json").json()["problems"] == []
    assert desk.tree() == before


ODD = {
    "article gone": ("DELETE FROM articles", "1 deliveries belong to no article"),
    "delivery gone": ("DELETE FROM deliveries", "1 attempts belong to no delivery"),
    "frozen attempt gone": ("UPDATE deliveries SET frozen = 'none'", "1 deliveries need the bytes of an attempt"),
    "sending without attempt": ("UPDATE deliveries SET state = 'SENDING'", "of which no attempt tells"),
    "verifying without attempt": ("UPDATE deliveries SET state = 'VERIFYING'", "need the bytes of an attempt"),
}


@pytest.mark.parametrize(("change", "words"), ODD.values(), ids=ODD)
def test_facts_that_no_store_holds_are_named_and_the_check_ends_with_1(desk: Desk, change: str, words: str) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    sql(db(desk), change)
    said = desk("db", "check")
    assert said.code == 1
    assert words in said.err
    assert desk("db", "check", "--json").json()["problems"] != []


@pytest.mark.fault("S04")
def test_s04_a_check_of_a_damaged_store_names_the_newest_copy(desk: Desk) -> None:
    begin(desk)
    (copy,) = _copies.kept(beside(desk))
    flip_bytes(db(desk), "articles")
    said = desk("db", "check")
    assert said.code == 1
    assert f"`autopublish db restore {copy}`" in said.err


@pytest.mark.fault("S04")
def test_s04_the_first_run_of_a_day_sends_nothing_from_a_damaged_store(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    desk.show("one")
    with desk.store() as store:
        store.keep_note(care.CHECKED, "2020-01-01")
    flip_bytes(db(desk), "events")
    calls = len(pds.calls)
    said = desk("run")
    assert (said.code, len(pds.calls)) == (2, calls)
    assert "is damaged" in said.err
    assert "autopublish db restore" in said.err


def test_a_store_is_looked_through_once_a_day(desk: Desk) -> None:
    begin(desk)
    today = datetime.now(UTC).date().isoformat()
    with desk.store() as store:
        assert store.note(care.CHECKED) == today
        store.keep_note(care.CHECKED, "2020-01-01")
    desk("run")
    with desk.store() as store:
        assert store.note(care.CHECKED) == today


# --- a copy a day ----------------------------------------------------------------------------------------------------


@contextmanager
def at(desk: Desk, now: datetime) -> Iterator[App]:
    """The program at a time."""
    with closing(build(desk.file, clock=lambda: now)) as app:
        yield app


def run_at(desk: Desk, now: datetime) -> RunReport:
    """One run at a time."""
    with at(desk, now) as app:
        return app.run()


def test_each_day_has_a_copy_and_the_newest_seven_are_kept(desk: Desk) -> None:
    start = datetime.now(UTC)
    for day in range(9):
        run_at(desk, start + day * DAY)
        run_at(desk, start + day * DAY)
    days = [f"{start + day * DAY:%Y-%m-%d}" for day in range(2, 9)]
    assert [path.stem for path in _copies.kept(beside(desk))] == days


def test_a_copy_that_a_person_put_beside_those_of_the_days_stays(desk: Desk) -> None:
    begin(desk)
    mine = beside(desk) / "copies" / "mine.db"
    mine.write_bytes(b"")
    for day in range(1, 9):
        run_at(desk, datetime.now(UTC) + day * DAY)
    assert mine.exists()


def test_what_dead_processes_left_beside_the_store_goes_once_a_day(desk: Desk) -> None:
    begin(desk)
    old, young = (beside(desk) / "copies" / f".2020-01-0{day}.db.4711.part" for day in (1, 2))
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * DAY.total_seconds(),) * 2)
    lock = beside(desk) / "0123456789abcdef.lock"
    lock.write_text("daemon, pid 4711")
    run_at(desk, datetime.now(UTC) + DAY)
    assert (old.exists(), young.exists(), lock.exists()) == (False, True, False)


def test_a_copy_that_a_process_beside_it_made_first_is_no_failure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(desk)
    fill, later = _copies._fill, datetime.now(UTC) + DAY

    def overtaken(source: Path, part: Path) -> None:
        fill(source, part)
        shutil.copyfile(part, _copies.daily(beside(desk), later.date()))

    monkeypatch.setattr(_copies, "_fill", overtaken)
    assert run_at(desk, later).told == ()
    with desk.store() as store:
        assert store.note(care.COPIED) == f"{later:%Y-%m-%d}"


@pytest.mark.fault("S01", "S10")
def test_s01_s10_a_copy_that_cannot_be_kept_is_told_once_a_day_and_stops_no_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(desk.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    first = desk("run")
    assert first.code == 0
    assert "today's copy of the store was not kept: the disk that holds" in first.err
    desk.show("one")
    again = desk("run")
    assert (again.code, again.err, desk.pages()) == (0, "", {"one"})
    monkeypatch.undo()
    with closing(build(desk.file)) as app:
        app.run()
    assert len(_copies.kept(beside(desk))) == 1, "it is tried again by each run"


def test_a_disk_that_fills_up_during_a_copy_is_told_with_its_size(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(desk)

    def full(source: Path, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_copies, "_fill", full)
    with pytest.raises(StoreError, match=r"copy\.db is too full for a copy .* needs about \d+ bytes"):
        care.backup(db(desk), desk.folder / "copy.db")
    assert list(desk.folder.glob("*copy.db*")) == []


# --- restore ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S06", "S10")
def test_s06_s10_what_was_posted_since_the_copy_is_found_and_not_posted_again(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    desk.show("one")
    desk("run")
    desk.show("two")
    said = desk("db", "restore", str(copy))
    assert said.code == 0
    assert "SAFE_MODE" in said.out
    (kept,) = desk.folder.glob("autopublish.db.replaced-*Z")
    assert str(kept) in said.out
    assert care.check(kept).problems == ()
    waiting = desk("run")
    assert waiting.code == 1
    assert states(desk) == {"sky": AccountState.SAFE_MODE}
    assert {(row.state, row.reason) for row in (desk.row("one", "sky"), desk.row("two", "sky"))} == {
        (State.HELD, deliveries.RESTORED)
    }
    gone = desk("go")
    assert (gone.code, "sky: out of SAFE_MODE" in gone.out, "2 posts are looked for" in gone.out) == (0, True, True)
    desk("run")
    assert seen_on(pds) == ["two", "one"]
    assert desk.row("one", "sky").reason == "was there already"
    assert desk("run").code == 0


@pytest.mark.fault("S06")
@pytest.mark.parametrize("gap", [1, 3], ids=["one run later", "three runs later"])
def test_s06_a_copy_put_back_by_hand_is_recognised(desk: Desk, pds: FakePds, gap: int) -> None:
    begin(desk, sky(pds))
    copy = desk.folder / "copy.db"
    shutil.copy(db(desk), copy)
    for number in range(gap):
        desk.show(f"n{number}")
        desk("run")
    before = seen_on(pds)
    put_back(desk, copy)
    said = desk("run")
    assert (said.code, seen_on(pds)) == (1, before)
    assert "an older copy was put back" in said.err
    assert states(desk) == {"sky": AccountState.SAFE_MODE}
    again = desk("run")
    assert (again.code, again.err) == (1, ""), "told once"


@pytest.fixture
def forgetful() -> Iterator[FakeMastodon]:
    """A server that can be read and knows no keys, so that nothing but a look keeps a second post away."""
    with FakeMastodon(remembers=None) as server:
        yield server


def toot(desk: Desk, server: FakeMastodon) -> str:
    """An account of the server."""
    desk.environment["TOOT_TOKEN"] = server.token
    return (
        f"  toot:\n    platform: mastodon\n    server: {server.url}\n    access_token: env:TOOT_TOKEN\n"
        "    allow_private: yes\n"
    )


def keep_all(desk: Desk) -> None:
    """Somebody keeps the store with all that lies beside it, as whoever keeps a whole machine does; a day passes."""
    sql(db(desk), "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(desk.folder, desk.folder.with_name("kept"), ignore=shutil.ignore_patterns("*.xml", "*.yaml"))
    kept = desk.folder.with_name("kept") / db(desk).name
    day = DAY // timedelta(microseconds=1)
    sql(kept, f"UPDATE feeds SET last_try = last_try - {day}, last_good = last_good - {day}")


def put_all_back(desk: Desk) -> None:
    """The store is as it was kept, and so is all that lies beside it."""
    remove(desk)
    shutil.rmtree(beside(desk))
    shutil.copytree(desk.folder.with_name("kept"), desk.folder, dirs_exist_ok=True)


@pytest.mark.fault("S06")
def test_s06_what_was_posted_before_a_whole_machine_was_put_back_is_found_before_it_is_posted_again(
    desk: Desk, forgetful: FakeMastodon
) -> None:
    begin(desk, toot(desk, forgetful))
    keep_all(desk)
    desk.show("one")
    assert desk("run").code == 0
    (posted,) = forgetful.visible()
    put_all_back(desk)
    desk.show("two")
    assert desk("run").code == 0
    assert [status.id for status in forgetful.visible()[1:]] == [posted.id]
    assert desk.row("one", "toot").reason == "was there already"
    assert desk.row("two", "toot").state is State.POSTED


@pytest.mark.fault("S06")
def test_s06_a_daemon_on_a_machine_that_was_put_back_looks_before_it_posts(desk: Desk, forgetful: FakeMastodon) -> None:
    begin(desk, toot(desk, forgetful))
    keep_all(desk)
    desk.show("one")
    assert desk("run").code == 0
    put_all_back(desk)
    with daemon(desk, minute=0.1) as running:
        running.until("toot: posted: Article one")
        assert running.end() == 0
    assert len(forgetful.visible()) == 1


def test_a_run_each_hour_asks_no_network_for_what_is_new(desk: Desk, forgetful: FakeMastodon) -> None:
    begin(desk, toot(desk, forgetful))
    hour = timedelta(hours=1, minutes=2) // timedelta(microseconds=1)
    sql(db(desk), f"UPDATE feeds SET last_try = last_try - {hour}, last_good = last_good - {hour}")
    desk.show("one")
    assert desk("run").code == 0
    assert len(forgetful.visible()) == 1
    assert not forgetful.called("find")


@pytest.mark.fault("S06")
def test_s06_what_waited_in_the_copy_is_held_and_what_rests_on_an_old_proof_is_looked_up() -> None:
    ready = Delivery(
        id="a", article="b", account="c", state=State.READY, published=NOW, due=NOW, created=NOW, changed=NOW
    )
    assert deliveries.doubted(ready, NOW) == deliveries.hold(ready, deliveries.RESTORED, NOW)
    proved = replace(ready, frozen="attempt", absent_at=NOW, absences=2)
    looked = deliveries.doubted(proved, NOW)
    assert looked is not None
    assert (looked.state, looked.unclosed, looked.absent_at, looked.absences) == (State.VERIFYING, True, None, 0)
    assert deliveries.doubted(replace(ready, state=State.POSTED), NOW) is None
    assert deliveries.doubted(deliveries.hold(ready, "burst", NOW), NOW) is None, "a person decides anyhow"
    dead = deliveries.doubted(deliveries.hold(ready, "dead link", NOW), NOW)
    assert dead == deliveries.hold(ready, deliveries.RESTORED, NOW), "else it would go once the link answers"


AT_WORK = {
    "a run": (lambda store: store.only_run(NOW), "another run is at work"),
    "a daemon": (lambda store: store.only_daemon(NOW), "a daemon is at work"),
    "a process with leases": (lambda store: store.own("daemon", NOW), "the store is in use (daemon, pid"),
}


@pytest.mark.parametrize(("hold", "words"), AT_WORK.values(), ids=AT_WORK)
def test_a_restore_is_refused_while_something_works_on_the_store(
    desk: Desk, hold: Callable[[Store], AbstractContextManager[object]], words: str
) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    with desk.store() as store, hold(store):
        before = db(desk).read_bytes()
        said = desk("db", "restore", str(copy))
        assert (said.code, db(desk).read_bytes()) == (2, before)
        assert words in said.err
    assert desk("db", "restore", str(copy)).code == 0


BAD = {
    "not there": (None, "there is no file"),
    "no database": (b"no database at all", "not a store"),
    "empty": (b"", "not a store"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_what_is_no_copy_is_not_put_in_the_stores_place(desk: Desk, content: bytes | None, words: str) -> None:
    begin(desk)
    before, copy = db(desk).read_bytes(), desk.folder / "copy.db"
    if content is not None:
        copy.write_bytes(content)
    said = desk("db", "restore", str(copy))
    assert (said.code, db(desk).read_bytes()) == (2, before)
    assert words in said.err


@pytest.mark.fault("S10")
def test_s10_a_damaged_copy_is_not_put_in_the_stores_place(desk: Desk) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    flip_bytes(copy, "articles")
    before = db(desk).read_bytes()
    said = desk("db", "restore", str(copy))
    assert (said.code, db(desk).read_bytes()) == (2, before)
    assert "is damaged" in said.err


def test_a_copy_of_a_newer_version_is_not_put_in_the_stores_place(desk: Desk) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    sql(copy, "UPDATE meta SET value = '999' WHERE name = 'schema'")
    said = desk("db", "restore", str(copy))
    assert said.code == 2
    assert "newer version" in said.err


@pytest.mark.fault("S04")
def test_s04_a_copy_takes_the_place_of_a_damaged_store_which_is_kept(desk: Desk) -> None:
    begin(desk)
    (copy,) = _copies.kept(beside(desk))
    flip_bytes(db(desk), "feeds")
    broken = db(desk).read_bytes()
    assert desk("db", "restore", str(copy)).code == 0
    (kept,) = desk.folder.glob("autopublish.db.replaced-*Z")
    assert kept.read_bytes() == broken
    assert care.check(db(desk)).problems == ()
    assert states(desk) == {"page": AccountState.SAFE_MODE}


def test_what_a_killed_process_left_in_the_log_is_kept_with_the_store_that_was_replaced(desk: Desk) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    # A log that nobody carried over, beside a file that nobody can read any more.
    with desk.store() as store:
        store.keep_note("late", "1")
        log = Path(f"{db(desk)}-wal").read_bytes()
    Path(f"{db(desk)}-wal").write_bytes(log)
    db(desk).write_bytes(b"\xff" * 8192)
    assert desk("db", "restore", str(copy)).code == 0
    (kept,) = (path for path in desk.folder.glob("autopublish.db.replaced-*Z"))
    assert Path(f"{kept}-wal").read_bytes() == log
    assert care.check(db(desk)).problems == ()
    with desk.store() as store:
        assert store.note("late") is None


# --- deleted, cloned, lost -------------------------------------------------------------------------------------------


@pytest.mark.fault("S05")
def test_s05_a_first_start_is_no_reason_for_doubt(desk: Desk) -> None:
    assert desk("run").code == 0
    assert states(desk) == {"page": AccountState.ACTIVE}
    marker = _marker.read(beside(desk))
    assert marker is not None
    assert (marker.instance, marker.is_ahead) == (_marker.instance_id(), False)


@pytest.mark.fault("S05")
@pytest.mark.parametrize("first_run", ["none", "all"])
def test_s05_with_the_store_deleted_and_dates_changed_nothing_is_posted_again(
    desk: Desk, pds: FakePds, first_run: str
) -> None:
    desk.configure(sky(pds), PAGE)
    desk("run")
    desk.show("one", "two")
    desk("run")
    posted, pages = seen_on(pds), desk.pages()
    assert len(posted) == 2
    remove(desk)
    feed = FEED + f"    first_run: {first_run}\n"
    desk.configure(sky(pds), PAGE, feeds=feed)
    # An editor, or a plugin, gives old articles new dates.
    rewrite(desk, lambda one: replace(one, published=one.published and one.published + timedelta(minutes=5)))
    said = desk("run")
    assert said.code == 1
    assert "it was deleted or moved away" in said.err
    assert states(desk) == dict.fromkeys(("sky", "page"), AccountState.SAFE_MODE)
    desk("go")
    desk("run")
    if first_run == "none":
        assert (seen_on(pds), desk.pages()) == (posted, pages)
    else:
        assert sorted(seen_on(pds)) == ["one", "two", "zero"], "what was there already is not there twice"
    desk.show("three")
    assert desk("run").code == 0
    assert "three" in seen_on(pds), "it goes on"


@pytest.mark.fault("S05")
def test_s05_a_store_deleted_while_the_program_is_at_work_sends_nothing_more(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    with closing(build(desk.file)) as app:
        app.store.digest()
        remove(desk)
        with pytest.raises(StoreError, match="deleted, moved or replaced while the program was at work"):
            app.run()
    assert desk.pages() == set()


def test_a_store_of_another_machine_sends_nothing_before_a_person_looked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk)
    desk.show("one")
    monkeypatch.setenv(_marker.INSTANCE, "elsewhere")
    said = desk("run")
    assert (said.code, desk.pages()) == (1, set())
    assert "another machine" in said.err
    assert desk("go").code == 0
    desk("run")
    assert (desk("run").code, desk.pages()) == (0, {"one"})


def test_a_store_whose_marker_is_lost_sends_nothing_before_a_person_looked(desk: Desk) -> None:
    begin(desk)
    (beside(desk) / "marker").unlink()
    desk.show("one")
    assert (desk("run").code, desk.pages()) == (1, set())


FITS = Marker(generation=5, instance=HERE)
DOUBTS = {
    "first start ever": (None, None, HERE, None),
    "first start that was broken off": (Marker(generation=1, instance=HERE, is_ahead=True), None, HERE, None),
    "both alike": (FITS, FITS, HERE, None),
    "crash between marker and store": (Marker(generation=6, instance=HERE, is_ahead=True), FITS, HERE, None),
    "nothing tells machines apart": (FITS, FITS, "", None),
    "it was told apart only later": (Marker(generation=5, instance=""), FITS, HERE, None),
    "store deleted": (FITS, None, HERE, "deleted"),
    "store one older": (Marker(generation=6, instance=HERE), FITS, HERE, "older"),
    "store two older, marker ahead": (Marker(generation=7, instance=HERE, is_ahead=True), FITS, HERE, "older"),
    "marker older": (Marker(generation=4, instance=HERE), FITS, HERE, "newer"),
    "marker lost": (None, FITS, HERE, "missing"),
    "marker broken": (_marker.UNREADABLE, FITS, HERE, "broken"),
    "marker broken, store new": (_marker.UNREADABLE, None, HERE, "deleted"),
    "marker of another machine": (Marker(generation=5, instance="there"), FITS, HERE, "another machine"),
    "store of another machine": (FITS, Marker(generation=5, instance="there"), HERE, "another machine"),
}


@pytest.mark.parametrize(("marker", "stored", "instance", "words"), DOUBTS.values(), ids=DOUBTS)
def test_the_marker_tells_what_became_of_the_store(
    marker: Marker | None, stored: Marker | None, instance: str, words: str | None
) -> None:
    found = doubt(marker, stored, instance)
    assert (found is None) == (words is None)
    assert words is None or words in (found or "")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"generation": "x"}'], ids=repr)
def test_a_broken_marker_fits_no_store(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "marker").write_bytes(content)
    assert _marker.read(tmp_path) == _marker.UNREADABLE


def test_the_machines_own_id_is_not_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(_marker.INSTANCE, raising=False)
    (tmp_path / "id").write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(_marker, "MACHINE_ID", tmp_path / "id")
    known = _marker.instance_id()
    assert len(known) == 16
    assert known not in "0123456789abcdef0123456789abcdef"
    monkeypatch.setattr(_marker, "MACHINE_ID", tmp_path / "none")
    assert _marker.instance_id() == ""


def test_a_marker_that_cannot_be_written_is_named_and_nothing_is_sent(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    (beside(desk) / f"marker.{os.getpid()}").mkdir()
    said = desk("run")
    assert (said.code, desk.pages()) == (2, set())
    assert "the marker" in said.err
    assert "cannot be written" in said.err


def test_a_run_without_news_writes_no_marker(desk: Desk) -> None:
    begin(desk)
    before = (beside(desk) / "marker").read_bytes()
    desk("run")
    assert (beside(desk) / "marker").read_bytes() == before


def test_a_process_that_goes_on_for_long_counts_further(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(desk)

    def generation() -> int:
        return int(json.loads((beside(desk) / "marker").read_bytes())["generation"])

    before = generation()
    with desk.store() as store:
        store.change_all(())
        store.change_all(())
        assert generation() == before + 1
        monkeypatch.setattr(_store, "GENERATION_SECONDS", 0.0)
        store.change_all(())
        assert generation() == before + 2
        assert store.is_trusted()


def test_processes_that_count_further_at_the_same_time_leave_no_doubt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk)
    monkeypatch.setattr(_store, "GENERATION_SECONDS", 0.0)

    def count_further() -> None:
        with desk.store() as store:
            for _ in range(150):
                store.change_all(())

    threads = [threading.Thread(target=count_further) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with desk.store() as store:
        assert store.is_trusted()


def test_a_decision_on_a_store_that_was_put_back_does_not_hide_that(desk: Desk) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    shutil.copy(db(desk), copy)
    desk.show("one")
    desk("run")
    put_back(desk, copy)
    desk("accounts", "pause", "page")
    desk("accounts", "resume", "page")
    assert desk("run").code == 1
    assert states(desk) == {"page": AccountState.SAFE_MODE}


# --- the end of it ---------------------------------------------------------------------------------------------------


def doubtful(desk: Desk, *accounts: str) -> None:
    """A store with these accounts that was put back from a copy, and a run on it."""
    begin(desk, *accounts)
    (beside(desk) / "marker").unlink()
    desk("run")


def test_what_a_person_paused_stays_paused_and_is_not_resumed_past_safe_mode(desk: Desk) -> None:
    begin(desk)
    desk("accounts", "pause", "page")
    (beside(desk) / "marker").unlink()
    desk("run")
    assert states(desk) == {"page": AccountState.PAUSED}
    said = desk("accounts", "resume", "page")
    assert said.code == 1
    assert "autopublish go" in said.err
    desk("go")
    assert states(desk) == {"page": AccountState.PAUSED}
    assert desk("accounts", "resume", "page").code == 0


def test_an_account_that_is_configured_meanwhile_is_in_safe_mode_too(desk: Desk) -> None:
    doubtful(desk)
    desk.configure(PAGE, PAGE.replace("page:", "second:", 1))
    desk("run")
    assert states(desk) == dict.fromkeys(("page", "second"), AccountState.SAFE_MODE)


def test_go_where_nothing_is_in_safe_mode_changes_nothing(desk: Desk) -> None:
    begin(desk)
    said = desk("go")
    assert said.code == 0
    assert (
        said.err == "everything goes on already: there is no stop, and nothing is in SAFE_MODE; nothing was changed\n"
    )


def test_what_a_feed_shows_first_that_was_not_read_since_is_held_after_go_too(desk: Desk) -> None:
    begin(desk)
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    desk.show("one")
    desk("run")
    desk("db", "restore", str(copy))
    said = desk("go")
    assert "news: was not read since" in said.out
    desk("run")
    row = desk.row("one", "page")
    assert (row.state, row.reason) == (State.HELD, deliveries.RESTORED)
    desk.show("two")
    desk("run")
    assert desk.row("two", "page").state is State.POSTED, "the feed was read, so this is news"


def test_what_is_held_after_go_goes_on_with_the_next_go_where_its_network_can_tell(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    copy = desk.folder / "copy.db"
    desk("db", "backup", str(copy))
    desk.show("one")
    desk("run")
    desk("db", "restore", str(copy))
    assert "then say `autopublish go` again" in desk("go").out
    desk("run")
    assert desk.row("one", "sky").reason == deliveries.RESTORED
    assert desk("go").out == "1 post is looked for by the next run, and sent if not found\n"
    desk("run")
    row = desk.row("one", "sky")
    assert (row.state, row.reason) == (State.POSTED, "was there already")
    assert len(seen_on(pds)) == 1
    assert "everything goes on already" in desk("go").err


RELEASES = {
    "strong": (ReadBack.STRONG, True),
    "by key": (ReadBack.BY_KEY, True),
    "lagging": (ReadBack.LAGGING, False),
    "by answer": (ReadBack.BY_ANSWER, False),
    "none": (ReadBack.NONE, False),
}


@pytest.mark.parametrize(("read_back", "goes"), RELEASES.values(), ids=RELEASES)
def test_only_what_its_network_can_tell_goes_on_by_itself(read_back: ReadBack, goes: bool) -> None:
    held = Delivery(
        id="a", article="b", account="c", state=State.HELD, reason=deliveries.RESTORED, published=NOW, due=NOW,
        created=NOW, changed=NOW,
    )  # fmt: skip
    resolution = Resolution(key_window=None, read_back=read_back, settle=timedelta(0))
    row = deliveries.released(held, resolution, NOW + DAY)
    assert (row is not None) == goes
    assert row is None or (row.state is State.READY and deliveries.rests_on_look(row))
    assert deliveries.released(held, None, NOW) is None, "its account is not configured"


@pytest.mark.fault("S06")
def test_s06_a_look_that_cannot_tell_holds_what_was_put_back_again(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, sky(pds))
    (beside(desk) / "marker").unlink()
    desk.show("one")
    desk("run")
    assert "1 post is looked for" in desk("go").out

    def cannot_tell(*_: object, **__: object) -> None:
        raise Undecided("the list ended too early")

    monkeypatch.setattr(Bluesky, "find", cannot_tell)
    desk("run")
    row = desk.row("one", "sky")
    assert (row.state, row.reason, seen_on(pds)) == (State.HELD, deliveries.RESTORED, [])


# --- slimming --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S09")
def test_s09_what_is_over_for_long_holds_no_bodies_and_keeps_what_it_is_known_by(desk: Desk) -> None:
    begin(desk)
    desk.show("one", title="A title that stays")
    rewrite(desk, with_body)
    desk("run")
    for_good = {
        table: sql(db(desk), f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("aliases", "traces", "events")
    }
    before = desk.row("one", "page")
    assert "What the article says." in str(sql(db(desk), "SELECT data FROM articles"))
    run_at(desk, datetime.now(UTC) + 89 * DAY)
    assert "What the article says." in str(sql(db(desk), "SELECT data FROM articles"))
    run_at(desk, datetime.now(UTC) + 91 * DAY)
    assert "What the article says." not in str(sql(db(desk), "SELECT data FROM articles"))
    row = desk.row("one", "page")
    with desk.store() as store:
        (article,) = store.articles_like("/one/")
        (attempt,) = store.attempts(row.id)
    assert (article.title, article.summary, article.text) == ("A title that stays", "", "")
    assert (attempt.post.text, attempt.outcome, attempt.post.link) == ("", Evidence.POSTED, article.link)
    assert (row, row.receipt is None) == (before, False)
    assert for_good == {table: sql(db(desk), f"SELECT * FROM {table} ORDER BY 1, 2") for table in for_good}
    assert desk("run").code == 0


@pytest.mark.fault("S09")
def test_s09_what_may_still_be_posted_keeps_its_body(desk: Desk) -> None:
    begin(desk)
    desk("accounts", "pause", "page")
    desk.show("one")
    rewrite(desk, with_body)
    desk("run")
    with desk.store() as store:
        assert store.slim(datetime.now(UTC) + DAY, 60) == 1, "the one that was only recorded as known"
        (article,) = store.articles_like("/one/")
    assert article.summary == "What the article says."


@pytest.mark.fault("S09")
def test_s09_slimming_goes_on_where_its_time_was_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(desk)
    desk.show(*(f"n{number}" for number in range(8)))
    rewrite(desk, with_body)
    desk("run")
    monkeypatch.setattr(_slim, "ROWS_AT_A_TIME", 2)
    later, counts = datetime.now(UTC) + DAY, []
    with desk.store() as store:
        assert store.slim(later, 0.0) == 0, "no time, no work"
        # Each reading of the clock takes a second: there is time for one batch of each kind.
        seconds = iter(range(1000))
        with monkeypatch.context() as slow:
            slow.setattr(time, "monotonic", lambda: float(next(seconds)))
            counts += [store.slim(later, 3.0) for _ in range(12)]
    assert counts[0] == 4
    assert (max(counts), sum(counts)) == (4, 9 + 8), "nine articles and eight posts, and none twice"
    assert sql(db(desk), "SELECT COUNT(*) FROM articles WHERE data LIKE '%What the article says%'") == [(0,)]


# --- upgrade ---------------------------------------------------------------------------------------------------------


def test_an_upgrade_says_which_form_the_store_has(desk: Desk) -> None:
    begin(desk)
    said = desk("db", "upgrade")
    assert (said.code, said.err) == (0, "")
    assert "already, the newest" in said.out
