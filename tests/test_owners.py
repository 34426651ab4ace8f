"""Leases: what a living process works on nobody else takes, and what a dead one left is free at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autopublish.errors import StoreBusy, StoreError
from autopublish.models import State
from autopublish.store import Owner, Store, open_store
from autopublish.store._store import _check_nobody_works
from tests.bench.world import World

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh store."""
    with closing(open_store(f"sqlite:///{tmp_path / 's.db'}")) as made:
        yield made


@pytest.fixture
def owner(store: Store) -> Iterator[Owner]:
    """This process on the store."""
    with store.own("run", NOW) as one:
        yield one


@pytest.fixture
def other(store: Store) -> Iterator[Owner]:
    """Another one on the store; to locks it makes no difference that it is this process, too."""
    with store.own("daemon", NOW) as one:
        yield one


HOLDER = """
import sys
from datetime import UTC, datetime
from autopublish.store import open_store

store = open_store(sys.argv[1])
with store.own("daemon", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)) as owner:
    assert owner.take("drain", ["a", "b"]) == {}
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process_with_leases(store: Store) -> Iterator[subprocess.Popen[str]]:
    """A process that works on the accounts a and b."""
    line = [sys.executable, "-c", HOLDER, f"sqlite:///{store.path}"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def locks(store: Store) -> int:
    """How many lock files of processes there are."""
    return len([path for path in store.folder.glob("*.lock") if len(path.stem) == 16])


def test_what_is_free_is_ours_until_it_is_given_back(owner: Owner, other: Owner) -> None:
    assert owner.take("drain", ["a", "b"]) == {}
    assert owner.take("drain", ["a"]) == {}, "again it costs nothing"
    assert set(other.take("drain", ["a", "c"])) == {"a"}
    owner.give_back("drain", ["a", "never taken"])
    assert other.take("drain", ["a"]) == {}
    assert (owner.holds("drain", "a"), owner.holds("drain", "b")) == (False, True)
    assert (other.holds("drain", "a"), other.holds("drain", "c")) == (True, True)


def test_feeds_and_accounts_of_one_name_are_told_apart(owner: Owner, other: Owner) -> None:
    assert owner.take("poll", ["a"]) == {}
    assert other.take("drain", ["a"]) == {}


def test_who_has_it_is_told_with_its_pid_and_since_when(owner: Owner, store: Store) -> None:
    with process_with_leases(store) as child:
        words = f"daemon, pid {child.pid}, since 2026-11-24 09:30:00 UTC"
        assert owner.take("drain", ["a", "b", "c"]) == {"a": words, "b": words}


@pytest.mark.fault("D12")
def test_d12_what_a_killed_process_had_is_free_at_once_and_its_file_is_gone(owner: Owner, store: Store) -> None:
    with process_with_leases(store) as child:
        child.kill()
        child.wait()
        assert locks(store) == 2
        assert owner.take("drain", ["a", "b"]) == {}
    assert owner.holds("drain", "a")
    assert locks(store) == 1


@pytest.mark.fault("D12")
def test_d12_what_a_process_has_that_stands_still_stays_its_own(owner: Owner, store: Store) -> None:
    with process_with_leases(store) as child:
        child.send_signal(signal.SIGSTOP)
        assert set(owner.take("drain", ["a"])) == {"a"}
        child.send_signal(signal.SIGCONT)
        child.communicate()
        assert owner.take("drain", ["a"]) == {}


def test_in_the_end_neither_lease_nor_file_is_left(store: Store, other: Owner) -> None:
    def work_and_fail() -> None:
        with store.own("run", NOW) as owner:
            owner.take("drain", ["a"])
            assert locks(store) == 2
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        work_and_fail()
    assert locks(store) == 1
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM leases").fetchone() == (0,)
    assert other.take("drain", ["a"]) == {}


def test_a_lease_whose_file_is_gone_is_of_the_dead(owner: Owner, other: Owner, store: Store) -> None:
    other.take("drain", ["a"])
    for path in store.folder.glob("*.lock"):
        path.unlink()
    assert owner.take("drain", ["a"]) == {}
    assert not other.holds("drain", "a"), "who believes to have it finds out before it sends"


def test_a_second_daemon_is_refused_and_a_run_is_not(store: Store) -> None:
    words = rf"another daemon is at work \(pid {os.getpid()}, since 2026-11-24 10:00:00 UTC\)"
    with store.only_daemon(NOW), store.only_run(NOW), pytest.raises(StoreBusy, match=words), store.only_daemon(NOW):
        pytest.fail("it began")


def test_a_store_is_not_migrated_under_a_process_that_works(store: Store) -> None:
    with process_with_leases(store) as child:
        with pytest.raises(StoreError, match=rf"daemon, pid {child.pid}, .* is at work on it: .*restart the daemon"):
            _check_nobody_works(store.path)
        child.kill()
        child.wait()
        _check_nobody_works(store.path)


@pytest.mark.fault("D12")
def test_d12_who_lost_its_lease_before_the_first_byte_sends_nothing(world: World) -> None:
    world.add_account("blind")
    world.open_site()
    world.show_more(world.news("one"))

    def lose_the_lease(edge: str) -> None:
        if edge == "publish: before":
            with closing(sqlite3.connect(world.store_path)) as connection, connection:
                connection.execute("UPDATE leases SET owner = 'another' WHERE verb = 'drain'")

    world.edge = lose_the_lease
    world.run()
    assert (world.posted("blind"), world.delivery("one", "blind").state) == ([], State.READY)
    world.edge = None
    world.until_quiet()
    assert world.posted("blind") == ["one"]
