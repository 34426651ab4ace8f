"""`status --check`: one line and one exit code about whether the program does its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autopublish.health import LAST_TICK, age_in_words, problems, tick_of
from autopublish.models import AccountState, Feed, FeedSettings, Standing
from tests.desk import FEED, PAGE, Desk

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def feed(*, name: str = "news", every: timedelta = 5 * MINUTE, **values: Any) -> Feed:
    """A feed that was read a minute ago."""
    known = {"last_try": NOW - MINUTE, "last_good": NOW - MINUTE, **values}
    settings = FeedSettings(name=name, url="https://news.example/feed/", every=every)
    return Feed(id=name, settings=settings, **known)


def standing(**values: Any) -> Standing:
    """An account that may send."""
    return Standing(account="page", platform="page", created=NOW, active_since=NOW, **values)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a page of posts; one run is over."""
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    assert made("run").code == 0
    return made


# --- what counts -----------------------------------------------------------------------------------------------------

ILL: Mapping[str, tuple[list[Feed], list[Standing], datetime | None, str]] = {
    "no-tick-for-long": ([feed()], [], NOW - 3 * MINUTE - SECOND, "the daemon's last tick was 3 min ago"),
    "tick-ahead": ([feed()], [], NOW + HOUR, "the daemon's last tick lies 1 h ahead of this machine's clock"),
    "gone": ([feed(gone=True, failures=1)], [], NOW, "feed news is gone (410)"),
    "failed-often": ([feed(failures=3, last_error="no name")], [], NOW, "feed news failed 3 times: no name"),
    "blocked": (
        [feed()],
        [standing(state=AccountState.AUTH_BLOCKED, reason="token dead")],
        NOW,
        "account page is AUTH_BLOCKED: token dead",
    ),
    "safe-mode": (
        [feed()],
        [standing(state=AccountState.SAFE_MODE)],
        NOW,
        "account page is SAFE_MODE: no reason is known",
    ),
    "nothing-runs": ([feed(last_try=NOW - 16 * MINUTE)], [], None, "no feed was asked for 16 min"),
    "nothing-ever-ran": ([feed(last_try=None, last_good=None)], [], None, "no feed was ever asked"),
    "slow-feeds-do-not-run": (
        [feed(every=HOUR, last_try=NOW - 3 * HOUR - SECOND)],
        [],
        None,
        "no feed was asked for 3 h",
    ),
}


@pytest.mark.parametrize(("feeds", "standings", "tick", "words"), ILL.values(), ids=ILL)
def test_what_keeps_the_program_from_its_work_is_told(
    feeds: list[Feed], standings: list[Standing], tick: datetime | None, words: str
) -> None:
    assert problems(feeds, standings, tick=tick, now=NOW) == (words,)


WELL: Mapping[str, tuple[list[Feed], list[Standing], datetime | None]] = {
    "ticks": ([feed()], [standing()], NOW - 3 * MINUTE),
    "clock-a-little-off": ([feed()], [standing()], NOW + 3 * MINUTE),
    "slow-feed-with-a-daemon": ([feed(last_try=NOW - 5 * HOUR, every=6 * HOUR)], [], NOW),
    "runs-by-cron": ([feed(last_try=NOW - 15 * MINUTE)], [], None),
    "one-of-two-is-asked": ([feed(), feed(name="b", last_try=NOW - HOUR)], [], None),
    "slow-feed-by-cron": ([feed(every=HOUR, last_try=NOW - 3 * HOUR)], [], None),
    "told-to-wait": ([feed(last_try=NOW - HOUR, not_before=NOW + HOUR)], [], None),
    "failed-twice": ([feed(failures=2)], [], NOW),
    "all-that-failed-are-asked-seldom": ([feed(failures=2, last_try=NOW - HOUR)], [], None),
    "paused-by-a-person": ([feed()], [standing(state=AccountState.PAUSED)], NOW),
    "no-feeds-yet": ([], [], None),
}


@pytest.mark.parametrize(("feeds", "standings", "tick"), WELL.values(), ids=WELL)
def test_what_goes_on_by_itself_is_no_problem(
    feeds: list[Feed], standings: list[Standing], tick: datetime | None
) -> None:
    assert problems(feeds, standings, tick=tick, now=NOW) == ()


