"""Telling: one notice a round, by the first channel that takes it, once for each cause; and a monitor hears of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from autopublish import alerts
from autopublish.alerts import Telling
from autopublish.channels import Channel, Notice
from autopublish.errors import ChannelError, SecretError
from autopublish.health import LAST_TICK
from autopublish.models import (
    Account,
    AccountState,
    AlertKind,
    Article,
    Cause,
    Delivery,
    Feed,
    FeedSettings,
    Identity,
    Standing,
    State,
    Tell,
    Urgency,
)
from autopublish.pipeline._parts import Alone
from autopublish.redaction import redact
from autopublish.store import Count, Decision, Known, Store, open_store
from autopublish.telling import (
    FAILED,
    PINGED,
    PLAN,
    Leases,
    Phrases,
    Plan,
    Teller,
    Ways,
    notice_of,
    tell_without_store,
    unable,
    useless,
)
from tests.bench.clock import Clock

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEWS = FeedSettings(name="news", url="https://n.example/feed/")
SKY = Account(name="sky", platform="bluesky", template="{{ title }}")
FILE = Path("/etc/autopublish.yaml")
URGENT = Cause(kind=AlertKind.CONFIGURATION, words="the file is wrong", urgency=Urgency.NOW)
BLOCKED = "the app password was refused"


class Box(Channel):
    """A channel that keeps what it takes, or refuses as it is told to."""

    def __init__(self) -> None:
        self.taken: list[Notice] = []
        self.fails: Exception | None = None
        #: How often it was asked.
        self.asked = 0

    def tell(self, notice: Notice) -> None:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        self.taken.append(notice)


@dataclass
class Meter:
    """A monitor that counts its calls."""

    well_calls: list[Mapping[str, int]] = field(default_factory=list)
    unwell_calls: int = 0
    fails: ChannelError | None = None

    def check(self) -> None:
        """Nothing is needed."""

    def well(self, counts: Mapping[str, int], /) -> None:
        if self.fails is not None:
            raise self.fails
        self.well_calls.append(counts)

    def unwell(self, _counts: Mapping[str, int], /) -> None:
        self.unwell_calls += 1


class Room:
    """A store, two channels, a monitor, and a clock; `round` is what a daemon does each minute."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.first, self.second = Box(), Box()
        self.meter = Meter()
        self.said: list[str] = []
        self.tell = Tell.FIRST
        self.plan(every=None)
        self.teller = self.another_teller()

    def plan(self, *, channels: tuple[str, ...] = ("first", "second"), every: timedelta | None) -> None:
        """The configuration has these channels, and a monitor that is called so often."""
        self.store.keep_note(PLAN, Plan(channels=channels, every=every).note())

    def another_teller(self, leases: Leases | None = None) -> Teller:
        """That of another process, which remembers nothing."""
        return Teller(self.store, clock=self.clock, ways=self.ways, leases=leases or Alone(), say=self.said.append)

    def ways(self) -> Ways:
        return Ways(
            channels={"first": lambda: self.first, "second": lambda: self.second},
            tell=self.tell,
            monitor=lambda: self.meter,
            file=FILE,
        )

    def round(self) -> None:
        self.teller.round()

    def days(self, days: int, *, every: timedelta = HOUR) -> None:
        """So many days pass."""
        end = self.clock() + days * DAY
        while self.clock() < end:
            self.round()
            self.clock.move(seconds=every.total_seconds())

    @property
    def titles(self) -> list[str]:
        """What the first channel took."""
        return [notice.title.removeprefix("autopublish: ") for notice in self.first.taken]

    def block(self, account: str = "sky") -> None:
        """The account's credentials are refused."""
        standing = self.store.standing(account)
        after = replace(standing, state=AccountState.AUTH_BLOCKED, reason=BLOCKED)
        self.store.save_standing(standing, after, now=self.clock())

    def unblock(self, account: str = "sky") -> None:
        standing = self.store.standing(account)
        self.store.save_standing(standing, replace(standing, state=AccountState.ACTIVE, reason=None), now=self.clock())

    def poll(self, **values: object) -> None:
        """The feed was polled just now."""
        (feed,) = self.store.feeds()
        tried = replace(feed, first_try=feed.first_try or self.clock(), last_try=self.clock())
        self.store.save_feeds([replace(tried, **values)])  # type: ignore[arg-type] # the test's own names

    def fail_polls(self, reason: str, count: int = alerts.FAILED_POLLS) -> None:
        for failures in range(1, count + 1):
            self.poll(failures=failures, last_error=reason)

    def add(self, count: int, state: State, reason: str | None, *, start: int = 0) -> list[Delivery]:
        """So many deliveries of the account are in that state."""
        (feed,) = self.store.feeds()
        now = self.clock()
        news = [
            Article(id=f"a{n}", feed=feed.id, origin=f"a{n}", link=None, title="T", published=now, first_seen=now)
            for n in range(start, start + count)
        ]
        rows = tuple(
            Delivery(
                id=f"{n:064x}", article=f"a{n}", account="sky", state=state, reason=reason, published=now, due=now,
                created=now, changed=now,
            )
            for n in range(start, start + count)
        )  # fmt: skip

        def decide(known: Known) -> Decision:
            return Decision(
                feed=replace(known.feed, last_try=now), new=tuple((one, ()) for one in news), deliveries=rows
            )

        self.store.save_poll(feed.id, (), decide)
        return list(rows)


