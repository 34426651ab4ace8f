"""The store: each verb is one transaction, what is refused is untouched, and nothing is lost between threads."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from autopublish.deliveries import Settled, begin, uid
from autopublish.deliveries import settle as settle_outcome
from autopublish.errors import ConfigError, OutcomeUnknown, StoreBusy, StoreError, StoreTooNew
from autopublish.models import (
    Account,
    AccountState,
    Alias,
    AliasKind,
    Article,
    Attempt,
    Delivery,
    Evidence,
    Feed,
    FeedSettings,
    FirstRun,
    FirstRunRule,
    Identity,
    Media,
    Picture,
    Post,
    ReadBack,
    Receipt,
    Resolution,
    Span,
    SpanKind,
    Stage,
    Standing,
    State,
    Validators,
)
from autopublish.store import Decision, Known, Store, _sqlite, _store, open_store
from autopublish.store._codec import (
    article_of,
    article_values,
    attempt_of,
    attempt_values,
    delivery_of,
    delivery_values,
    feed_of,
    feed_values,
    micros,
    standing_of,
    standing_values,
    to_json,
)
from autopublish.store._sqlite import Database
from autopublish.store._statements import Migration, migrations, newest_version, statements
from autopublish.store._store import path_of

T = TypeVar("T")

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)

ONE = FeedSettings(name="one", url="https://one.example/feed/")
TWO = FeedSettings(name="two", url="https://two.example/feed/")
MAIN = Account(name="main", platform="mastodon", template="{{ title }}")
SIDE = Account(name="side", platform="bluesky", template="{{ title }}")
GUID = Alias(kind=AliasKind.GUID, scope="f", digest="1" * 32)
LINK = Alias(kind=AliasKind.LINK, scope="", digest="2" * 32)
RECEIPT = Receipt(remote_id="42", url="https://m.example/42")
POST = Post(text="T", link="https://n.example/1", title="T", created_at=NOW, published=NOW)
TIMED_KEY = Resolution(key_window=50 * MINUTE, read_back=ReadBack.STRONG, settle=10 * MINUTE)


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[Store]:
    with closing(open_store(url_of(path), read_only=read_only)) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is to be."""
    return tmp_path / "home" / "autopublish.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new store with two feeds and two accounts."""
    with opened(path) as one:
        one.adopt((ONE, TWO), (MAIN, SIDE), digest="d1", now=NOW - DAY)
        yield one


def article(key: str = "a1", feed: str = "f", **where: str) -> Article:
    link = where.get("link", f"https://n.example/{key}")
    return Article(id=key, feed=feed, origin=key, link=link, title=key, published=NOW, first_seen=NOW, feeds=("one",))


def ready(key: str = "a1", account: str = "main") -> Delivery:
    return Delivery(
        id=uid(key, account, 0, "new"),
        article=key,
        account=account,
        state=State.READY,
        published=NOW,
        due=NOW,
        created=NOW,
        changed=NOW,
    )


def poll(store: Store, *new: tuple[Article, tuple[Alias, ...]], deliveries: tuple[Delivery, ...] = ()) -> None:
    """What a poll of the first feed saves."""

    def decide(known: Known) -> Decision:
        return Decision(feed=replace(known.feed, last_good=NOW), new=new, deliveries=deliveries)

    store.save_poll(store.feeds()[0].id, (), decide)


def with_ready(store: Store, *rows: Delivery) -> None:
    """The rows, each with its article."""
    for key in {row.article for row in rows}:
        poll(store, (article(key), ()))
    poll(store, deliveries=rows)


def sending(row: Delivery, attempt_id: str = "t1", now: datetime = NOW + SECOND) -> tuple[Delivery, Attempt]:
    return begin(row, None, attempt_id=attempt_id, post=POST, stage=Stage(), now=now)


def unknown(store: Store, row: Delivery, attempt: Attempt) -> Settled:
    """What a timed out call means."""
    return settle_outcome(
        row,
        attempt,
        OutcomeUnknown("read timed out"),
        account=MAIN,
        standing=store.standing("main"),
        resolution=TIMED_KEY,
        now=NOW + MINUTE,
    )


def content(path: Path) -> list[str]:
    """All that is committed in the store's file."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder with its time and its bytes."""
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir() if file.is_file()}


def raw(path: Path, *sql: str) -> None:
    """Another program's statements on the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in sql:
            connection.execute(statement)


def failing_on(store: Store, table: str, verb: str) -> None:
    """From now on the store fails when this table is written."""
    raw(store.path, f"CREATE TRIGGER broken BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'broken'); END")


# --- the driver ------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(store: Store) -> Iterator[Database]:
    """A driver of its own on the store's file."""
    with closing(Database(store.path)) as one:
        yield one


def test_four_threads_that_read_add_and_write_lose_no_increment(database: Database) -> None:
    def hundred_times() -> None:
        for _ in range(100):
            with database.write() as tx:
                row = tx.row("meta_get", name="sum")
                tx.run("meta_set", name="sum", value=str(int(row["value"]) + 1 if row else 1))

    threads = [threading.Thread(target=hundred_times) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        row = tx.row("meta_get", name="sum")
    assert row is not None
    assert row["value"] == "400"


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()], ids=["a bug", "an interrupt"])
def test_an_exception_inside_a_transaction_undoes_all_of_it(database: Database, error: BaseException) -> None:
    def write() -> None:
        with database.write() as tx:
            tx.run("meta_set", name="a", value="1")
            tx.run("host_wait", host="h", not_before=1)
            raise error

    before = content(database.path)
    with pytest.raises(type(error)):
        write()
    assert content(database.path) == before
    with database.write() as tx:
        tx.run("meta_set", name="a", value="2")


def test_an_error_of_sql_undoes_the_transaction_and_becomes_a_store_error(database: Database) -> None:
    def write() -> None:
        with database.write() as tx:
            tx.run("meta_set", name="a", value="1")
            tx.run("meta_set", name="b", value=None)

    before = content(database.path)
    with pytest.raises(StoreError, match=r"autopublish\.db cannot be used"):
        write()
    assert content(database.path) == before


def test_a_transaction_inside_another_is_refused_and_undoes_both(database: Database) -> None:
    def write() -> None:
        with database.write() as tx:
            tx.run("meta_set", name="a", value="1")
            with database.write():
                pytest.fail("it began")

    before = content(database.path)
    with pytest.raises(StoreError, match="within a transaction"):
        write()
    assert content(database.path) == before


def test_each_thread_has_a_connection_of_its_own(database: Database) -> None:
    """A reader keeps seeing the state that it began with while another thread of the same driver writes."""

    def write() -> None:
        with database.write() as tx:
            tx.run("meta_set", name="a", value="new")

    with database.write() as tx:
        tx.run("meta_set", name="a", value="old")
    with database.read() as tx:
        seen = [tx.row("meta_get", name="a")]
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        seen.append(tx.row("meta_get", name="a"))
    with database.read() as tx:
        seen.append(tx.row("meta_get", name="a"))
    assert [row["value"] for row in seen if row] == ["old", "old", "new"]