def test_all_problems_are_told_together() -> None:
    ill = [feed(gone=True), feed(name="b", failures=4, last_error="x")]
    blocked = standing(state=AccountState.AUTH_BLOCKED, reason="y")
    assert len(problems(ill, [blocked], tick=NOW - HOUR, now=NOW)) == 4


AGES = {"0 s": timedelta(0), "59 s": 59 * SECOND, "1 min": 119 * SECOND, "23 h": 24 * HOUR - SECOND, "2 d": 50 * HOUR}


@pytest.mark.parametrize(("words", "age"), AGES.items())
def test_an_age_is_told_in_its_largest_unit(words: str, age: timedelta) -> None:
    assert age_in_words(age) == words


def test_the_note_of_the_last_tick_is_a_time_or_none() -> None:
    assert tick_of(NOW.isoformat()) == NOW
    assert tick_of(None) is None
    assert tick_of("") is None


@pytest.mark.parametrize("note", ["soon", "2026-11-24T10:00:00"])
def test_a_note_that_tells_no_time_is_no_tick(note: str) -> None:
    with pytest.raises(ValueError, match=note):
        tick_of(note)


# --- the command -----------------------------------------------------------------------------------------------------


def tick(desk: Desk, ago: timedelta) -> None:
    """The daemon looked at everything so long ago."""
    with desk.store() as store:
        store.keep_note(LAST_TICK, (datetime.now(UTC) - ago).isoformat())


def test_a_program_that_does_its_work_is_well(desk: Desk) -> None:
    said = desk("status", "--check")
    assert (said.code, said.out, said.err) == (0, "well\n", "")
    tick(desk, timedelta(0))
    said = desk("status", "--check")
    assert said.code == 0
    assert said.out.startswith("well, last tick ")


def test_a_daemon_that_is_stuck_ends_the_check_with_1_and_one_line(desk: Desk) -> None:
    tick(desk, 10 * MINUTE)
    said = desk("status", "--check")
    assert (said.code, said.out, said.err) == (1, "not well: the daemon's last tick was 10 min ago\n", "")


def test_the_check_tells_machines_each_problem(desk: Desk) -> None:
    tick(desk, timedelta(0))
    told = desk("status", "--check", "--json").json()
    assert (told["well"], told["problems"]) == (True, [])
    assert datetime.fromisoformat(told["last_tick"]).tzinfo is not None
    with desk.store() as store:
        (was,) = store.standings().values()
        store.save_standing(was, replace(was, state=AccountState.AUTH_BLOCKED, reason="a\nb"), now=NOW)
    said = desk("status", "--check", "--json")
    assert said.code == 1
    assert said.json()["problems"] == ["account page is AUTH_BLOCKED: a\nb"]
    assert desk("status", "--check").out.splitlines() == ["not well: account page is AUTH_BLOCKED: a; b"]


def no_store(desk: Desk) -> None:
    """There is none."""
    (desk.folder / "autopublish.db").unlink()


def no_database(desk: Desk) -> None:
    """In its place is something else."""
    (desk.folder / "autopublish.db").write_bytes(b"no store at all" * 1000)


def wrong_file(desk: Desk) -> None:
    """The configuration has two mistakes."""
    desk.file.write_text("feeds: 1\naccounts: 2\n")


def wrong_note(desk: Desk) -> None:
    """The note holds no time."""
    with desk.store() as store:
        store.keep_note(LAST_TICK, "soon")


SPOILT = {"no-store": no_store, "no-database": no_database, "wrong-file": wrong_file, "wrong-note": wrong_note}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "words"])
def test_what_cannot_be_read_ends_the_check_with_1_and_one_line(spoil: Any, desk: Desk, *, as_json: bool) -> None:
    spoil(desk)
    said = desk("status", "--check", *(["--json"] if as_json else []))
    assert (said.code, said.err) == (1, "")
    if as_json:
        assert said.json()["well"] is False
        assert len(said.json()["problems"]) == 1
    else:
        (line,) = said.out.splitlines()
        assert line.startswith("not well: ")


def test_the_check_writes_nothing(desk: Desk) -> None:
    before = desk.tree()
    desk("status", "--check")
    assert desk.tree() == before


def test_a_feed_that_was_never_read_is_no_end_of_a_check_that_never_ran(tmp_path: Path) -> None:
    made = Desk(tmp_path)
    made.configure(PAGE, feeds=FEED)
    said = made("status", "--check")
    assert said.code == 1
    assert "there is no store" in said.out