@pytest.fixture
def room(folder: Path, clock: Clock) -> Iterator[Room]:
    """Nothing is wrong in it."""
    with closing(open_store(f"sqlite:///{folder / 'autopublish.db'}")) as store:
        store.adopt((NEWS,), (SKY,), digest="d", now=clock())
        yield Room(store, clock)


# --- what is told, and when ------------------------------------------------------------------------------------------


def test_nothing_is_told_and_no_channel_is_made_while_all_is_well(room: Room) -> None:
    room.days(3)
    assert (room.first.asked, room.second.asked, room.said) == (0, 0, [])


@pytest.mark.fault("D16")
def test_d16_a_blocked_account_is_told_at_once_reminded_of_daily_and_told_to_be_over(room: Room) -> None:
    room.block()
    room.round()
    room.round()
    (first,) = room.first.taken
    assert first.title == f"autopublish: sky posts nothing: {BLOCKED}"
    assert first.text.startswith(f"sky posts nothing: {BLOCKED}. Put credentials that work in place")
    room.days(2)
    room.unblock()
    room.days(1)
    assert [notice.alerts[0].telling for notice in room.first.taken] == [
        Telling.FIRST,
        Telling.REMINDER,
        Telling.ALL_CLEAR,
    ]
    assert room.first.taken[1].text.startswith(f"still, for 1 d: sky posts nothing: {BLOCKED}")
    assert room.first.taken[-1].text.startswith(f"over, after 2 d: sky posts nothing: {BLOCKED}.\n")