def open_files(path: Path) -> int:
    """How many handles this process has on the store."""
    links = (str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(target.startswith(str(path)) for target in links)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
def test_close_closes_the_connections_of_every_thread_and_leaves_one_file(path: Path) -> None:
    store = open_store(url_of(path))
    thread = threading.Thread(target=store.digest)
    thread.start()
    thread.join()
    assert open_files(path) > 0
    store.close()
    assert open_files(path) == 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with opened(path) as again:
        assert again.digest() is None


def test_what_is_committed_survives_a_power_loss(database: Database) -> None:
    with database.read():
        connection = database._connection()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


# --- opening ---------------------------------------------------------------------------------------------------------

TABLES = {
    "meta", "feeds", "hosts", "articles", "aliases", "traces", "accounts", "deliveries", "attempts", "events", "leases",
    "alerts", "switches", "credentials",
}  # fmt: skip


def test_a_new_store_has_all_tables_and_remembers_each_migrations_checksum(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    assert names == TABLES
    assert meta["schema"] == str(newest_version())
    assert {step.name: step.checksum for step in migrations()} == {
        name.removeprefix("migration "): value for name, value in meta.items() if name.startswith("migration ")
    }


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [step.number for step in migrations()] == list(range(1, newest_version() + 1))
    assert all(len(step.checksum) == 64 for step in migrations())


def test_opening_a_store_again_changes_nothing(path: Path) -> None:
    with opened(path) as store:
        store.keep_note("a", "1")
    before = content(path)
    with opened(path) as store:
        assert store.note("a") == "1"
    assert content(path) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no copy where nothing was migrated"


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path) as store:
        assert store.feeds() == ()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("sqlite:///autopublish.db", Path("autopublish.db"), id="relative"),
        pytest.param("sqlite:////var/lib/a.db", Path("/var/lib/a.db"), id="absolute"),
        pytest.param("sqlite:////srv/my site/100%25.db", Path("/srv/my site/100%25.db"), id="taken as it is written"),
    ],
)
def test_a_stores_url_names_a_file(url: str, expected: Path) -> None:
    assert path_of(url) == expected


def test_a_store_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///autopublish.db"):
        path_of("mysql://localhost/x")


BROKEN = Migration(
    number=newest_version() + 1,
    name=f"{newest_version() + 1:03d}_broken",
    statements=("CREATE TABLE half (a)", "UPDATE meta SET value = 'half' WHERE name = 'schema'", "NO SQL AT ALL"),
    checksum="c",
)
WHOLE = replace(BROKEN, statements=BROKEN.statements[:1])


@pytest.mark.fault("S08")
def test_s08_a_migration_that_fails_half_way_leaves_no_trace(store: Store, database: Database) -> None:
    before = content(store.path)
    with pytest.raises(StoreError, match="syntax error"):
        database.migrate(BROKEN)
    assert content(store.path) == before
    database.migrate(WHOLE)
    assert database.version() == newest_version() + 1


KILLED_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from autopublish.store._sqlite import Database
from autopublish.store._statements import Migration, newest_version

def statements():
    yield "CREATE TABLE half (a)"
    yield "INSERT INTO half VALUES (1)"
    os.kill(os.getpid(), signal.SIGKILL)

number = newest_version() + 1
Database(Path(sys.argv[1])).migrate(Migration(number=number, name="x", statements=statements(), checksum="c"))
"""


@pytest.mark.fault("S08")
def test_s08_a_migration_that_is_killed_half_way_leaves_no_trace(path: Path) -> None:
    with opened(path) as store:
        store.keep_note("a", "1")
    before = content(path)
    ended = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    with opened(path) as store:
        assert store.note("a") == "1"
    assert content(path) == before


def test_a_store_that_another_process_makes_at_the_same_moment_is_taken_for_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken() -> int:
        monkeypatch.undo()
        with opened(path):
            return newest_version()

    monkeypatch.setattr(_store, "newest_version", overtaken)
    with opened(path) as store:
        assert store.feeds() == ()


def test_a_migration_that_another_process_applied_meanwhile_is_left_alone(database: Database) -> None:
    database.migrate(WHOLE)
    before = content(database.path)
    database.migrate(WHOLE)
    assert content(database.path) == before


@pytest.mark.fault("S08")
@pytest.mark.parametrize("step", [WHOLE, BROKEN], ids=["a step that works", "a step that fails"])
def test_s08_the_old_program_still_starts_with_the_copy_made_before_a_migration(
    path: Path, step: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        store.keep_note("a", "1")
    with monkeypatch.context() as newer:
        newer.setattr(_store, "newest_version", lambda: step.number)
        newer.setattr(_store, "migrations", lambda: (*migrations(), step))
        if step is BROKEN:
            with pytest.raises(StoreError, match="syntax error"):
                open_store(url_of(path))
        else:
            open_store(url_of(path)).close()
    copy = path.with_name(f"{path.name}.before-{step.number:03d}")
    with opened(copy) as old:
        assert old.note("a") == "1"
    if step is BROKEN:
        with opened(path) as old:
            assert old.note("a") == "1"


@pytest.mark.fault("S08")
@pytest.mark.parametrize("read_only", [False, True], ids=["to run", "to look"])
def test_s08_a_store_from_a_newer_version_is_refused_untouched(path: Path, read_only: bool) -> None:
    open_store(url_of(path)).close()
    raw(path, f"UPDATE meta SET value = '{newest_version() + 6}' WHERE name = 'schema'")
    before = listing(path.parent)
    words = f"autopublish.db was made by a newer version.*{newest_version() + 6}.*install that version again"
    with pytest.raises(StoreTooNew, match=words):
        open_store(url_of(path), read_only=read_only)
    assert listing(path.parent) == before


@pytest.mark.fault("S08")
@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(
            "UPDATE meta SET value = 'other' WHERE name = 'migration 001_initial'", id="a step of another text"
        ),
        pytest.param("INSERT INTO meta VALUES ('migration 001_other', 'c')", id="a step that we do not know"),
        pytest.param("DELETE FROM meta WHERE name LIKE 'migration %'", id="a step that was not made"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True], ids=["to run", "to look"])
def test_s08_a_store_of_another_build_is_refused_untouched(path: Path, sql: str, read_only: bool) -> None:
    open_store(url_of(path)).close()
    raw(path, sql)
    before = listing(path.parent)
    with pytest.raises(StoreError, match=r"autopublish\.db was made by another build .* Nothing was changed"):
        open_store(url_of(path), read_only=read_only)
    assert listing(path.parent) == before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("table", ["posts (id INTEGER)", "meta (name TEXT, value TEXT)"])
@pytest.mark.parametrize("read_only", [False, True], ids=["to run", "to look"])
def test_a_database_of_another_program_is_refused_untouched(path: Path, mode: str, table: str, read_only: bool) -> None:
    path.parent.mkdir()
    raw(path, f"PRAGMA journal_mode={mode}", f"CREATE TABLE {table}")
    before = listing(path.parent)
    with pytest.raises(StoreError, match=r"autopublish.db is a database of another program: check `store:`"):
        open_store(url_of(path), read_only=read_only)
    assert listing(path.parent) == before


def test_a_store_of_an_older_form_is_not_migrated_by_one_who_only_looks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(url_of(path)).close()
    before = listing(path.parent)
    monkeypatch.setattr(_store, "newest_version", lambda: newest_version() + 1)
    with pytest.raises(StoreError, match="older form: `autopublish run`"):
        open_store(url_of(path), read_only=True)
    assert listing(path.parent) == before


def test_a_store_that_is_not_there_is_not_made_by_one_who_only_looks(path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*autopublish.db yet: `autopublish run` makes it"):
        open_store(url_of(path), read_only=True)
    assert not path.parent.exists()


@pytest.mark.parametrize("read_only", [False, True], ids=["to run", "to look"])
@pytest.mark.parametrize(
    "bytes_of_it", [b"feeds:\n  one:\n" * 99, b"SQLite format 3\0" + b"\xff" * 4080], ids=["a text", "a broken header"]
)
def test_a_file_that_is_no_database_is_refused_untouched(path: Path, bytes_of_it: bytes, read_only: bool) -> None:
    path.parent.mkdir()
    path.write_bytes(bytes_of_it)
    with pytest.raises(StoreError, match=r"autopublish.db is not a store of autopublish: check `store:`"):
        open_store(url_of(path), read_only=read_only)
    assert {name: kept for name, (_, kept) in listing(path.parent).items()} == {path.name: bytes_of_it}


def test_a_folder_in_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"autopublish.db is a folder; `store:` must name a file"):
        open_store(url_of(path))


def test_a_file_in_place_of_the_folder_is_named(path: Path) -> None:
    path.parent.write_text("x")
    with pytest.raises(StoreError, match=r"autopublish.db cannot be made: .*home"):
        open_store(url_of(path))


def test_a_folder_that_went_away_is_named(path: Path) -> None:
    with opened(path):
        pass
    shutil.rmtree(path.parent)
    with closing(Database(path)) as database, pytest.raises(StoreError, match=r"there is no folder .*home"):
        database.version()


@contextmanager
def somebody_else() -> Iterator[Path]:
    """A folder that belongs to a user without rights, as whom the body runs."""
    me = os.getuid()
    folder = Path(tempfile.mkdtemp(prefix="autopublish-"))
    try:
        if me == 0:
            os.chown(folder, 65534, 65534)
            try:
                os.setresuid(65534, 65534, 0)
            except PermissionError:
                pytest.skip("root without the right to become somebody else")
        yield folder
    finally:
        if me == 0:
            os.setresuid(0, 0, 0)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with somebody_else() as folder:
        folder.chmod(0o500)
        with pytest.raises(StoreError, match=r"a.db cannot be written: the folder .* is not writable for this user"):
            open_store(url_of(folder / "a.db"))
        with pytest.raises(StoreError, match=r"cannot be made: Permission denied"):
            open_store(url_of(folder / "deep" / "a.db"))
        folder.chmod(0o700)
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["not readable", "not writable"])
def test_a_file_that_may_not_be_read_or_written_is_named(mode: int) -> None:
    with somebody_else() as folder:
        path = folder / "a.db"
        open_store(url_of(path)).close()
        path.chmod(mode)
        words = r"a.db cannot be (opened|written): check that this user may (read and )?write"
        with pytest.raises(StoreError, match=words), opened(path) as store:
            store.keep_note("a", "1")


def test_who_may_only_read_can_look() -> None:
    with somebody_else() as folder:
        path = folder / "a.db"
        with opened(path) as store:
            store.keep_note("a", "1")
        path.chmod(0o400)
        folder.chmod(0o500)
        with opened(path, read_only=True) as store:
            assert store.note("a") == "1"
        folder.chmod(0o700)


# --- looking without a trace -----------------------------------------------------------------------------------------


def look_at(path: Path) -> str | None:
    with opened(path, read_only=True) as store:
        store.feeds()
        return store.note("a")


def test_looking_at_a_store_at_rest_writes_no_byte(path: Path) -> None:
    with opened(path) as store:
        store.keep_note("a", "1")
    before = listing(path.parent)
    assert list(before) == [path.name]
    assert look_at(path) == "1"
    assert listing(path.parent) == before


LOOKER = """
import sys
from autopublish.store import open_store

