"""When a feed is due, when an account goes on by itself, and the runs that keep to it: `run --due`, `run --wait`."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest

from autopublish.app import App, End, Feeds, RunReport, build
from autopublish.deliveries import block
from autopublish.models import AccountState, Feed, FeedSettings, Standing, State
from autopublish.pipeline._due import LEAST_PAUSE, goes_on_at, is_due
from autopublish.store import Work
from tests.desk import FEED, PAGE, SECRET, Desk, seen_on, sky
from tests.servers import mastodon
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.mastodon import FakeMastodon
from tests.servers.pds import FakePds, Fault, Made, Then

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVERY = timedelta(minutes=10)
LOST = Fault(then=Then.ANSWER, status=500)
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


# --- feeds -----------------------------------------------------------------------------------------------------------


def feed(ago: timedelta | None, *, failures: int = 0, every: timedelta = EVERY) -> Feed:
    """A feed that was last asked so long ago."""
    settings = FeedSettings(name="news", url="https://news.example/feed/", every=every)
    return Feed(id="1", settings=settings, last_try=None if ago is None else NOW - ago, failures=failures)


DUE = {
    "never asked": (feed(None), True),
    "just asked": (feed(SECOND), False),
    "almost a tenth early": (feed(EVERY * 0.9 - SECOND), False),
    "a tenth early": (feed(EVERY * 0.9), True),
    "on time": (feed(EVERY), True),
    "failed once": (feed(EVERY, failures=1), True),
    "failed twice, too early": (feed(EVERY * 1.9 - SECOND, failures=2), False),
    "failed twice": (feed(EVERY * 1.9, failures=2), True),
    "failed four times, too early": (feed(EVERY * 7.9 - SECOND, failures=4), False),
    "failed four times": (feed(EVERY * 7.9, failures=4), True),
    "failed for ever, too early": (feed(6 * HOUR - MINUTE - SECOND, failures=10**9), False),
    "failed for ever": (feed(6 * HOUR - MINUTE, failures=10**9), True),
    "failed, and asked once a day anyway": (feed(DAY * 0.9, failures=5, every=DAY), True),
    "failed, and not asked more than once a day": (feed(DAY * 0.9 - SECOND, failures=5, every=DAY), False),
    "asked in ten years at the most": (feed(DAY, failures=50, every=3650 * DAY), False),
    "asked by a clock that was ahead": (feed(-DAY), True),
}


@pytest.mark.fault("F10")
@pytest.mark.parametrize(("one", "due"), DUE.values(), ids=DUE)
def test_f10_a_feed_is_due_by_its_every_and_rests_longer_while_it_fails(one: Feed, due: bool) -> None:
    assert is_due(one, NOW) is due


# --- accounts --------------------------------------------------------------------------------------------------------

ACTIVE = Standing(account="a", platform="p", created=NOW, active_since=NOW)


def work(state: State, at: timedelta) -> Work:
    return Work(account="a", state=state, count=1, at=NOW + at)


def waits(until: timedelta) -> Standing:
    return replace(ACTIVE, not_before=NOW + until)


GOES_ON = {
    "nothing to do": ([], ACTIVE, None, None),
    "due later": ([work(State.READY, HOUR)], ACTIVE, None, HOUR),
    "due, and paced": ([work(State.READY, -HOUR)], ACTIVE, MINUTE, MINUTE),
    "due later than its window": ([work(State.READY, HOUR)], ACTIVE, MINUTE, HOUR),
    "due, and backing off": ([work(State.READY, -HOUR)], waits(2 * MINUTE), None, 2 * MINUTE),
    "backed off long ago": ([work(State.READY, HOUR)], waits(-HOUR), None, HOUR),
    "a look": ([work(State.VERIFYING, MINUTE)], ACTIVE, HOUR, MINUTE),
    "a look, and backing off": ([work(State.VERIFYING, MINUTE)], waits(HOUR), None, HOUR),
    "what comes first": ([work(State.READY, HOUR), work(State.VERIFYING, MINUTE)], ACTIVE, None, MINUTE),
    "what a drain left": ([work(State.READY, -HOUR)], ACTIVE, None, LEAST_PAUSE),
    "being sent": ([work(State.SENDING, -HOUR)], ACTIVE, None, None),
    **{
        state.value: ([work(State.READY, HOUR), work(State.VERIFYING, HOUR)], replace(ACTIVE, state=state), None, None)
        for state in AccountState
        if state is not AccountState.ACTIVE
    },
}


@pytest.mark.parametrize(("works", "standing", "paced", "expected"), GOES_ON.values(), ids=GOES_ON)
def test_an_account_goes_on_when_the_first_of_its_work_may(
    works: list[Work], standing: Standing, paced: timedelta | None, expected: timedelta | None
) -> None:
    at = goes_on_at(works, standing, lambda: None if paced is None else NOW + paced, NOW)
    assert at == (None if expected is None else NOW + expected)


# --- the commands ----------------------------------------------------------------------------------------------------


def test_a_run_that_keeps_to_every_asks_no_feed_before_its_time_and_works_on_what_waits(
    desk: Desk, site: FeedSite
) -> None:
    site.script("/feed/", *[Answer(body=(desk.folder / "feed.xml").read_bytes())] * 3)
    slow = f"  slow:\n    url: {site.url('/feed/')}\n    every: 1h\n    allow_private: yes\n"
    desk.configure(PAGE + "    delay: 1h\n", feeds=slow + FEED.replace("news:", "fast:") + "    every: 30s\n")
    first = desk("run", "--due", "--json").json()
    assert {one["status"] for one in first["polled"]} == {"first poll"}, "what was never asked is due"
    desk.show("one")
    desk("run")
    assert len(site.asked) == 2, "without --due each feed is polled"
    with desk.store() as store:
        store.save_feeds(replace(one, last_try=datetime.now(UTC) - timedelta(seconds=28)) for one in store.feeds())
    desk.change(desk.row("one", "page"), due=datetime.now(UTC))
    said = desk("run", "--due", "--json")
    assert [(one["feed"], one["status"], one["new"], one["reason"]) for one in said.json()["polled"]] == [
        ("slow", "not due", 0, None),
        ("fast", "nothing new", 0, None),
    ]
    assert (said.code, len(site.asked), desk.pages()) == (0, 2, {"one"})


def test_in_a_pipe_a_run_in_which_no_feed_is_due_says_nothing(desk: Desk) -> None:
    desk("run")
    said = desk("run", "--due")
    assert (said.code, said.out, said.err) == (0, "", "")


@pytest.mark.fault("F09")
def test_f09_a_feed_that_is_gone_is_told_whether_it_is_due_or_not(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=410))
    desk.configure(PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    desk("run")
    said = desk("run", "--due", "--json")
    assert [one["status"] for one in said.json()["polled"]] == ["gone"]
    assert (said.code, len(site.asked)) == (1, 1)


def test_a_new_address_is_due_at_once(desk: Desk) -> None:
    desk("run")
    (desk.folder / "feed.xml").rename(desk.folder / "other.xml")
    desk.configure(PAGE, feeds=FEED.replace("feed.xml", "other.xml"))
    assert [one["status"] for one in desk("run", "--due", "--json").json()["polled"]] == ["nothing new"]


# --- run --wait, by a clock that its waits move ----------------------------------------------------------------------


class Time:
    """A clock that starts now and that the waits of a run move."""

    def __init__(self) -> None:
        self.start = datetime.now(UTC)
        self.now = self.start

    def __call__(self) -> datetime:
        return self.now

    def wait(self, _: threading.Condition, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def passed(self) -> timedelta:
        return self.now - self.start


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> Time:
    """A clock that the waits of a run move; the secrets of the desk are there."""
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value or "")
    return Time()


def stay(desk: Desk, time: Time, seen: list[str] | None = None) -> RunReport:
    """One run that stays until all is quiet."""
    with closing(build(desk.file, clock=time, wait=time.wait)) as app:
        watch = None if seen is None else seen.append
        return app.run(watch=watch, feeds=Feeds.ALL, end=End.WHEN_QUIET)


def ended(report: RunReport) -> dict[str, State]:
    """What became of each article."""
    return {(one.article.link or "").rstrip("/").rpartition("/")[2]: one.delivery.state for one in report.changed}


def test_a_run_that_stays_ends_at_once_when_nothing_waits(desk: Desk, time: Time) -> None:
    stay(desk, time)
    desk.show("one")
    assert ended(stay(desk, time)) == {"one": State.POSTED}
    assert time.passed < MINUTE


def test_a_run_that_stays_posts_by_the_rate_window_without_polling_again(desk: Desk, time: Time) -> None:
    desk.configure(PAGE + "    at_most: 2/hour\n")
    stay(desk, time)
    desk.show("one", "two", "three", "four", "five")
    seen: list[str] = []
    report = stay(desk, time, seen)
    assert ended(report) == dict.fromkeys(("one", "two", "three", "four", "five"), State.POSTED)
    assert (report.troubles, report.stopped) == ([], False)
    assert [polled.status for polled in report.polled] == ["new"]
    assert 2 * HOUR <= time.passed < 2 * HOUR + MINUTE
    until = f"{time.start + HOUR:%Y-%m-%d %H:%M}"
    assert any(line.startswith(f"page: waits until {until}") for line in seen)


def test_a_run_that_stays_waits_for_the_delay_of_an_editor(desk: Desk, time: Time) -> None:
    desk.configure(PAGE + "    delay: 2m\n")
    stay(desk, time)
    desk.show("one")
    assert ended(stay(desk, time)) == {"one": State.POSTED}
    assert 2 * MINUTE <= time.passed < 3 * MINUTE


@pytest.mark.fault("D02")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d02_a_run_that_stays_settles_what_is_unknown(desk: Desk, pds: FakePds, time: Time, made: Made) -> None:
    pds.clock = lambda: time.now.timestamp()
    desk.configure(sky(pds))
    stay(desk, time)
    desk.show("one", "two")
    pds.script("putRecord", replace(LOST, made=made))
    assert ended(stay(desk, time)) == {"one": State.POSTED, "two": State.POSTED}
    assert seen_on(pds) == ["two", "one"]
    assert 30 * SECOND <= time.passed < 2 * MINUTE


@pytest.mark.fault("D02")
def test_d02_a_run_that_stays_waits_until_absence_is_proved_and_posts_once(
    desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeMastodon() as server:
        server.clock = time
        monkeypatch.setenv("TOOT_TOKEN", server.token)
        desk.configure(
            f"  toot:\n    platform: mastodon\n    server: {server.url}\n    access_token: env:TOOT_TOKEN\n"
            "    allow_private: yes\n"
        )
        stay(desk, time)
        desk.show("one")
        server.script("publish", mastodon.Fault(then=mastodon.Then.RESET))
        assert ended(stay(desk, time)) == {"one": State.POSTED}
        assert len(server.visible()) == 1
    assert 11 * MINUTE <= time.passed < 14 * MINUTE, "ten minutes to appear in, and two looks a minute apart"


def test_a_run_that_stays_waits_for_a_network_that_is_away(desk: Desk, pds: FakePds, time: Time) -> None:
    desk.configure(sky(pds))
    stay(desk, time)
    desk.show("one")
    pds.stop()
    back = time.now + 10 * MINUTE

    started = threading.Event()

    def wait_and_start(condition: threading.Condition, seconds: float) -> None:
        time.wait(condition, seconds)
        if time.now >= back and not started.is_set():
            pds.start()
            started.set()

    with closing(build(desk.file, clock=time, wait=wait_and_start)) as app:
        report = app.run(end=End.WHEN_QUIET)
    assert ended(report) == {"one": State.POSTED}
    assert report.troubles == [], "what it waited for is over"
    assert seen_on(pds) == ["one"]


def test_a_stuck_account_does_not_hold_up_the_one_that_is_due(desk: Desk, pds: FakePds, time: Time) -> None:
    desk.configure(sky(pds) + "    delay: 1m\n", PAGE + "    delay: 2m\n")
    stay(desk, time)
    desk.show("one")
    pds.stop()
    with closing(build(desk.file, clock=time, wait=time.wait)) as app:

        def watch(words: str) -> None:
            if words == "page: posted: Article one":
                pds.start()

        report = app.run(watch=watch, end=End.WHEN_QUIET)
    assert {one.delivery.account: one.delivery.state for one in report.changed} == {
        "page": State.POSTED,
        "sky": State.POSTED,
    }


PERSONS = {
    "held": "burst",
    "paused": AccountState.PAUSED,
    "blocked": AccountState.AUTH_BLOCKED,
    "in safe mode": AccountState.SAFE_MODE,
}


@pytest.mark.parametrize("needed", PERSONS.values(), ids=PERSONS)
def test_a_run_that_stays_does_not_wait_for_a_person(
    desk: Desk, pds: FakePds, time: Time, monkeypatch: pytest.MonkeyPatch, needed: AccountState | str
) -> None:
    desk.configure(sky(pds) + "    burst: 1\n    delay: 1m\n")
    stay(desk, time)
    desk.show("one", "two")
    if needed is AccountState.AUTH_BLOCKED:
        monkeypatch.delenv(SECRET)
    elif isinstance(needed, AccountState):
        with desk.store() as store:
            was = store.standing("sky")
            store.save_standing(was, replace(block(was, "why", time.now), state=needed), now=time.now)
    report = stay(desk, time)
    if needed == "burst":
        assert ended(report) == {"one": State.HELD, "two": State.POSTED}
    else:
        assert ended(report) == {"one": State.READY, "two": State.READY}
    assert time.passed < 2 * MINUTE


def test_what_a_person_lets_through_meanwhile_is_posted_within_a_minute(desk: Desk, time: Time) -> None:
    desk.configure(
        PAGE + "    burst: 1\n", PAGE.replace("page:", "late:", 1).replace("out", "late") + "    delay: 1h\n"
    )
    stay(desk, time)
    desk.show("one", "two")
    approved: list[datetime] = []
    seen: list[tuple[str, datetime]] = []

    def wait(condition: threading.Condition, seconds: float) -> None:
        time.wait(condition, seconds)
        if time.passed > 10 * MINUTE and not approved:
            approved.append(time.now)
            assert desk("deliveries", "approve", "--account", "page", "--reason", "burst").code == 0
            time.now = max(time.now, datetime.now(UTC))

    with closing(build(desk.file, clock=time, wait=wait)) as app:
        report = app.run(watch=lambda words: seen.append((words, time.now)), end=End.WHEN_QUIET)
    assert set(ended(report).values()) == {State.POSTED}
    (at,) = [at for words, at in seen if words == "page: posted: Article one"]
    assert at - approved[0] <= 2 * MINUTE


@pytest.mark.parametrize(
    "stop", [("accounts", "pause", "page"), ("deliveries", "cancel", "{}")], ids=lambda stop: stop[1]
)
def test_a_run_that_stays_ends_within_a_minute_when_a_person_stops_what_it_waits_for(
    desk: Desk, time: Time, stop: tuple[str, ...]
) -> None:
    desk.configure(PAGE + "    at_most: 1/hour\n")
    stay(desk, time)
    desk.show("one", "two")
    stopped: list[datetime] = []

    def wait(condition: threading.Condition, seconds: float) -> None:
        time.wait(condition, seconds)
        if time.passed > 10 * MINUTE and not stopped:
            stopped.append(time.now)
            assert desk(*(word.format(desk.row("two", "page").id) for word in stop)).code == 0

    with closing(build(desk.file, clock=time, wait=wait)) as app:
        app.run(end=End.WHEN_QUIET)
    assert time.now - stopped[0] <= MINUTE
    assert desk.pages() == {"one"}


@pytest.mark.fault("P01")
def test_p01_an_interrupt_while_it_waits_leaves_the_rest_to_the_next_run(desk: Desk, time: Time) -> None:
    desk.configure(PAGE + "    at_most: 1/hour\n")
    stay(desk, time)
    desk.show("one", "two")

    def interrupted(_: threading.Condition, seconds: float) -> None:
        raise KeyboardInterrupt

    with closing(build(desk.file, clock=time, wait=interrupted)) as app:
        report = app.run(end=End.WHEN_QUIET)
    assert report.stopped
    assert ended(report) == {"one": State.POSTED, "two": State.READY}
    assert ended(stay(desk, time)) == {"two": State.POSTED}


def test_what_waits_for_a_removed_account_keeps_no_run_waiting(desk: Desk, pds: FakePds, time: Time) -> None:
    desk.configure(sky(pds), PAGE)
    stay(desk, time)
    desk.show("one")
    pds.script("putRecord", LOST)
    with closing(build(desk.file, clock=time, wait=time.wait)) as app:
        app.run()
    assert desk.row("one", "sky").unclosed
    with desk.store() as store:
        row = desk.row("one", "sky")
        assert store.change(row, replace(row, state=State.READY, changed=time.now))
    desk.configure(PAGE)
    assert ended(stay(desk, time)) == {}
    assert time.passed < MINUTE


@pytest.mark.fault("P02")
def test_p02_an_account_on_which_the_program_fails_is_not_waited_for(
    desk: Desk, pds: FakePds, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.configure(sky(pds))
    stay(desk, time)
    desk.show("one")

    def fail(app: App, account: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(App, "connect", fail)
    report = stay(desk, time)
    assert [(trouble.account, trouble.failed) for trouble in report.troubles] == [("sky", True)]
    assert time.passed < MINUTE


def test_what_is_new_in_a_run_stays_new_however_often_it_is_found(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    desk.configure(sky(pds), PAGE)
    desk.show("one")
    desk.environment[SECRET] = None
    said = desk("run")
    assert said.code == 1
    assert f"{SECRET} is not set" in said.err, "found when the file is read, and again when the article comes"
    assert desk("run").err == ""


# --- run --wait, as a person has it ----------------------------------------------------------------------------------


def test_a_run_that_stays_does_it_by_the_real_clock_and_gives_one_document(desk: Desk) -> None:
    desk.configure(PAGE + "    delay: 1s\n    at_most: 1/1s\n")
    desk("run")
    desk.show("one", "two")
    begun = monotonic()
    said = desk.process("run", "--wait", "--json")
    assert said.code == 0
    assert said.err == ""
    assert {row["title"]: row["state"] for row in said.json()["deliveries"]} == {
        "Article one": "POSTED",
        "Article two": "POSTED",
    }
    assert monotonic() - begun >= 2
    assert desk.pages() == {"one", "two"}


@pytest.mark.fault("P01")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_p01_a_run_that_waits_ends_at_once_when_it_is_told_to_and_says_what_it_did(
    desk: Desk, number: signal.Signals
) -> None:
    desk.configure(PAGE + "    at_most: 1/hour\n")
    desk("run")
    desk.show("one", "two")
    with subprocess.Popen(
        desk.line("run", "--wait", "--json"), env=desk.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            end = monotonic() + PATIENCE_SECONDS
            while desk.pages() != {"one"}:
                assert monotonic() < end, "it never posted"
                sleep(0.02)
            second = desk("run", "--json").json()
            assert str(process.pid) in second["busy"]
            process.send_signal(number)
            begun = monotonic()
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert monotonic() - begun < PATIENCE_SECONDS / 2
        finally:
            process.kill()
    states = {row["title"]: row["state"] for row in json.loads(out)["deliveries"]}
    assert states == {"Article one": "POSTED", "Article two": "READY"}
    assert (process.returncode, err.strip()) == (
        0,
        b"stopped; what was being sent has been recorded, and the next run goes on",
    )
    assert desk("run").code == 0