@pytest.mark.fault("D16")
def test_d16_credentials_that_end_are_told_14_7_and_1_days_before_and_no_more(room: Room) -> None:
    standing = room.store.standing("sky")
    ends = room.clock() + 20 * DAY
    identity = Identity(id="1", name="sky", expires=ends)
    room.store.save_standing(standing, replace(standing, identity=identity), now=room.clock())
    told_at = []
    while room.clock() < ends:
        before = len(room.first.taken)
        room.round()
        if len(room.first.taken) > before:
            told_at.append((ends - room.clock()) // DAY)
        room.clock.move(hours=1)
    assert told_at == [14, 7, 1]
    assert all("the credentials of sky end on 2026-12-14" in title for title in room.titles)


@pytest.mark.fault("P08")
def test_p08_500_deliveries_that_fail_for_one_reason_are_three_notices_at_most(room: Room) -> None:
    rows = room.add(500, State.HELD, "dead link")
    room.clock.move(minutes=6)
    for _ in range(30):
        room.round()
        room.clock.move(hours=1)
    for row in rows:
        room.store.change(row, replace(row, state=State.CANCELLED, reason="by ada", changed=room.clock()))
    for _ in range(30):
        room.round()
        room.clock.move(hours=1)
    assert [one.words.partition(" See")[0] for notice in room.first.taken for one in notice.alerts] == [
        "sky: 500 posts held (dead link).",
        "still, for 1 d: sky: 500 posts held (dead link).",
        "over, after 1 d: sky: posts held (dead link)",
    ]


@pytest.mark.fault("F10")
def test_f10_a_feed_that_cannot_be_read_is_told_by_its_name_and_so_is_its_return(room: Room) -> None:
    room.fail_polls("HTTP 403")
    room.round()
    assert room.titles == []
    room.clock.move(minutes=6)
    room.round()
    assert room.titles == ["the feed news cannot be read: HTTP 403"]
    assert "\n\nThis comes from" in room.first.taken[0].text
    assert room.first.taken[0].text.startswith("the feed news cannot be read: HTTP 403. It is asked again by itself, ")
    assert room.first.taken[0].alerts[0].subject == "news"
    room.poll(failures=0, last_error=None)
    room.clock.move(minutes=6)
    room.round()
    assert room.titles[1:] == ["over, after 6 min: the feed news cannot be read: HTTP 403"]


@pytest.mark.fault("F10")
def test_f10_a_feed_that_fails_for_five_minutes_is_told_to_nobody(room: Room) -> None:
    room.fail_polls("HTTP 503")
    room.clock.move(minutes=3)
    room.round()
    room.poll(failures=0, last_error=None)
    room.days(2)
    assert room.titles == []
    assert room.store.alerts() == ()


def live(room: Room, days: int, *, change: Callable[[int], None]) -> list[tuple[float, str]]:
    """What is told in so many days, and in which hour; `change` is given each quarter of an hour that passes."""
    begun, told = room.clock(), []
    for minute in range(days * 24 * 60):
        if minute % 15 == 0:
            change(minute // 15)
        before = len(room.first.taken)
        room.round()
        hour = round((room.clock() - begun) / HOUR, 1)
        told += [(hour, one.telling) for notice in room.first.taken[before:] for one in notice.alerts]
        room.clock.move(minutes=1)
    return told


@pytest.mark.fault("F10")
def test_f10_a_feed_that_comes_and_goes_each_hour_is_told_once_a_day_and_once_that_it_is_over(room: Room) -> None:
    def come_and_go(quarter: int) -> None:
        if quarter % 4 < 2:
            room.fail_polls("HTTP 503")
        else:
            room.poll(failures=0, last_error=None)

    told = live(room, 4, change=come_and_go)
    assert [what for _, what in told] == [
        Telling.FIRST, Telling.ALL_CLEAR, Telling.FIRST, *[Telling.REMINDER] * 3
    ]  # fmt: skip
    assert [hour for hour, _ in told[:3]] == [0.1, 0.6, 1.1]
    told = live(room, 2, change=lambda _: room.poll(failures=0, last_error=None))
    assert [what for _, what in told] == [Telling.ALL_CLEAR]


@pytest.mark.fault("D16")
def test_d16_an_account_that_is_blocked_again_and_again_is_told_once_a_day(room: Room) -> None:
    def come_and_go(quarter: int) -> None:
        (room.block if quarter % 2 == 0 else room.unblock)()

    told = live(room, 3, change=come_and_go)
    assert [what for _, what in told] == [Telling.FIRST, Telling.ALL_CLEAR, Telling.FIRST, *[Telling.REMINDER] * 2]
    room.unblock()
    room.days(2)
    room.block()
    room.round()
    assert room.first.taken[-1].alerts[0].telling == Telling.FIRST, "what comes after a day of calm is new"


def test_what_a_person_decides_again_and_again_is_told_each_time(room: Room) -> None:
    for number in range(4):
        (row,) = room.add(1, State.HELD, "burst", start=number)
        room.clock.move(minutes=6)
        room.round()
        room.store.change(row, replace(row, state=State.CANCELLED, reason="by ada", changed=room.clock()))
        room.clock.move(minutes=6)
        room.round()
    assert [notice.alerts[0].telling for notice in room.first.taken] == [Telling.FIRST, Telling.ALL_CLEAR] * 4


@pytest.mark.fault("F09")
def test_f09_a_feed_that_is_gone_is_told_at_once_with_what_to_do(room: Room) -> None:
    room.poll(gone=True, failures=1, last_error="HTTP 410")
    room.round()
    (title,) = room.titles
    assert title.startswith("the feed news is gone for good, its site says (410)")
    assert "name its new address under `url`" in room.first.taken[0].text


def test_all_that_is_due_is_one_notice_whose_first_line_is_the_most_urgent(room: Room) -> None:
    room.fail_polls("HTTP 403")
    room.clock.move(minutes=6)
    room.block()
    room.clock.move(seconds=1)
    room.store.find(URGENT, room.clock())
    room.round()
    (notice,) = room.first.taken
    assert notice.title == f"autopublish: sky posts nothing: {BLOCKED} (and 2 more)"
    paragraphs = notice.text.split("\n\n")
    assert [paragraph.split(" ")[0] for paragraph in paragraphs] == ["sky", "the", "the", "This"]
    assert paragraphs[-1].endswith(f"configuration {FILE}; see `autopublish status`.")


def test_a_notice_of_very_many_alerts_stays_short_and_says_how_many_more_there_are(room: Room) -> None:
    for number in range(120):
        room.store.find(replace(URGENT, detail=str(number), words=f"{number} " + "x" * 300), room.clock())
    room.round()
    (notice,) = room.first.taken
    assert "And 70 more: `autopublish alerts list` shows all of them." in notice.text
    assert len(notice.text) < 20_000
    room.round()
    assert len(room.first.taken) == 1


def test_an_account_whose_network_is_away_is_reminded_of_only_while_something_waits(room: Room) -> None:
    standing = room.store.standing("sky")
    away = replace(standing, failures=alerts.FAILURES, reason="timed out")
    room.store.save_standing(standing, away, now=room.clock())
    room.clock.move(minutes=6)
    room.round()
    room.days(3)
    assert len(room.titles) == 1
    room.add(1, State.READY, None)
    room.round()
    assert len(room.titles) == 2
    assert room.titles[1].startswith("still, for 3 d: sky has failed at least 5 times in a row")


def test_what_was_posted_long_ago_is_not_counted_for_each_network_that_stays_away(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = room.store.standing("sky")
    room.store.save_standing(standing, replace(standing, failures=alerts.FAILURES), now=room.clock())
    room.clock.move(minutes=6)
    room.round()
    room.clock.move(days=2)

    def count(_: Store) -> tuple[Count, ...]:
        raise AssertionError("everything was counted")

    monkeypatch.setattr(Store, "counts", count)
    room.round()
    assert len(room.titles) == 1


def test_what_comes_back_while_its_end_is_told_is_told_as_new(room: Room) -> None:
    room.block()
    room.round()
    room.clock.move(hours=1)
    room.unblock()
    room.clock.move(minutes=6)

    class Slow(Box):
        def tell(self, notice: Notice) -> None:
            room.block()
            super().tell(notice)

    before, room.first = room.first, Slow()
    room.round()
    assert room.first.taken[0].alerts[0].telling == Telling.ALL_CLEAR
    room.first = before
    room.round()
    assert [notice.alerts[0].telling for notice in before.taken] == [Telling.FIRST, Telling.FIRST]


def test_a_notice_that_lasts_not_is_told_once_in_a_month_however_often_it_is_found(room: Room) -> None:
    cause = alerts.moved_feed("f", "news", "https://new.example/feed")
    for _ in range(29):
        room.store.find(cause, room.clock())
        room.round()
        room.clock.move(days=1)
    assert room.titles == [cause.words]
    room.clock.move(days=3)
    room.store.find(cause, room.clock())
    room.round()
    assert room.titles == [cause.words] * 2


# --- channels that fail ----------------------------------------------------------------------------------------------


@pytest.mark.fault("P08")
def test_p08_where_the_first_channel_fails_the_second_is_taken(room: Room) -> None:
    room.first.fails = ChannelError("away")
    room.block()
    room.round()
    room.round()
    assert (room.first.asked, len(room.second.taken), room.said) == (1, 1, [])


def test_the_second_channel_is_left_alone_where_the_first_takes_it_and_all_get_it_where_all_are_to(room: Room) -> None:
    room.store.find(URGENT, room.clock())
    room.round()
    assert (len(room.first.taken), room.second.asked) == (1, 0)
    room.tell = Tell.ALL
    room.block()
    room.round()
    assert (len(room.first.taken), len(room.second.taken)) == (2, 1)


@pytest.mark.parametrize(
    "failure",
    [ChannelError("away"), SecretError("env:X is not set"), RuntimeError("a bug")],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.fault("P08")
def test_p08_where_all_channels_fail_it_is_said_once_and_tried_again_more_and_more_seldom(
    failure: Exception, room: Room
) -> None:
    room.first.fails = room.second.fails = failure
    room.block()
    start, tries = room.clock(), []
    for _ in range(200):
        before = room.second.asked
        room.round()
        if room.second.asked > before:
            tries.append((room.clock() - start) // MINUTE)
        room.clock.move(minutes=1)
    assert tries == [0, 1, 6, 21, 81, 141]
    assert len(room.said) == 1
    assert room.said[0].startswith("alerts cannot be told: first: ")
    room.second.fails = None
    room.days(1)
    assert len(room.second.taken) == 1
    assert room.second.taken[0].alerts[0].telling == Telling.FIRST
    assert room.store.note(FAILED) == ""


def test_the_next_process_keeps_to_the_waits_and_a_new_configuration_ends_them(room: Room) -> None:
    room.first.fails = room.second.fails = ChannelError("away")
    room.block()
    room.round()
    room.another_teller().round()
    assert room.first.asked == 1
    room.teller.forget_failures()
    room.another_teller().round()
    assert room.first.asked == 2


def test_what_could_not_be_told_and_is_over_leaves_nothing_behind(room: Room) -> None:
    room.first.fails = room.second.fails = ChannelError("away")
    room.block()
    room.round()
    assert room.store.note(FAILED)
    room.unblock()
    room.clock.move(minutes=10)
    room.round()
    room.round()
    assert (room.store.alerts(), room.store.note(FAILED)) == ((), "")


def test_a_process_that_dies_after_a_channel_took_it_tells_it_again_under_the_same_id(room: Room) -> None:
    class Deadly(Box):
        def tell(self, notice: Notice) -> None:
            super().tell(notice)
            raise KeyboardInterrupt

    room.block()
    before, room.first = room.first, Deadly()
    with pytest.raises(KeyboardInterrupt):
        room.round()
    (lost,) = room.first.taken
    room.first = before
    room.clock.move(minutes=1)
    room.another_teller().round()
    assert [notice.id for notice in before.taken] == [lost.id]


def test_two_processes_tell_nothing_twice(room: Room) -> None:
    room.block()
    with room.store.own("daemon", room.clock()) as daemon, room.store.own("run", room.clock()) as run:
        other = room.another_teller(run)

        class Beside(Box):
            def tell(self, notice: Notice) -> None:
                other.round()
                super().tell(notice)

        room.first = Beside()
        room.another_teller(daemon).round()
        other.round()
        assert (room.first.asked, room.second.asked) == (1, 0)


def test_where_no_channel_is_configured_nothing_is_lost_and_nothing_piles_up(room: Room) -> None:
    room.plan(channels=(), every=None)
    room.block()
    room.store.find(alerts.moved_feed("f", "news", "https://new.example/feed"), room.clock())
    room.days(8)
    assert [alert.cause.kind for alert in room.store.alerts()] == [AlertKind.ACCOUNT]
    room.plan(every=None)
    room.round()
    assert [notice.alerts[0].telling for notice in room.first.taken] == [Telling.FIRST]


@pytest.mark.fault("H09")
def test_h09_no_notice_holds_a_secret_in_use(room: Room) -> None:
    secret = "c4nary-of-an-account"
    redact.know(room, [secret])
    room.store.find(replace(URGENT, words=f"the network said {secret}"), room.clock())
    room.round()
    (notice,) = room.first.taken
    assert secret not in repr(notice)
    room.first.fails = room.second.fails = ChannelError(f"{secret} was refused")
    room.block()
    room.round()
    assert room.said
    assert secret not in room.said[0]


# --- the monitor -----------------------------------------------------------------------------------------------------


def test_the_monitor_is_called_as_often_as_it_wants_while_all_is_well(room: Room) -> None:
    room.plan(every=5 * MINUTE)
    room.add(2, State.READY, None)
    for _ in range(20):
        room.poll(last_good=room.clock())
        room.round()
        room.clock.move(minutes=1)
    assert len(room.meter.well_calls) == 4
    assert room.meter.well_calls[0]["ready"] == 2
    assert set(room.meter.well_calls[0]) == {state.value.lower() for state in State}


def test_runs_by_cron_that_come_a_little_early_call_the_monitor_each_time(room: Room) -> None:
    room.plan(every=5 * MINUTE)
    for _ in range(6):
        room.poll(last_good=room.clock())
        room.another_teller().round()
        room.clock.move(minutes=4, seconds=58)
    assert len(room.meter.well_calls) == 6


@pytest.mark.fault("P05")
@pytest.mark.parametrize("stuck", ["no poll", "failed polls", "no tick"])
def test_p05_the_monitor_is_not_called_while_the_program_lives_and_is_of_no_use(stuck: str, room: Room) -> None:
    room.plan(every=5 * MINUTE)
    room.poll(last_good=room.clock())
    room.store.keep_note(LAST_TICK, room.clock().isoformat())
    room.round()
    assert len(room.meter.well_calls) == 1
    for _ in range(60):
        room.clock.move(minutes=1)
        if stuck != "no tick":
            room.store.keep_note(LAST_TICK, room.clock().isoformat())
        if stuck == "failed polls":
            room.poll(failures=1)
        if stuck == "no tick":
            room.poll(last_good=room.clock())
        room.round()
    late = {"no poll": 3, "failed polls": 3, "no tick": 0}
    assert len(room.meter.well_calls) == 1 + late[stuck]


@pytest.mark.fault("P04")
def test_p04_alerts_that_reach_nobody_are_carried_by_the_monitor(room: Room) -> None:
    room.plan(every=5 * MINUTE)
    room.first.fails = room.second.fails = ChannelError("away")
    room.block()
    room.poll(last_good=room.clock())
    room.round()
    assert (room.meter.well_calls, room.meter.unwell_calls) == ([], 1)
    room.first.fails = None
    room.clock.move(minutes=6)
    room.round()
    assert (len(room.first.taken), len(room.meter.well_calls), room.meter.unwell_calls) == (1, 0, 1)
    room.unblock()
    room.round()
    assert (len(room.meter.well_calls), room.meter.unwell_calls) == (1, 1)


def test_a_monitor_that_fails_is_called_again_the_next_time_and_said_once(room: Room) -> None:
    room.plan(every=HOUR)
    room.meter.fails = ChannelError("the monitor answered HTTP 500")
    for _ in range(3):
        room.poll(last_good=room.clock())
        # As each run by cron is.
        room.another_teller().round()
        room.clock.move(minutes=1)
    words = "the monitor was not called: the monitor answered HTTP 500"
    assert room.said == [words]
    room.meter.fails = None
    room.round()
    assert len(room.meter.well_calls) == 1
    room.meter.fails = ChannelError("the monitor answered HTTP 500")
    room.clock.move(hours=1)
    room.poll(last_good=room.clock())
    room.round()
    assert room.said == [words, words], "it had been called meanwhile"
    room.meter.fails = None
    room.round()
    assert room.store.note(PINGED) == room.clock().isoformat()


def feed(**values: object) -> Feed:
    return replace(Feed(id="f", settings=NEWS), **values)  # type: ignore[arg-type] # the test's own names


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda now: [feed(last_try=now, last_good=now)], None),
        (lambda now: [feed(last_try=now, last_good=now - DAY)], None),
        (lambda now: [feed(last_try=now - HOUR, last_good=now - HOUR)], "no feed has answered"),
        (lambda now: [feed(last_try=now, failures=3, last_good=now - HOUR)], "no feed has answered"),
        (lambda now: [feed(last_try=now, failures=3, last_good=now - HOUR), feed(last_try=now)], None),
        (lambda now: [feed(last_try=now, failures=1, last_good=now - 5 * HOUR, not_before=now + HOUR)], None),
        (lambda now: [feed(last_try=now, failures=9, last_good=now - DAY, not_before=now + HOUR)], "asked for a pause"),
        (lambda now: [feed(last_try=now, failures=1, not_before=now + HOUR)], "asked for a pause"),
        (lambda now: [feed(gone=True, last_try=now)], "there is no feed"),
        (lambda now: [feed()], "no feed has answered"),
        (lambda _: [], "there is no feed"),
    ],
    ids=[
        "read",
        "empty",
        "not-asked",
        "failed",
        "one-of-two",
        "told-to-wait",
        "told-for-long",
        "never-answered",
        "gone",
        "never-asked",
        "none",
    ],
)
def test_the_program_is_of_use_while_a_feed_answers(
    make: Callable[..., list[Feed]], words: str | None, clock: Clock
) -> None:
    found = useless(make(clock()), None, clock())
    assert (found is None) if words is None else words in str(found)


# --- a store that fails ----------------------------------------------------------------------------------------------


@pytest.mark.fault("S01")
def test_s01_a_store_that_fails_is_told_from_memory_once_an_hour(tmp_path: Path, room: Room) -> None:
    mark = tmp_path / "told"
    for _ in range(130):
        tell_without_store(room.ways(), "the disk is full", mark=mark, now=room.clock())
        room.clock.move(minutes=1)
    assert [notice.title for notice in room.first.taken] == ["autopublish: the disk is full"] * 3
    assert mark.stat().st_size == 0


def test_a_folder_that_cannot_be_written_does_not_make_it_told_more_often(
    tmp_path: Path, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(30):
        tell_without_store(room.ways(), "the disk is gone", mark=tmp_path / "no" / "such" / "told", now=room.clock())
        room.clock.move(minutes=1)
    assert len(room.first.taken) == 1


def test_a_link_that_somebody_laid_is_not_followed(tmp_path: Path, room: Room) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    os.utime(victim, (0, 0))
    mark = tmp_path / "told"
    mark.symlink_to(victim)
    os.utime(mark, (0, 0), follow_symlinks=False)
    tell_without_store(room.ways(), "the disk is full", mark=mark, now=room.clock())
    assert (victim.read_text(), victim.stat().st_mtime) == ("kept", 0)


def test_a_store_that_fails_is_tried_again_where_no_channel_took_it(tmp_path: Path, room: Room) -> None:
    room.first.fails = room.second.fails = ChannelError("away")
    for _ in range(2):
        tried = tell_without_store(room.ways(), "broken", mark=tmp_path / "told", now=room.clock())
        assert [one.failure for one in tried] == ["away", "away"]


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_phrases_of_alerts_name_feeds_and_count_what_waits_by_its_reason(room: Room) -> None:
    room.add(3, State.HELD, "dead link")
    room.add(2, State.HELD, "burst", start=10)
    found = {alert.cause.detail: alert for alert in room.store.alerts()}
    phrases = Phrases(room.store)
    assert phrases.words(found["dead link"]).startswith("sky: 3 posts held (dead link)")
    assert phrases.words(found["burst"]).startswith("sky: 2 posts held (burst)")
    assert phrases.subject(found["burst"]) == "sky"


def test_a_plan_is_kept_and_read_again() -> None:
    plan = Plan(channels=("mail", "command"), every=5 * MINUTE)
    assert Plan.of(plan.note()) == plan
    assert Plan.of(Plan().note()) == Plan.of(None) == Plan.of("") == Plan()
    assert json.loads(plan.note())["channels"] == ["mail", "command"]


def test_a_title_is_one_short_line_whatever_its_alert_says(clock: Clock, room: Room) -> None:
    room.store.find(replace(URGENT, words="one\ntwo " + "three " * 100), clock())
    room.round()
    (notice,) = room.first.taken
    assert notice.title.startswith("autopublish: one two three")
    assert "\n" not in notice.title
    assert len(notice.title) < 180
    again = notice_of("1", notice.alerts, file=FILE, now=clock())
    assert again.title == notice.title


# --- what nothing tells of -------------------------------------------------------------------------------------------


@pytest.mark.fault("S10")
@pytest.mark.parametrize(
    ("newest", "since", "words"),
    [
        (timedelta(hours=25), 9 * DAY, None),
        (timedelta(hours=27), 9 * DAY, "is 1 d 3 h old"),
        (None, timedelta(hours=25), None),
        (None, timedelta(hours=27), "was never made"),
        (None, None, None),
    ],
)
def test_s10_a_copy_of_the_store_that_is_older_than_26_hours_is_told(
    newest: timedelta | None, since: timedelta | None, words: str | None, clock: Clock
) -> None:
    now = clock()
    cause = alerts.old_copy(now - newest if newest else None, now - since if since else None, now)
    assert (cause is None) if words is None else (cause is not None and words in cause.words)


@pytest.mark.fault("S01")
@pytest.mark.parametrize(
    ("free", "store", "urgency"),
    [
        (99_000_000, 1, Urgency.NOW),
        (100_000_000, 1, None),
        (200_000_000, 900_000_000, Urgency.SOON),
        (300_000_000, 900_000_000, None),
        (None, 900_000_000, None),
    ],
)
def test_s01_a_disk_that_is_nearly_full_is_told(free: int | None, store: int, urgency: Urgency | None) -> None:
    cause = alerts.full_disk("/srv/x.db", free=free, least=100_000_000, store=store)
    assert (cause.urgency if cause else None) is urgency


@pytest.mark.fault("P05")
@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], None),
        ([AccountState.ACTIVE, AccountState.AUTH_BLOCKED], None),
        ([AccountState.PAUSED, AccountState.SAFE_MODE], None),
        ([AccountState.AUTH_BLOCKED, AccountState.SAFE_MODE], "no account may post"),
    ],
    ids=["none", "one-may", "a-person-paused-one", "none-may"],
)
def test_p05_the_program_is_of_no_use_while_no_account_may_post(
    states: list[AccountState], words: str | None, clock: Clock
) -> None:
    now = clock()
    standings = [
        Standing(account=f"a{number}", platform="page", created=now, active_since=now, state=state)
        for number, state in enumerate(states)
    ]
    assert unable(standings) == words