store = open_store(sys.argv[1], read_only=True)
print(store.note("a"))
store.close()
"""


def test_looking_at_a_store_at_work_writes_no_byte_and_sees_what_is_committed(path: Path) -> None:
    """From a process of its own: within one process SQLite shares what it knows of a file."""

    def look_from_outside() -> str:
        look = [sys.executable, "-c", LOOKER, url_of(path)]
        return subprocess.run(look, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    with opened(path) as store:
        for value in ("1", "2"):
            store.keep_note("a", value)
            before = listing(path.parent)
            assert set(before) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
            assert look_from_outside() == value
            assert listing(path.parent) == before


def test_looking_at_a_store_whose_program_was_killed_writes_no_byte(path: Path, tmp_path: Path) -> None:
    after_the_kill = tmp_path / "killed"
    with opened(path) as store:
        store.keep_note("a", "1")
        shutil.copytree(path.parent, after_the_kill)
    before = listing(after_the_kill)
    assert len(before) == 3
    assert look_at(after_the_kill / path.name) == "1"
    assert listing(after_the_kill) == before


def test_looking_at_a_copy_of_a_file_and_its_log_sees_what_is_committed(path: Path, tmp_path: Path) -> None:
    """The index that is missing there is made by SQLite."""
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    with opened(path) as store:
        store.keep_note("a", "1")
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy2(path.with_name(name), copy.with_name(name))
    assert look_at(copy) == "1"


def test_who_only_looks_cannot_write(path: Path) -> None:
    with opened(path) as store:
        before = content(path)
        with (
            opened(path, read_only=True) as looking,
            pytest.raises(StoreError, match=r"autopublish.db cannot be written"),
        ):
            looking.keep_note("a", "1")
        assert store.note("a") is None
    assert content(path) == before


# --- locked and damaged ----------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.mark.fault("S03")
def test_s03_a_store_locked_for_long_is_named_and_goes_on_afterwards(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "BUSY_SECONDS", 0.05)
    with opened(path) as store:
        store.keep_note("a", "1")
        with locked(path):
            with pytest.raises(
                StoreError, match=r"autopublish.db was locked by another program .*the next run goes on"
            ):
                store.keep_note("a", "2")
            assert store.note("a") == "1", "a reader is not stopped"
        store.keep_note("a", "3")
        assert store.note("a") == "3"


@pytest.mark.fault("S03")
def test_s03_a_store_locked_for_a_moment_is_waited_for(store: Store) -> None:
    with locked(store.path) as other:
        release = threading.Timer(0.2, other.execute, ("COMMIT",))
        release.start()
        store.keep_note("a", "1")
        release.join()
    assert store.note("a") == "1"


@pytest.mark.fault("S03")
def test_s03_a_new_store_that_is_locked_is_not_half_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite, "BUSY_SECONDS", 0.05)
    path.parent.mkdir()
    with locked(path), pytest.raises(StoreError, match="was locked by another program"):
        open_store(url_of(path))
    with opened(path) as store:
        assert store.feeds() == ()


@pytest.mark.fault("S04")
def test_s04_a_damaged_store_is_refused_in_words_and_kept_as_it_is(path: Path) -> None:
    with opened(path) as store:
        store.adopt((ONE,), (MAIN,), digest="d", now=NOW)
    damaged = path.read_bytes()[:4096].ljust(path.stat().st_size, b"\xff")
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"autopublish.db is damaged\. Keep the file"):
        open_store(url_of(path))
    assert path.read_bytes() == damaged


@pytest.mark.fault("S04")
def test_s04_damage_met_in_use_stops_what_was_begun(path: Path) -> None:
    with opened(path) as store:
        store.adopt((ONE,), (MAIN,), digest="d", now=NOW)
        with_ready(store, ready())
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'deliveries'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with opened(path) as store:
        with pytest.raises(StoreError, match="is damaged"):
            store.ready("main", NOW)
        with pytest.raises(StoreError, match="is damaged"):
            store.intend(ready(), *sending(ready()))
        assert store.attempts(ready().id) == ()


# --- the run lock ----------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from datetime import UTC, datetime
from autopublish.store import open_store

with open_store(sys.argv[1]).only_run(datetime(2026, 11, 24, 9, 30, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url_of(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


@pytest.mark.fault("D12")
def test_d12_a_second_run_is_refused_by_name_until_the_first_is_dead(store: Store) -> None:
    with held_by_another_process(store.path) as child:
        words = rf"another run is at work \(pid {child.pid}, since 2026-11-24 09:30:00 UTC\)"
        for _ in range(2):
            with pytest.raises(StoreBusy, match=words), store.only_run(NOW):
                pytest.fail("it began")
        child.kill()
        child.wait()
        with store.only_run(NOW):
            pass


def test_the_lock_names_its_newest_holder_and_is_freed_at_the_end_and_by_an_error(store: Store) -> None:
    words = rf"\(pid {os.getpid()}, since 2026-11-24 10:00:00 UTC\)$"
    store.folder.mkdir()
    (store.folder / "run.lock").write_text("pid 4194304, since a time ago " * 5)  # as a dead holder left it

    def run_and_fail() -> None:
        with store.only_run(NOW):
            with pytest.raises(StoreBusy, match=words), store.only_run(NOW):
                pytest.fail("it began")
            raise RuntimeError("bug")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="bug"):
            run_and_fail()


def test_a_lock_that_cannot_be_made_is_named(store: Store) -> None:
    store.folder.write_text("x")
    with pytest.raises(StoreError, match=r"run.lock cannot be made"), store.only_run(NOW):
        pytest.fail("it began")


# --- values to rows and back -----------------------------------------------------------------------------------------


def of_type(hint: object) -> SearchStrategy[object]:
    """Any value of a type as `models` uses them."""
    if isinstance(hint, type) and is_dataclass(hint):
        return anything(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(of_type(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if isinstance(hint, types.UnionType):
        return st.one_of([of_type(part) for part in typing.get_args(hint)])
    return PLAIN[hint]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.text(max_size=5), part, max_size=2),
    max_leaves=4,
)
PLAIN: dict[object, SearchStrategy[object]] = {
    str: st.text(max_size=20),
    int: st.integers(0, 2**50),
    bool: st.booleans(),
    bytes: st.binary(max_size=16),
    types.NoneType: st.none(),
    datetime: st.datetimes(min_value=datetime(1995, 1, 1), timezones=st.just(UTC)),
    timedelta: st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10000)),
}


def anything(kind: type[T]) -> SearchStrategy[T]:
    """Any value of a dataclass, every field of it filled at will."""
    if kind is Stage:
        return st.builds(kind, data=st.dictionaries(st.text(max_size=5), JSON, max_size=3))
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: of_type(hint) for name, hint in hints.items()})


round_trip = settings(max_examples=60, deadline=None)


@round_trip
@given(anything(Feed))
def test_every_feed_comes_back_from_its_row(feed: Feed) -> None:
    assert feed_of({**feed_values(feed), "settings": to_json(feed.settings)}) == feed


@round_trip
@given(anything(Article))
def test_every_article_comes_back_from_its_row(one: Article) -> None:
    fixed = {"feed": one.feed, "origin": one.origin, "first_seen": micros(one.first_seen)}
    assert article_of({**article_values(one, str), **fixed}, str) == one


@round_trip
@given(anything(Standing))
def test_every_standing_comes_back_from_its_row(standing: Standing) -> None:
    fixed = {"platform": standing.platform, "created": micros(standing.created)}
    assert standing_of({**standing_values(standing), **fixed}) == standing


@round_trip
@given(anything(Delivery))
def test_every_delivery_comes_back_from_its_row(delivery: Delivery) -> None:
    assert delivery_of(delivery_values(delivery)) == delivery


@round_trip
@given(anything(Attempt))
def test_every_attempt_and_its_post_come_back_from_their_row(attempt: Attempt) -> None:
    assert attempt_of(attempt_values(attempt)) == attempt


FULL_FEED = FeedSettings(
    name="one",
    url="https://one.example/feed/",
    every=timedelta(minutes=7, microseconds=1),
    first_run=FirstRunRule(kind=FirstRun.SINCE, count=3, since=NOW - DAY),
    allow_private=True,
    language="id",
    contact="desk@one.example",
)
FULL_ARTICLE = Article(
    id="a1",
    feed="f1",
    origin="guid",
    link="https://n.example/1",
    title="Café \0 🎉",
    summary="s",
    text="t\nu",
    author="Eva",
    categories=("Kaltim", "IKN"),
    language="id",
    published=NOW - HOUR,
    stated=NOW + 7 * HOUR,
    first_seen=NOW,
    pictures=(Media(url="https://n.example/1.jpg", alt="alt", type="image/jpeg"),),
    baseline=True,
    feeds=("one", "two"),
)
FULL_POST = Post(
    text="T https://n.example/1 #IKN",
    link="https://n.example/1",
    title="T",
    summary="s",
    spans=(Span(kind=SpanKind.HASHTAG, start=23, end=27, value="IKN"),),
    picture=Picture(path="/p", sha256="f" * 64, type="image/png", width=3, height=2, size_bytes=9, alt="alt"),
    languages=("id", "en"),
    created_at=NOW,
    published=NOW - HOUR,
    length=27,
    room=300,
    shortened=("title",),
)
FULL_ATTEMPT = Attempt(
    id="t1",
    delivery=uid("a1", "main", 0, "new"),
    account="main",
    key="k" * 32,
    generation=2,
    post=FULL_POST,
    stage=Stage(data={"media": ["7"], "tries": 2, "ok": True}),
    started=NOW,
    deadline=NOW + MINUTE,
    key_since=NOW - HOUR,
    finished=NOW + SECOND,
    outcome=Evidence.UNKNOWN,
    evidence="read timed out",
    counted=False,
    microdollars=205_000,
    resend=True,
)
FULL_DELIVERY = Delivery(
    id=FULL_ATTEMPT.delivery,
    article="a1",
    account="main",
    part=1,
    occasion="edit:1",
    state=State.VERIFYING,
    reason="because",
    published=NOW - HOUR,
    due=NOW + MINUTE,
    created=NOW,
    changed=NOW + SECOND,
    allowed_by="eva",
    allowed_at=NOW - MINUTE,
    generation=2,
    frozen="t1",
    unclosed=True,
    without_picture=True,
    pictures_skipped=2,
    stage=Stage(data={"container": "9"}),
    stage_tries=1,
    stage_since=NOW - 2 * MINUTE,
    look_at=NOW + 3 * MINUTE,
    looks=2,
    absences=1,
    failed_looks=4,
    look_since=NOW - 5 * MINUTE,
    absent_at=NOW - 6 * MINUTE,
    adopting=True,
    last_tried=NOW - 7 * MINUTE,
    receipt=RECEIPT,
)
FULL_STANDING = Standing(
    account="main",
    platform="mastodon",
    created=NOW - DAY,
    state=AccountState.AUTH_BLOCKED,
    reason="401",
    active_since=NOW - HOUR,
    not_before=NOW + HOUR,
    failures=3,
    identity=Identity(id="1", name="n", url="https://m.example/@n", expires=NOW + 30 * DAY),
    fingerprint="f",
    probe_at=NOW + 2 * HOUR,
    probes=2,
    refusals=4,
)
FULL_STATE = Feed(
    id="f1",
    settings=FULL_FEED,
    validators=Validators(etag='W/"1"', last_modified="Tue, 24 Nov 2026 09:00:00 GMT"),
    body_hash="b",
    item_digests=b"\x00digest1digest2\xff",
    first_try=NOW - DAY,
    last_try=NOW - DAY / 2,
    baseline_at=NOW - 2 * DAY,
    last_good=NOW - 3 * DAY,
    newest=NOW - 4 * DAY,
    last_full=NOW - 5 * DAY,
    not_before=NOW + DAY,
    failures=2,
    last_error="503",
    gone=True,
    url_changed=True,
    moved_to="https://new.example/feed/",
    moved_since=NOW - 6 * DAY,
    moved_polls=2,
    learnt_url="https://learnt.example/feed/",
)


@pytest.mark.parametrize(
    "value",
    [FULL_FEED, FULL_STATE, FULL_ARTICLE, FULL_POST, FULL_ATTEMPT, FULL_DELIVERY, FULL_STANDING],
    ids=lambda value: type(value).__name__,
)
def test_the_full_examples_leave_no_field_at_its_default(value: object) -> None:
    assert is_dataclass(value)
    for field in fields(value):
        if field.default is not MISSING:
            assert getattr(value, field.name) != field.default, f"{field.name}: the examples must fill it"


def test_a_feed_comes_back_from_the_store(store: Store) -> None:
    store.adopt((FULL_FEED,), (MAIN,), digest="d", now=NOW)
    (feed,) = store.feeds()
    full = replace(FULL_STATE, id=feed.id)
    store.save_feeds((full,))
    assert store.feeds() == (full,)


def test_an_article_comes_back_from_the_store(store: Store) -> None:
    poll(store, (FULL_ARTICLE, (GUID,)))
    assert store.article("a1") == FULL_ARTICLE
    assert store.article_by_alias(GUID) == FULL_ARTICLE
    assert store.article_by_alias(LINK) is None


def test_a_delivery_and_its_attempt_come_back_from_the_store(store: Store) -> None:
    first = replace(ready(), part=1, occasion="edit:1", created=NOW)
    with_ready(store, first)
    row = replace(FULL_DELIVERY, created=NOW)
    assert store.intend(first, row, FULL_ATTEMPT)
    assert store.delivery(first.id) == row
    assert store.attempt("t1") == FULL_ATTEMPT
    assert store.attempts(first.id) == (FULL_ATTEMPT,)


def test_a_standing_comes_back_from_the_store(store: Store) -> None:
    was = store.standing("main")
    store.save_standing(was, FULL_STANDING, now=NOW)
    assert store.standing("main") == FULL_STANDING
    assert store.standings() == {"main": FULL_STANDING, "side": store.standing("side")}
    (event,) = store.events("main")
    assert (event.at, event.subject, event.actor, event.what, event.why) == (
        NOW, "account", "autopublish", "ACTIVE -> AUTH_BLOCKED", "401",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        pytest.param(lambda store: store.article("x"), "the article x is not in the store", id="article"),
        pytest.param(lambda store: store.delivery("f0"), "the delivery f0 is not in the store", id="delivery"),
        pytest.param(lambda store: store.attempt("x"), "the attempt x is not in the store", id="attempt"),
        pytest.param(lambda store: store.standing("x"), "the account x is not in the store", id="account"),
    ],
)
def test_what_is_not_there_is_named(store: Store, ask: Callable[[Store], object], words: str) -> None:
    with pytest.raises(StoreError, match=words):
        ask(store)


# --- configuration ---------------------------------------------------------------------------------------------------


def adopt(store: Store, *feeds: FeedSettings, accounts: tuple[Account, ...] = (MAIN, SIDE)) -> list[str]:
    """Take over a configuration; gives the words told."""
    return [event.why or "" for event in store.adopt(feeds, accounts, digest="d2", now=NOW)]


def polled(store: Store) -> Feed:
    """The first feed after a good poll."""
    feed = replace(
        store.feeds()[0],
        validators=Validators(etag="e", last_modified="l"),
        body_hash="b",
        item_digests=b"12345678",
        last_try=NOW,
        last_full=NOW,
        not_before=NOW + HOUR,
        gone=True,
        baseline_at=NOW,
        last_good=NOW,
        newest=NOW,
        moved_to="https://m.example/feed/",
        moved_since=NOW,
        moved_polls=1,
        learnt_url="https://l.example/feed/",
    )
    store.save_feeds((feed,))
    return feed


def test_a_configuration_is_known_by_its_digest_and_feeds_keep_its_order(store: Store) -> None:
    assert store.digest() == "d1"
    assert adopt(store, TWO, ONE) == []
    assert store.digest() == "d2"
    assert [feed.settings for feed in store.feeds()] == [TWO, ONE]


@pytest.mark.fault("O04")
def test_o04_a_renamed_feed_keeps_its_history_by_its_url(store: Store) -> None:
    feed = polled(store)
    poll(store, (article(feed=feed.id), (GUID,)))
    renamed = replace(ONE, name="first", every=HOUR)
    assert adopt(store, renamed, TWO) == ["first takes over the history of https://one.example/feed/"]
    assert store.feeds()[0] == replace(feed, settings=renamed)
    assert store.article("a1").feeds == ("first",)
    assert [event.what for event in store.events(feed.id)] == ["named"]


@pytest.mark.fault("O04")
def test_o04_a_feed_removed_and_added_again_keeps_its_history(store: Store) -> None:
    feed = polled(store)
    adopt(store, TWO)
    assert [one.settings.name for one in store.feeds()] == ["two"]
    adopt(store, ONE, TWO)
    assert store.feeds()[0] == feed


def test_a_url_that_another_name_still_claims_is_a_new_feed(store: Store) -> None:
    feed = polled(store)
    moved, taken = replace(ONE, url="https://new.example/feed/"), replace(ONE, name="third")
    adopt(store, moved, taken)
    first, third = store.feeds()
    assert (first.id, first.last_good) == (feed.id, NOW)
    assert (third.id == feed.id, third.last_good) == (False, None)


def test_two_feeds_may_exchange_their_names(store: Store) -> None:
    one, two = store.feeds()
    adopt(store, replace(ONE, url=TWO.url), replace(TWO, url=ONE.url))
    assert [(feed.id, feed.settings.url, feed.url_changed) for feed in store.feeds()] == [
        (one.id, TWO.url, True),
        (two.id, ONE.url, True),
    ]


@pytest.mark.fault("O04")
def test_o04_a_changed_url_forgets_what_belongs_to_the_url_and_keeps_the_rest(store: Store) -> None:
    feed = polled(store)
    moved = replace(ONE, url="https://new.example/feed/")
    assert adopt(store, moved, TWO) == ["one is read from https://new.example/feed/ now"]
    expected = replace(
        feed,
        settings=moved,
        validators=Validators(),
        body_hash=None,
        item_digests=b"",
        last_try=None,
        last_full=None,
        not_before=None,
        gone=False,
        url_changed=True,
        moved_to=None,
        moved_since=None,
        moved_polls=0,
        learnt_url=None,
    )
    assert store.feeds()[0] == expected


@pytest.mark.fault("O04")
def test_o04_what_waits_for_a_removed_account_is_held_unless_it_may_be_live(store: Store) -> None:
    waiting, other = ready("a1"), ready("a1", "side")
    unclosed, verifying, rejected = ready("a2"), ready("a3"), ready("a4")
    with_ready(store, waiting, other, unclosed, verifying, rejected)
    store.change(unclosed, replace(unclosed, unclosed=True, frozen="t1"))
    store.change(verifying, replace(verifying, state=State.VERIFYING, unclosed=True, frozen="t2"))
    store.change(rejected, replace(rejected, state=State.REJECTED, reason="422"))
    assert adopt(store, ONE, TWO, accounts=(SIDE,)) == ["account main removed"] * 2
    assert store.delivery(verifying.id).unclosed
    found = {row.id: (row.state, row.reason) for row in store.newest_deliveries(9)}
    assert found == {
        waiting.id: (State.HELD, "account removed"),
        other.id: (State.READY, None),
        unclosed.id: (State.READY, None),
        verifying.id: (State.NEEDS_REVIEW, "account main removed, outcome unknown"),
        rejected.id: (State.REJECTED, "422"),
    }
    assert set(store.standings()) == {"side"}
    assert adopt(store, ONE, TWO, accounts=(SIDE,)) == [], "told once"


def test_an_account_that_returns_is_the_one_that_it_was(store: Store) -> None:
    store.save_standing(store.standing("main"), FULL_STANDING, now=NOW)
    adopt(store, ONE, accounts=(SIDE,))
    adopt(store, ONE)
    assert store.standings()["main"] == FULL_STANDING


def test_a_name_on_another_platform_is_a_new_account(store: Store) -> None:
    store.save_standing(store.standing("main"), FULL_STANDING, now=NOW - HOUR)
    words = adopt(store, ONE, accounts=(replace(MAIN, platform="x"), SIDE))
    assert words == ["main is on x now, a new account"]
    assert store.standing("main") == Standing(account="main", platform="x", created=NOW, active_since=NOW)


def test_nothing_that_was_on_its_way_goes_to_an_account_on_another_platform(store: Store) -> None:
    waiting, unclosed, verifying, calling = (ready(f"a{n}") for n in range(4))
    with_ready(store, waiting, unclosed, verifying, calling)
    store.change(unclosed, replace(unclosed, unclosed=True, frozen="t1"))
    store.change(verifying, replace(verifying, state=State.VERIFYING, unclosed=True, frozen="t2"))
    store.intend(calling, *sending(calling, "t3"))
    adopt(store, ONE, accounts=(replace(MAIN, platform="x"), SIDE))
    words = "main is on x now, a new account"
    found = {row.id: (row.state, row.reason, row.unclosed, row.frozen) for row in store.newest_deliveries(9)}
    assert found == {
        waiting.id: (State.HELD, "account removed", False, None),
        unclosed.id: (State.NEEDS_REVIEW, words, True, "t1"),
        verifying.id: (State.NEEDS_REVIEW, words, True, "t2"),
        calling.id: (State.NEEDS_REVIEW, words, True, "t3"),
    }
    assert (store.attempt("t3").outcome, store.attempt("t3").evidence) == (Evidence.UNKNOWN, words)
    assert store.left_sending() == ()


def test_a_configuration_is_taken_over_whole_or_not_at_all(store: Store) -> None:
    with_ready(store, ready())
    failing_on(store, "deliveries", "UPDATE")
    before = content(store.path)
    with pytest.raises(StoreError, match="broken"):
        adopt(store, replace(ONE, name="first"), accounts=(SIDE,))
    assert content(store.path) == before


# --- polls -----------------------------------------------------------------------------------------------------------


def whole_poll(known: Known) -> Decision:
    was = known.deliveries("a0")[0]
    return Decision(
        feed=replace(known.feed, last_good=NOW + MINUTE),
        new=((article("a1"), (GUID,)),),
        seen=((article("a0", link="https://n.example/edited"), (LINK,)),),
        deliveries=(ready("a1"),),
        changes=((was, replace(was, state=State.CANCELLED, reason="filtered: never", changed=NOW + MINUTE)),),
        traces=(("a1", ("path", "title")), ("a0", ("title",))),
    )


def test_a_poll_saves_articles_aliases_deliveries_and_validators(store: Store) -> None:
    with_ready(store, ready("a0"))
    store.save_poll(store.feeds()[0].id, (), whole_poll)
    assert store.feeds()[0].last_good == NOW + MINUTE
    assert store.article("a0").link == "https://n.example/edited"
    assert [store.article_by_alias(alias) for alias in (GUID, LINK)] == [store.article("a1"), store.article("a0")]
    assert [(row.article, row.state) for row in store.newest_deliveries(9)] == [
        ("a0", State.CANCELLED),
        ("a1", State.READY),
    ]
    (event,) = store.events(ready("a0").id)
    assert (event.what, event.why) == ("READY -> CANCELLED", "routed again")
    assert store.count_articles() == 2


@pytest.mark.parametrize(
    ("table", "verb"),
    [
        ("articles", "INSERT"), ("articles", "UPDATE"), ("aliases", "INSERT"), ("traces", "INSERT"),
        ("deliveries", "INSERT"), ("deliveries", "UPDATE"), ("events", "INSERT"), ("feeds", "UPDATE"),
    ],
)  # fmt: skip
def test_a_poll_that_cannot_be_written_whole_is_not_written(store: Store, table: str, verb: str) -> None:
    with_ready(store, ready("a0"))
    failing_on(store, table, verb)
    before = content(store.path)
    with pytest.raises(StoreError, match="broken"):
        store.save_poll(store.feeds()[0].id, (), whole_poll)
    assert content(store.path) == before


def test_a_trace_leads_to_all_articles_that_left_it_and_each_leaves_it_once(store: Store) -> None:
    with_ready(store, ready("a0"))
    store.save_poll(store.feeds()[0].id, (), whole_poll)
    traced: list[tuple[Article, ...]] = []

    def decide(known: Known) -> Decision:
        traced.extend(tuple(known.traced(trace)) for trace in ("path", "title", "other"))
        return Decision(feed=known.feed, traces=(("a1", ("path", "title")),))

    for _ in range(2):
        traced.clear()
        store.save_poll(store.feeds()[0].id, (), decide)
    assert traced == [(store.article("a1"),), (store.article("a0"), store.article("a1")), ()]


def test_a_poll_that_decides_to_save_nothing_writes_nothing(store: Store) -> None:
    before = content(store.path)
    assert store.save_poll(store.feeds()[0].id, (GUID,), lambda _known: None) is None
    assert content(store.path) == before


def test_a_poll_that_cannot_be_decided_writes_nothing(store: Store) -> None:
    before = content(store.path)

    def decide(known: Known) -> Decision:
        raise RuntimeError(f"bug after {known.feed.id}")

    with pytest.raises(RuntimeError, match="bug"):
        store.save_poll(store.feeds()[0].id, (GUID,), decide)
    assert content(store.path) == before


def test_a_poll_is_decided_on_what_is_known_inside_its_transaction(store: Store) -> None:
    poll(store, (article("a1"), (GUID,)), deliveries=(ready("a1"),))
    seen: list[Known] = []

    def decide(known: Known) -> Decision:
        seen.append(known)
        assert known.deliveries("a1") == (ready("a1"),)
        with pytest.raises(StoreError, match="within a transaction"):
            store.keep_note("a", "1")
        return Decision(feed=known.feed)

    store.save_poll(store.feeds()[0].id, (GUID, LINK), decide)
    assert seen[0].articles == {GUID: store.article("a1")}
    assert seen[0].standings == store.standings()
    assert seen[0].feed == store.feeds()[0]


def test_a_poll_of_a_feed_that_is_gone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="feed x is not in the store any more"):
        store.save_poll("x", (), lambda known: Decision(feed=known.feed))


def test_an_alias_never_moves_to_another_article(store: Store) -> None:
    poll(store, (article("a1"), (GUID,)))
    poll(store, (article("a2"), (GUID, LINK)))
    assert [one.id for alias in (GUID, LINK) if (one := store.article_by_alias(alias))] == ["a1", "a2"]


def test_a_delivery_that_exists_is_not_replaced_by_a_poll(store: Store) -> None:
    with_ready(store, ready())
    twin = replace(ready(), id="f" * 64, state=State.HELD, reason="backdated")
    poll(store, deliveries=(replace(ready(), state=State.HELD), twin))
    assert store.deliveries_of("a1") == (ready(),)


def test_parts_and_occasions_of_one_article_are_deliveries_of_their_own(store: Store) -> None:
    others = tuple(
        replace(ready(), id=uid("a1", "main", part, occasion), part=part, occasion=occasion)
        for part, occasion in ((1, "new"), (0, "edit:1"))
    )
    with_ready(store, ready(), *others)
    assert set(store.deliveries_of("a1")) == {ready(), *others}


def test_a_host_that_told_us_to_wait_is_waited_for_until_the_longest_time(store: Store) -> None:
    for minutes in (5, 30, 10):
        store.host_told_to_wait("one.example", NOW + minutes * MINUTE)
    assert store.hosts_waiting(NOW) == {"one.example": NOW + 30 * MINUTE}
    assert store.hosts_waiting(NOW + 30 * MINUTE) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("100%", {"https://n.example/100%-sure"}, id="a percent sign is itself"),
        pytest.param("a_b", {"https://n.example/a_b"}, id="an underscore is itself"),
        pytest.param(r"c\d", {r"https://n.example/c\d"}, id="a backslash is itself"),
        pytest.param("example/a", {"https://n.example/a_b", "https://n.example/axb"}, id="a part of a link"),
        pytest.param("3", {"https://n.example/a_b"}, id="a whole id"),
        pytest.param("%", {"https://n.example/100%-sure"}, id="not everything"),
        pytest.param("nothing", set(), id="nothing"),
    ],
)
def test_articles_are_found_by_a_part_of_their_link(store: Store, text: str, found: set[str]) -> None:
    for key, path in (("1", "100%-sure"), ("2", "axb"), ("3", "a_b"), ("4", r"c\d")):
        poll(store, (article(f"{key}", link=f"https://n.example/{path}"), ()))
    assert {one.link for one in store.articles_like(text)} == found


def test_the_newest_articles_come_first_and_no_more_than_asked(store: Store) -> None:
    for n in range(4):
        poll(store, (replace(article(f"a{n}"), published=NOW + n * MINUTE), ()))
    assert [one.id for one in store.newest_articles(3)] == ["a3", "a2", "a1"]
    assert [one.id for one in store.articles_like("n.example", most=2)] == ["a3", "a2"]


# --- deliveries ------------------------------------------------------------------------------------------------------


def test_a_change_is_written_with_its_event(store: Store) -> None:
    with_ready(store, ready())
    held = replace(ready(), state=State.HELD, reason="burst", changed=NOW + SECOND)
    assert store.change(ready(), held, actor="eva")
    assert store.delivery(ready().id) == held
    (event,) = store.events(ready().id)
    assert (event.at, event.actor, event.what, event.why) == (NOW + SECOND, "eva", "READY -> HELD", "burst")


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(replace(ready(), state=State.HELD), id="another state at the same time"),
        pytest.param(replace(ready(), changed=NOW + SECOND), id="the same state at another time"),
        pytest.param(replace(ready(), changed=NOW - SECOND), id="by a clock that went back"),
    ],
)
def test_a_stale_row_is_refused_and_nothing_is_written(store: Store, meanwhile: Delivery) -> None:
    with_ready(store, ready())
    assert store.change(ready(), meanwhile)
    before = content(store.path)
    cancelled = replace(ready(), state=State.CANCELLED, changed=NOW + MINUTE)
    assert not store.change(ready(), cancelled)
    assert not store.intend(ready(), *sending(ready()))
    assert content(store.path) == before


def test_many_changes_say_which_of_them_were_written(store: Store) -> None:
    one, two = ready("a1"), ready("a2")
    with_ready(store, one, two)
    store.change(one, replace(one, changed=NOW + SECOND))
    held = [(row, replace(row, state=State.HELD, changed=NOW + MINUTE)) for row in (one, two)]
    assert store.change_all(held) == (held[1][1],)
    assert (store.delivery(one.id).state, store.delivery(two.id).state) == (State.READY, State.HELD)


def test_the_intent_and_its_frozen_attempt_are_durable_together(store: Store) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    assert store.intend(ready(), row, attempt)
    assert store.left_sending() == ((row, attempt),)
    assert [event.what for event in store.events(row.id)] == ["READY -> SENDING"]


@pytest.mark.parametrize("state", [state for state in AccountState if state is not AccountState.ACTIVE])
def test_no_intent_is_written_for_an_account_that_may_not_send(store: Store, state: AccountState) -> None:
    with_ready(store, ready())
    was = store.standing("main")
    store.save_standing(was, replace(was, state=state), now=NOW, actor="eva")
    before = content(store.path)
    assert not store.intend(ready(), *sending(ready()))
    assert content(store.path) == before


def test_no_intent_is_written_for_an_account_that_was_never_configured(store: Store) -> None:
    stray = ready("a1", "stray")
    with_ready(store, stray)
    assert not store.intend(stray, *sending(stray))
    assert store.attempts(stray.id) == ()


@pytest.mark.fault("D12")
def test_d12_of_many_that_claim_one_delivery_one_gets_it(store: Store) -> None:
    with_ready(store, ready())
    start, won = threading.Barrier(4), []

    def claim(name: str) -> None:
        start.wait()
        if store.intend(ready(), *sending(ready(), name)):
            won.append(name)

    threads = [threading.Thread(target=claim, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert [attempt.id for attempt in store.attempts(ready().id)] == won


@pytest.mark.parametrize(("table", "verb"), [("deliveries", "UPDATE"), ("attempts", "INSERT"), ("events", "INSERT")])
def test_an_intent_that_cannot_be_written_whole_is_not_written(store: Store, table: str, verb: str) -> None:
    with_ready(store, ready())
    failing_on(store, table, verb)
    before = content(store.path)
    with pytest.raises(StoreError, match="broken"):
        store.intend(ready(), *sending(ready()))
    assert content(store.path) == before


def test_an_outcome_is_written_to_attempt_account_delivery_and_history(store: Store) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    settled = unknown(store, row, attempt)
    assert settled.attempt is not None
    assert store.settle(row, store.standing("main"), settled) == settled.delivery
    assert store.delivery(row.id) == settled.delivery
    assert store.attempt("t1") == settled.attempt
    assert store.standing("main") == settled.standing
    assert [event.what for event in store.events(row.id)] == ["READY -> SENDING", "SENDING -> VERIFYING"]
    assert store.left_sending() == ()


@pytest.mark.parametrize(
    ("table", "verb"),
    [("attempts", "UPDATE"), ("accounts", "UPDATE"), ("deliveries", "UPDATE"), ("events", "INSERT")],
)
def test_an_outcome_that_cannot_be_written_whole_is_not_written(store: Store, table: str, verb: str) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    settled = unknown(store, row, attempt)
    failing_on(store, table, verb)
    before = content(store.path)
    with pytest.raises(StoreError, match="broken"):
        store.settle(row, store.standing("main"), settled)
    assert content(store.path) == before


@pytest.mark.fault("D12")
def test_d12_a_late_outcome_is_kept_as_evidence_and_does_not_undo_what_was_decided_meanwhile(store: Store) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    standing, late = store.standing("main"), unknown(store, row, attempt)
    decided = replace(row, state=State.POSTED, receipt=RECEIPT, changed=NOW + 2 * SECOND)
    assert store.change(row, decided, actor="eva")
    assert store.settle(row, standing, late) == decided
    assert store.delivery(row.id) == decided
    assert (store.attempt("t1").outcome, store.attempt("t1").evidence) == (Evidence.UNKNOWN, "read timed out")


@pytest.mark.fault("D12")
@pytest.mark.parametrize("state", [State.READY, State.CANCELLED, State.NEEDS_REVIEW])
def test_d12_a_post_that_was_found_is_posted_whatever_was_decided_meanwhile(store: Store, state: State) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    standing = store.standing("main")
    store.change(row, replace(row, state=state, generation=1, changed=NOW + 2 * SECOND), actor="eva")
    done = replace(attempt, finished=NOW + MINUTE, outcome=Evidence.POSTED)
    found = replace(row, state=State.POSTED, receipt=RECEIPT, changed=NOW + MINUTE)
    assert store.settle(row, standing, Settled(found, done, standing)) == found
    assert store.delivery(row.id) == found
    last = store.events(row.id)[-1]
    assert (last.what, last.why) == (f"{state} -> POSTED", f"found on the account, although it was {state} meanwhile")


def test_what_a_person_saw_posted_keeps_its_receipt_though_a_look_finds_it_too(store: Store) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    standing = store.standing("main")
    seen = replace(row, state=State.POSTED, receipt=RECEIPT, reason="seen by eva", changed=NOW + 2 * SECOND)
    store.change(row, seen, actor="eva")
    found = replace(seen, receipt=Receipt(remote_id="43"), reason=None, changed=NOW + MINUTE)
    assert store.settle(row, standing, Settled(found, attempt, standing)) == seen
    assert store.delivery(row.id) == seen


def test_a_pause_made_during_a_call_outlives_the_calls_outcome(store: Store) -> None:
    with_ready(store, ready())
    row, attempt = sending(ready())
    store.intend(ready(), row, attempt)
    before_the_call, settled = store.standing("main"), unknown(store, row, attempt)
    paused = replace(before_the_call, state=AccountState.PAUSED, reason="by eva")
    store.save_standing(before_the_call, paused, now=NOW, actor="eva")
    assert store.settle(row, before_the_call, settled) == settled.delivery
    found = store.standing("main")
    assert (found.state, found.reason) == (AccountState.PAUSED, "by eva")
    assert (found.failures, found.not_before) == (settled.standing.failures, settled.standing.not_before)


def test_a_look_of_which_nothing_is_learnt_changes_no_attempt(store: Store) -> None:
    with_ready(store, ready())
    looked = replace(ready(), looks=1, changed=NOW + SECOND)
    standing = store.standing("main")
    assert store.settle(ready(), standing, Settled(looked, None, standing)) == looked
    assert (store.delivery(ready().id), store.events(ready().id)) == (looked, ())
    assert store.standing("main") == standing


def test_sending_without_an_attempt_is_damage(store: Store) -> None:
    with_ready(store, ready())
    store.change(ready(), replace(ready(), state=State.SENDING))
    with pytest.raises(StoreError, match=f"{ready().id[:8]} is SENDING without an attempt: the store is damaged"):
        store.left_sending()


def test_due_rows_come_unclosed_first_then_oldest_then_by_id(store: Store) -> None:
    old, new, later = (
        ready("a1"),
        replace(ready("a2"), published=NOW + MINUTE),
        replace(ready("a3"), published=NOW + SECOND, due=NOW + HOUR),
    )
    unclosed = replace(ready("a4"), published=NOW + HOUR)
    twins = sorted((ready("a5"), old), key=lambda row: row.id)
    with_ready(store, old, new, later, unclosed, ready("a5"), ready("a6", "side"))
    store.change(unclosed, replace(unclosed, unclosed=True, frozen="t"))
    expected = [unclosed.id, *(row.id for row in twins), new.id]
    assert [row.id for row in store.ready("main", NOW)] == expected
    assert [row.id for row in store.ready("main", NOW, most=2)] == expected[:2]
    assert [row.id for row in store.ready("main", NOW + HOUR)] == [*expected[:3], later.id, new.id]


def test_what_is_to_be_looked_up_falls_due_at_its_time(store: Store) -> None:
    with_ready(store, ready("a1"), ready("a2"))
    now, later = (replace(ready(key), state=State.VERIFYING, look_at=at) for key, at in (("a1", None), ("a2", NOW)))
    store.change_all(((ready("a1"), now), (ready("a2"), later)))
    assert store.unknown("main", NOW - SECOND) == (now,)
    assert set(store.unknown("main", NOW)) == {now, later}
    assert store.unknown("side", NOW) == ()


def test_what_is_longest_due_is_looked_up_first(store: Store) -> None:
    times = {"a1": NOW, "a2": NOW - HOUR, "a3": NOW - MINUTE}
    with_ready(store, *(ready(key) for key in times))
    for key, at in times.items():
        store.change(ready(key), replace(ready(key), state=State.VERIFYING, look_at=at))
    assert [row.article for row in store.unknown("main", NOW)] == ["a2", "a3", "a1"]


def test_work_names_each_account_with_something_to_do_and_when(store: Store) -> None:
    with_ready(store, ready("a1"), replace(ready("a2"), due=NOW - HOUR), ready("a3"), ready("a4", "side"))
    store.change(ready("a3"), replace(ready("a3"), state=State.VERIFYING, look_at=NOW + HOUR))
    store.change(ready("a4", "side"), replace(ready("a4", "side"), state=State.HELD, reason="burst"))
    found = {(work.account, work.state): (work.count, work.at) for work in store.work()}
    assert found == {
        ("main", State.READY): (2, NOW - HOUR),
        ("main", State.VERIFYING): (1, NOW + HOUR),
    }
    assert {(count.account, count.state, count.reason, count.count) for count in store.counts()} == {
        ("main", State.READY, None, 2),
        ("main", State.VERIFYING, None, 1),
        ("side", State.HELD, "burst", 1),
    }
    assert [row.article for row in store.in_state(State.HELD)] == ["a4"]


def test_a_delivery_is_found_by_its_first_digits(store: Store) -> None:
    rows = [
        replace(ready(f"a{n}"), id=f"{prefix}{n:060d}") for n, prefix in enumerate(("abcd", "abce", "abcf", "b000"))
    ]
    with_ready(store, *rows)
    assert store.by_prefix("abcd") == (rows[0],)
    assert store.by_prefix("abc") == tuple(rows[:3])
    assert store.by_prefix("b") == (rows[3],)
    assert store.by_prefix("c") == ()
    assert store.delivery(rows[1].id) == rows[1]


def test_articles_with_a_delivery_that_is_not_final_are_open(store: Store) -> None:
    rows = {state: ready(state.value) for state in State}
    with_ready(store, *rows.values())
    for state, row in rows.items():
        if state is not State.READY:
            store.change(row, replace(row, state=state, changed=NOW + SECOND))
    assert store.open_articles() == {"HELD", "READY", "SENDING", "VERIFYING", "NEEDS_REVIEW"}


def test_only_what_may_have_made_a_post_and_costs_something_was_paid(store: Store) -> None:
    for n, (counted, cost) in enumerate(((True, 200_000), (False, 200_000), (True, 0), (True, 15_000))):
        row = ready(f"a{n}")
        with_ready(store, row)
        intent, attempt = sending(row, f"t{n}", NOW + n * MINUTE)
        store.intend(row, intent, replace(attempt, counted=counted, microdollars=cost))
    assert set(store.paid("main", NOW - SECOND)) == {(NOW, 200_000), (NOW + 3 * MINUTE, 15_000)}
    assert store.paid("main", NOW) == ((NOW + 3 * MINUTE, 15_000),)
    assert store.paid("side", NOW - SECOND) == ()


def test_only_attempts_that_may_have_made_a_post_count(store: Store) -> None:
    for n, counted in enumerate((True, False, True)):
        row = ready(f"a{n}")
        with_ready(store, row)
        intent, attempt = sending(row, f"t{n}", NOW + n * MINUTE)
        store.intend(row, intent, replace(attempt, counted=counted))
    assert set(store.counted("main", NOW - SECOND)) == {NOW, NOW + 2 * MINUTE}
    assert store.counted("main", NOW) == (NOW + 2 * MINUTE,)
    assert store.counted("side", NOW - SECOND) == ()


# --- what a statement costs ------------------------------------------------------------------------------------------

#: The statements that go through a whole table, and why that is fine. Tables of articles, aliases, traces, deliveries,
#: attempts and events grow without end: no statement of a poll or a drain goes through one of them.
SCANS = {
    "clock_latest": "the feeds, once a drain that sends",
    "clock_attempts": "once, when a clock that was wrong is right again",
    "clock_keys": "once, when a clock that was wrong is right again",
    "clock_articles": "once, when a clock that was wrong is right again",
    "clock_feeds": "once, when a clock that was wrong is right again",
    "clock_hosts": "once, when a clock that was wrong is right again",
    "clock_accounts": "once, when a clock that was wrong is right again",
    "accounts_all": "a few accounts",
    "accounts_release": "a few accounts, when the configuration changed",
    "feeds_all": "once, when the configuration changed",
    "feed_first": "goes through the feeds until the first that is named",
    "feeds_configured": "all of them are wanted, once a round",
    "feed_ids": "all of them are wanted, once a round",
    "feeds_release": "once, when the configuration changed",
    "alerts_clear_safe_mode": "a few accounts, when the configuration changed or the clock is right again",
    "alerts_live": "the few that have not ended, once a minute",
    "alerts_urgent": "the few that have not ended, after each poll and drain of a daemon",
    "alerts_forget": "those of some months, once a day",
    "leases_give_back": "at most one for each feed and account, at the end of a process",
    "hosts_waiting": "the few hosts that ever told us to wait, once a round",
    "articles_count": "for a person who asks for the status",
    "articles_like": "for a person who knows a part of a link",
    "articles_newest": "for a person who asks for the status",
    "deliveries_count": "for a person who asks for the status",
    "deliveries_newest": "for a person who lists all",
    "measure_deliveries": "an index alone, for who scrapes metrics: 10 ms for 100,000",
    "measure_failed": "an index of failures alone, for who scrapes metrics",
    "measure_alerts": "an index of those that have not ended, for who scrapes metrics",
    "check_deliveries": "for a person who checks the store",
    "check_attempts": "for a person who checks the store",
    "check_aliases": "for a person who checks the store",
    "check_frozen": "for a person who checks the store",
    "care_counts": "for a person who checks the store",
}


def scanning(store: Store, sql: str) -> bool:
    with closing(sqlite3.connect(store.path)) as connection:
        values = dict.fromkeys(re.findall(r":(\w+)", sql))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    return any(detail.startswith("SCAN") for *_, detail in plan)


def test_no_statement_goes_through_a_table_that_grows_unless_a_person_asks(store: Store) -> None:
    assert {name for name, sql in statements().items() if scanning(store, sql)} == set(SCANS)


def test_the_next_of_many_due_deliveries_is_found_without_sorting_them(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        sql = statements()["deliveries_ready"]
        values = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
        plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan == ["SEARCH deliveries USING INDEX deliveries_work (state=? AND account=?)"]


def test_what_is_held_for_a_dead_link_is_found_without_a_look_at_what_is_held_for_other_reasons(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN " + statements()["deliveries_dead_link"], {"feed": "f"}
        ).fetchall()
    assert any("deliveries_held (reason=?)" in detail for *_, detail in plan)
