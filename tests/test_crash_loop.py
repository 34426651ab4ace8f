"""A program that falls again and again: the fifth start in ten minutes reads feeds and sends nothing, until `go`."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autopublish import deliveries
from autopublish.app import CRASH_LOOP, build
from autopublish.errors import ConfigError, Problem, StoreBusy, StoreError
from autopublish.models import AccountState, AlertKind
from autopublish.store import Start, Store, open_store
from tests.desk import PAGE, Desk

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

#: Begins as `run` does, and dies.
KILLED = """
import os
import signal
import sys
from datetime import UTC, datetime
from autopublish.store import open_store

with open_store(sys.argv[1]).only_run(datetime.now(UTC)):
    os.kill(os.getpid(), signal.SIGKILL)
"""
#: The daemon, which fails before it looks at any account: what it is to keep its time by is of no use.
FAILING = """
import sys
from pathlib import Path
from autopublish.daemon import Daemon
from autopublish.engines.local import Clocks

def broken():
    raise RuntimeError("a clock that stands still")

Daemon(Path(sys.argv[1]), tell=lambda words: print(words, flush=True), clocks=Clocks(monotonic=broken)).run()
"""


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """A store that nobody worked with yet."""
    with closing(open_store(f"sqlite:///{folder / 'autopublish.db'}")) as one:
        yield one


def start(store: Store, error: BaseException | None, now: datetime = NOW) -> int:
    """How many of those before fell, by what a process is told that ends by the error."""
    with contextlib.suppress(BaseException), store.only_run(now) as begun:
        falls = begun.falls
        if error is not None:
            raise error
    return falls


IN_ORDER = {
    "the end": None,
    "a wrong file": ConfigError(Problem(file="autopublish.yaml", message="is wrong")),
    "a store that cannot be written": StoreError("disk full"),
    "another process at work": StoreBusy("another daemon is at work"),
    "Ctrl-C": KeyboardInterrupt(),
    "an exit": SystemExit(1),
}
NOT_IN_ORDER = {"a bug": RuntimeError("a bug"), "out of memory": MemoryError()}


@pytest.mark.parametrize("error", IN_ORDER.values(), ids=IN_ORDER)
def test_what_is_raised_on_purpose_or_asked_for_is_an_end_in_order(store: Store, error: BaseException | None) -> None:
    start(store, error)
    assert start(store, None) == 0


@pytest.mark.parametrize("error", NOT_IN_ORDER.values(), ids=NOT_IN_ORDER)
def test_an_error_that_nobody_expected_counts_and_the_next_end_in_order_forgives(
    store: Store, error: BaseException
) -> None:
    start(store, error)
    assert start(store, None) == 1
    assert start(store, None) == 0


def test_a_process_that_says_itself_that_it_failed_counts(store: Store) -> None:
    with store.only_daemon(NOW) as begun:
        begun.hold.falls = True
    with store.only_daemon(NOW) as begun:
        assert begun.falls == 1


def test_a_process_that_leaves_without_giving_the_lock_back_may_have_ended_in_order(store: Store) -> None:
    with contextlib.suppress(RuntimeError), store.only_daemon(NOW) as begun:
        begun.hold.end()
        raise RuntimeError
    with store.only_daemon(NOW) as begun:
        assert begun.falls == 0


@pytest.mark.parametrize(
    ("minutes", "falls"),
    [
        pytest.param([0, 2, 4, 6], 4, id="four within ten minutes"),
        pytest.param([0, 3, 6, 9], 3, id="the first one too long ago"),
        pytest.param([-80, -60, -40, -20], 0, id="each long after the other"),
        pytest.param([0] * 20, 8, id="no more are kept than matter"),
    ],
)
def test_only_starts_of_the_last_ten_minutes_count(store: Store, minutes: Sequence[int], falls: int) -> None:
    for minute in minutes:
        start(store, RuntimeError(), NOW + minute * MINUTE)
    assert start(store, None, NOW + 10.5 * MINUTE if minutes[-1] == 9 else NOW + 10 * MINUTE) == falls


def kill_runs(desk: Desk, count: int) -> None:
    """So many runs die in the middle of their work."""
    for _ in range(count):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, f"sqlite:///{desk.folder}/autopublish.db"], check=False, timeout=30
        )
        assert done.returncode == -signal.SIGKILL


def standing(desk: Desk) -> tuple[AccountState, str | None]:
    """How the account of the page stands."""
    with desk.store() as store:
        one = store.standing("page")
    return one.state, one.reason


def alerts(desk: Desk) -> list[bool]:
    """For each alert of SAFE_MODE, whether it is over."""
    with desk.store() as store:
        return [one.over is not None for one in store.alerts() if one.cause.kind is AlertKind.SAFE_MODE]


@pytest.mark.fault("P07")
def test_p07_the_fifth_start_polls_and_sends_nothing_until_go(desk: Desk) -> None:
    desk("run")
    kill_runs(desk, CRASH_LOOP - 1)
    desk.show("one")
    said = desk("run")
    assert (said.code, "Every account is in SAFE_MODE" in said.err) == (1, True)
    assert f"began {CRASH_LOOP} times within 10 minutes" in said.err
    assert standing(desk)[0] is AccountState.SAFE_MODE
    assert desk.pages() == set()
    assert desk.row("one", "page").state.value == "READY", "the feed was read"
    assert alerts(desk) == [False]

    again = desk("run")
    assert (again.code, "Every account is in SAFE_MODE" in again.err) == (1, False)
    assert standing(desk)[0] is AccountState.SAFE_MODE, "it ended in order, and nobody said go"

    assert desk("go").code == 0
    assert desk("run").code == 0
    assert desk.pages() == {"one"}
    assert False not in alerts(desk)
    kill_runs(desk, 1)
    assert desk("run").code == 0, "what was before is forgotten"


@pytest.mark.fault("P07")
def test_p07_four_starts_are_no_loop(desk: Desk) -> None:
    desk("run")
    kill_runs(desk, CRASH_LOOP - 2)
    desk.show("one")
    assert desk("run").code == 0
    assert desk.pages() == {"one"}


@pytest.mark.fault("P07")
def test_p07_an_account_that_is_added_meanwhile_is_in_safe_mode_too(desk: Desk) -> None:
    desk("run")
    kill_runs(desk, CRASH_LOOP - 1)
    desk("run")
    desk.configure(PAGE, PAGE.replace("page:", "second:", 1).replace("out", "second"))
    desk("run")
    with desk.store() as store:
        assert store.standing("second").state is AccountState.SAFE_MODE


@pytest.mark.fault("P07")
def test_p07_a_daemon_that_fails_at_its_start_counts_before_it_looks_at_accounts(desk: Desk) -> None:
    desk("run")
    for _ in range(CRASH_LOOP):
        done = subprocess.run(
            [sys.executable, "-c", FAILING, str(desk.file)],
            env=desk.variables(),
            cwd=desk.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert "a clock that stands still" in done.stderr
    assert f"began {CRASH_LOOP} times within 10 minutes" in done.stdout
    assert standing(desk)[0] is AccountState.SAFE_MODE
    assert alerts(desk) == [False]


def test_a_start_after_an_end_in_order_writes_nothing_for_it(store: Store) -> None:
    assert start(store, None) == 0
    files = [store.path, store.path.with_name(f"{store.path.name}-wal")]
    before = [(file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    assert start(store, None) == 0
    assert [(file.stat().st_mtime_ns, file.stat().st_size) for file in files] == before
    assert store.note("falls") is None


def test_what_a_person_paused_stays_paused_in_safe_mode(desk: Desk) -> None:
    desk("run")
    desk("accounts", "pause", "page")
    kill_runs(desk, CRASH_LOOP - 1)
    desk("run")
    assert standing(desk)[0] is AccountState.PAUSED


def test_what_a_person_paused_is_resumed_only_after_go_where_the_program_falls_again_and_again(desk: Desk) -> None:
    desk("run")
    desk("accounts", "pause", "page")
    kill_runs(desk, CRASH_LOOP - 1)
    desk("run")
    said = desk("accounts", "resume", "page")
    assert (said.code, "autopublish go" in said.err) == (1, True)
    assert standing(desk)[0] is AccountState.PAUSED
    desk("go")
    assert desk("accounts", "resume", "page").code == 0


def test_the_count_is_told_with_the_start(desk: Desk) -> None:
    desk("run")
    kill_runs(desk, 2)
    with closing(build(desk.file)) as app, app.store.only_run(app.now()) as begun:
        assert isinstance(begun, Start)
        assert begun.falls == 2
        assert app.watch_falls(begun.falls) == ()


def test_stopped_for_the_clock_ends_by_the_clock_and_stopped_for_falls_does_not(desk: Desk) -> None:
    desk("run")
    kill_runs(desk, CRASH_LOOP - 1)
    desk("run")
    with desk.store() as store:
        assert store.start_some(NOW, started=deliveries.clock_is_right) == ()
    assert standing(desk)[0] is AccountState.SAFE_MODE
