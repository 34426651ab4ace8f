"""Alerts: what causes one, in the transaction that causes it, and when it is told, told again and told to be over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopublish import deliveries
from autopublish.alerts import (
    FAILED_POLLS,
    FAILURES,
    Telling,
    in_words,
    of_account,
    of_delivery,
    of_feed,
    quiet,
    telling,
)
from autopublish.models import (
    BREAKER,
    Account,
    AccountState,
    Alert,
    AlertKind,
    Article,
    Attempt,
    Cause,
    Delivery,
    Evidence,
    Feed,
    FeedSettings,
    Identity,
    Post,
    Stage,
    Standing,
    State,
    Stop,
    Urgency,
)
from autopublish.store import Decision, Known, Store, open_store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)

STANDING = Standing(account="sky", platform="bluesky", created=NOW - DAY, active_since=NOW - DAY)
FEED = Feed(id="f1", settings=FeedSettings(name="news", url="https://n.example/feed/"), last_try=NOW)
DELIVERY = Delivery(
    id="d1", article="a1", account="sky", state=State.READY, published=NOW, due=NOW, created=NOW, changed=NOW
)
CAUSE = Cause(kind=AlertKind.ACCOUNT, subject="sky", words="sky posts nothing")


def alert(cause: Cause = CAUSE, **values: datetime | int | None) -> Alert:
    return replace(Alert(id="1", cause=cause, raised=NOW), **values)  # type: ignore[arg-type] # the test's own names


# --- causes ----------------------------------------------------------------------------------------------------------


def blocked(reason: str = "401") -> Standing:
    return replace(STANDING, state=AccountState.AUTH_BLOCKED, reason=reason)


@pytest.mark.parametrize(
    ("standing", "kinds"),
    [
        (STANDING, []),
        (blocked(), [AlertKind.ACCOUNT]),
        (replace(STANDING, state=AccountState.PAUSED, reason="paused by ada"), []),
        (replace(STANDING, state=AccountState.PAUSED, reason=f"{BREAKER}5 refused"), [AlertKind.ACCOUNT]),
        (replace(STANDING, state=AccountState.SAFE_MODE, reason="restored"), []),
        (replace(STANDING, failures=FAILURES - 1), []),
        (replace(STANDING, failures=FAILURES, reason="timed out"), [AlertKind.AWAY]),
        (replace(blocked(), failures=FAILURES), [AlertKind.ACCOUNT]),
        (replace(STANDING, identity=Identity(id="1", name="n")), []),
        (replace(STANDING, identity=Identity(id="1", name="n", expires=NOW + DAY)), [AlertKind.EXPIRY]),
    ],
    ids=[
        "active", "blocked", "paused by a person", "paused by its breaker", "safe mode", "failed a few times",
        "failed again and again", "blocked and away", "no end known", "an end known",
    ],
)  # fmt: skip
def test_an_account_needs_a_person_in_these_cases(standing: Standing, kinds: list[AlertKind]) -> None:
    causes = of_account(standing)
    assert [cause.kind for cause in causes] == kinds
    assert all(cause.subject == "sky" and (standing.reason or "") in cause.words for cause in causes)


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"state": State.READY}, None),
        ({"state": State.POSTED}, None),
        ({"state": State.CANCELLED, "reason": "filtered: x"}, None),
        ({"state": State.HELD, "reason": "burst"}, "burst"),
        ({"state": State.HELD, "reason": "template: no such word"}, "template"),
        ({"state": State.HELD, "reason": "restored"}, "restored"),
        ({"state": State.HELD, "reason": "stopped: Iklan"}, None),
        ({"state": State.NEEDS_REVIEW, "reason": "timed out"}, ""),
        ({"state": State.REJECTED, "reason": "too long"}, ""),
    ],
    ids=["ready", "posted", "filtered", "burst", "template", "restored", "stopped", "review", "rejected"],
)
def test_a_delivery_needs_a_person_in_these_cases(values: dict[str, object], detail: str | None) -> None:
    cause = of_delivery(replace(DELIVERY, **values))  # type: ignore[arg-type] # the test's own names
    assert (cause.detail if cause else None) == detail


@pytest.mark.parametrize(
    ("feed", "urgency"),
    [
        (FEED, None),
        (replace(FEED, failures=FAILED_POLLS - 1, last_error="503"), None),
        (replace(FEED, failures=FAILED_POLLS, last_error="503"), Urgency.SOON),
        (replace(FEED, failures=1, gone=True, last_error="410"), Urgency.NOW),
    ],
    ids=["good", "a hiccup", "failed three times", "gone"],
)
def test_a_feed_needs_a_person_in_these_cases(feed: Feed, urgency: Urgency | None) -> None:
    cause = of_feed(feed)
    assert (cause.urgency if cause else None) == urgency
    assert cause is None or (cause.subject == "f1" and "news" in cause.words)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (AlertKind.HELD, "--state held`, then `autopublish deliveries approve`"),
        (AlertKind.REVIEW, "--state needs_review`, then `autopublish deliveries resolve`"),
        (AlertKind.REJECTED, "--state rejected`, then `autopublish deliveries retry`"),
    ],
)
def test_what_waits_for_a_person_is_told_with_how_many_and_the_command(kind: AlertKind, command: str) -> None:
    words = in_words(Cause(kind=kind, subject="sky", words="too many"), 190)
    assert words.startswith("sky: ") or "of 190 posts" in words
    assert "190 posts" in words
    assert command in words
    assert "1 post " in in_words(Cause(kind=kind, subject="sky", words="too many"), 1)


# --- silence ---------------------------------------------------------------------------------------------------------


def each(pause: timedelta, count: int) -> list[datetime]:
    """So many times, one pause apart, the last one a pause ago."""
    return [NOW - pause * number for number in range(count, 0, -1)]


def test_a_feed_that_is_silent_far_longer_than_ever_is_silent_against_its_habit() -> None:
    times = [time - 24 * HOUR for time in each(6 * HOUR, 40)]
    assert quiet(times, NOW) == 30 * HOUR


@pytest.mark.parametrize(
    "times",
    [
        [],
        each(8 * DAY, 1),
        each(DAY, 8),
        each(HOUR, 100),
        [NOW - 11 * HOUR - time * MINUTE * 20 for time in range(1, 1000)],
        [*each(6 * HOUR, 40)[:20], *(time - 24 * HOUR for time in each(6 * HOUR, 40)[30:])],
    ],
    ids=["never", "once", "too seldom", "not for a week yet", "a short night", "it was silent as long before"],
)
def test_silence_is_no_alarm_without_a_habit_or_within_it(times: list[datetime]) -> None:
    assert quiet(times, NOW) is None


@given(st.lists(st.integers(min_value=1, max_value=100_000), min_size=11, max_size=60))
def test_a_pause_as_long_as_any_before_is_never_an_alarm(pauses: list[int]) -> None:
    times, at = [], NOW
    for minutes in pauses:
        times.append(at)
        at += minutes * MINUTE
    longest = max(later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False))
    assert quiet(times, max(times) + longest) is None


# --- when it is told -------------------------------------------------------------------------------------------------

SOON = replace(CAUSE, urgency=Urgency.SOON)
URGENT = replace(CAUSE, urgency=Urgency.NOW)
NOTICE = replace(CAUSE, kind=AlertKind.NOTICE)


@pytest.mark.parametrize(
    ("one", "after", "expected"),
    [
        (alert(URGENT), timedelta(0), Telling.FIRST),
        (alert(SOON), 4 * MINUTE, None),
        (alert(SOON), 5 * MINUTE, Telling.FIRST),
        (alert(URGENT, told=NOW, tellings=1), 23 * HOUR, None),
        (alert(URGENT, told=NOW, tellings=1), 24 * HOUR, Telling.REMINDER),
        (alert(URGENT, told=NOW + 5 * DAY, tellings=6), 6 * DAY, Telling.REMINDER),
        (alert(URGENT, over=NOW), timedelta(0), Telling.END),
        (alert(URGENT, told=NOW, tellings=1, over=NOW + HOUR), HOUR + 4 * MINUTE, None),
        (alert(URGENT, told=NOW, tellings=1, over=NOW + HOUR), HOUR + 5 * MINUTE, Telling.ALL_CLEAR),
        (alert(NOTICE), timedelta(0), Telling.FIRST),
        (alert(NOTICE, told=NOW, tellings=1), timedelta(0), Telling.END),
    ],
    ids=[
        "urgent", "it may heal", "it has not healed", "told today", "a day later", "each day", "over and never told",
        "over for a moment", "over", "a notice", "a notice was told",
    ],
)  # fmt: skip
def test_an_alert_is_told_once_each_day_and_when_it_is_over(
    one: Alert, after: timedelta, expected: Telling | None
) -> None:
    assert telling(one, NOW + after) is expected


@pytest.mark.fault("D16")
def test_d16_the_end_of_credentials_is_told_14_7_and_1_days_before() -> None:
    ends = NOW + 30 * DAY
    one = alert(Cause(kind=AlertKind.EXPIRY, subject="sky", detail=ends.isoformat(), words="they end"))
    told = []
    for hour in range(32 * 24):
        now = NOW + hour * HOUR
        if telling(one, now) in (Telling.FIRST, Telling.REMINDER):
            told.append(ends - now)
            one = replace(one, told=now, tellings=one.tellings + 1)
    assert told == [14 * DAY, 7 * DAY, 1 * DAY]


def test_credentials_that_were_renewed_are_an_all_clear() -> None:
    detail = (NOW + 6 * DAY).isoformat()
    one = alert(Cause(kind=AlertKind.EXPIRY, subject="sky", detail=detail, words="they end"), told=NOW, tellings=2)
    assert telling(replace(one, over=NOW), NOW + 5 * MINUTE) is Telling.ALL_CLEAR


# --- in the transaction ----------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path / 'a.db'}")) as one:
        account = Account(name="sky", platform="bluesky", template="{{ title }}")
        one.adopt((FEED.settings,), (account,), digest="d", now=NOW - 30 * DAY)
        yield one


def live(store: Store) -> list[tuple[AlertKind, str, str, bool]]:
    """Kind, subject, detail, and whether it is over, in that order."""
    return sorted((one.cause.kind, one.cause.subject, one.cause.detail, one.over is not None) for one in store.alerts())


def article(name: str, published: datetime) -> Article:
    return Article(
        id=name, feed="f", origin=name, link=f"https://n.example/{name}", title=name, published=published,
        first_seen=published, feeds=("news",),
    )  # fmt: skip


def saved(store: Store, *rows: Delivery, articles: tuple[Article, ...] = ()) -> None:
    (feed,) = store.feeds()

    def decide(known: Known) -> Decision:
        new = tuple((replace(one, feed=feed.id), ()) for one in articles)
        return Decision(feed=replace(known.feed, last_try=NOW), new=new, deliveries=rows)

    assert store.save_poll(feed.id, (), decide) is not None


def change(store: Store, key: str, **values: object) -> None:
    was = store.delivery(key)
    after = replace(was, changed=was.changed + MINUTE, **values)  # type: ignore[arg-type] # the test's own names
    assert store.change(was, after)


def test_an_account_that_is_blocked_and_goes_on_is_one_alert_with_its_end(store: Store) -> None:
    was = store.standing("sky")
    stopped = replace(was, state=AccountState.AUTH_BLOCKED, reason="401")
    store.save_standing(was, stopped, now=NOW)
    store.save_standing(stopped, replace(stopped, probes=3), now=NOW)
    assert live(store) == [(AlertKind.ACCOUNT, "sky", "", False)]
    store.save_standing(stopped, was, now=NOW + HOUR)
    (one,) = store.alerts()
    assert (one.raised, one.over) == (NOW, NOW + HOUR)


def test_what_comes_back_before_its_end_was_told_is_the_same_alert_in_its_newest_words(store: Store) -> None:
    was = store.standing("sky")
    for number, at in enumerate((NOW, NOW + HOUR)):
        stopped = replace(was, state=AccountState.AUTH_BLOCKED, reason=f"401 number {number}")
        store.save_standing(was, stopped, now=at)
        store.save_standing(stopped, was, now=at + MINUTE)
    store.save_standing(was, stopped, now=NOW + 2 * HOUR)
    (one,) = store.alerts()
    assert (one.raised, one.over) == (NOW, None)
    assert "401 number 1" in one.cause.words


def test_an_alert_that_has_ended_is_history_and_the_same_cause_begins_a_new_one(store: Store) -> None:
    store.find(CAUSE, NOW)
    (first,) = store.alerts()
    store.keep_told([(replace(first, told=NOW, tellings=2), True)], NOW)
    assert store.alerts() == ()
    store.find(CAUSE, NOW + DAY)
    (second,) = store.alerts()
    assert (second.raised, second.told, second.id == first.id) == (NOW + DAY, None, False)


@pytest.mark.fault("P08")
def test_p08_500_deliveries_held_for_one_reason_are_one_alert_until_the_last_is_decided(store: Store) -> None:
    rows = [replace(DELIVERY, id=f"d{n}", article=f"a{n}", state=State.HELD, reason="burst") for n in range(500)]
    saved(store, *rows)
    assert live(store) == [(AlertKind.HELD, "sky", "burst", False)]
    for row in rows[1:]:
        change(store, row.id, state=State.CANCELLED, reason="cancelled by ada")
    assert live(store) == [(AlertKind.HELD, "sky", "burst", False)]
    change(store, "d0", state=State.READY, reason=None)
    assert live(store) == [(AlertKind.HELD, "sky", "burst", True)]


def test_deliveries_held_for_other_reasons_are_other_alerts(store: Store) -> None:
    saved(
        store,
        replace(DELIVERY, id="d1", article="a1", state=State.HELD, reason="template: no such word"),
        replace(DELIVERY, id="d2", article="a2", state=State.HELD, reason="template: another one"),
        replace(DELIVERY, id="d3", article="a3", state=State.HELD, reason="template_"),
    )
    change(store, "d1", state=State.CANCELLED, reason=None)
    assert live(store) == [
        (AlertKind.HELD, "sky", "template", False),
        (AlertKind.HELD, "sky", "template_", False),
    ]
    change(store, "d2", reason="link: unusable")
    assert (AlertKind.HELD, "sky", "template", True) in live(store)
    assert (AlertKind.HELD, "sky", "link", False) in live(store)


def test_a_feed_is_one_alert_from_the_third_failure_to_the_first_good_poll(store: Store) -> None:
    (feed,) = store.feeds()
    for failures in range(1, 6):
        store.save_feeds([replace(feed, failures=failures, last_error="503", last_try=NOW + failures * MINUTE)])
    (one,) = store.alerts()
    assert (one.cause.kind, one.cause.subject, one.raised) == (AlertKind.FEED, feed.id, NOW + 3 * MINUTE)
    store.save_feeds([replace(feed, failures=0, last_try=NOW + HOUR)])
    assert live(store) == [(AlertKind.FEED, feed.id, "", True)]


def test_a_poll_that_fails_to_be_saved_leaves_no_alert(store: Store) -> None:
    (feed,) = store.feeds()
    held = replace(DELIVERY, state=State.HELD, reason="burst")

    def decide(known: Known) -> Decision:
        return Decision(feed=known.feed, deliveries=(held, replace(held, id="d2", published=None)))  # type: ignore[arg-type] # what no column takes

    with pytest.raises(Exception, match=r"NOT NULL|NoneType"):
        store.save_poll(feed.id, (), decide)
    assert store.alerts() == ()


def test_an_account_that_the_configuration_drops_needs_nobody(store: Store) -> None:
    was = store.standing("sky")
    store.save_standing(was, replace(was, state=AccountState.AUTH_BLOCKED, reason="401"), now=NOW)
    other = Account(name="other", platform="bluesky", template="{{ title }}")
    store.adopt((FEED.settings,), (other,), digest="e", now=NOW + HOUR)
    assert live(store) == [(AlertKind.ACCOUNT, "sky", "", True)]


def put_back(store: Store) -> None:
    assert store.distrust("put back", NOW, doubted=deliveries.doubted, stopped=deliveries.stopped) == "put back"


def go(store: Store) -> None:
    store.trust(NOW + HOUR, actor="ada", released=lambda row, now: None, started=deliveries.started)


def test_what_is_held_in_a_store_that_was_put_back_is_told_by_safe_mode_and_of_what_stays_held_by_itself(
    store: Store,
) -> None:
    saved(store, DELIVERY, articles=(article("a1", NOW),))
    put_back(store)
    assert store.delivery("d1").reason == deliveries.RESTORED
    assert live(store) == [(AlertKind.SAFE_MODE, "", "", False)]
    go(store)
    held = (AlertKind.HELD, "sky", "restored")
    assert live(store) == [(*held, False), (AlertKind.SAFE_MODE, "", "", True)]
    change(store, "d1", state=State.CANCELLED)
    assert (*held, True) in live(store)


def test_safe_mode_is_over_when_no_account_that_was_in_it_is_configured_any_more(store: Store) -> None:
    assert store.stop_all("the clock is wrong", NOW, stopped=deliveries.stopped) == ("sky",)
    other = Account(name="other", platform="bluesky", template="{{ title }}")
    store.adopt((FEED.settings,), (other,), digest="e", now=NOW)
    assert live(store) == [(AlertKind.SAFE_MODE, "", "", True)]


def test_safe_mode_is_not_over_for_other_accounts_where_the_store_or_the_program_is_not_relied_on(store: Store) -> None:
    store.stop_all("it fell", NOW, stopped=deliveries.stopped, note="crashed")
    other = Account(name="other", platform="bluesky", template="{{ title }}")
    store.adopt((FEED.settings,), (other,), digest="e", now=NOW)
    assert live(store) == [(AlertKind.SAFE_MODE, "", "", False)]


def test_what_a_feed_shows_that_was_not_read_before_go_is_told_when_it_is_held(store: Store) -> None:
    put_back(store)
    go(store)
    assert live(store) == [(AlertKind.SAFE_MODE, "", "", True)]
    saved(store, replace(DELIVERY, state=State.HELD, reason=deliveries.RESTORED), articles=(article("a1", NOW),))
    assert (AlertKind.HELD, "sky", "restored", False) in live(store)


# --- silence in the store --------------------------------------------------------------------------------------------


def posted(name: str, at: datetime) -> Attempt:
    post = Post(text=name, link=None, title=name, created_at=at, published=at)
    return Attempt(
        id=name, delivery=name, account="sky", key=name, generation=0, post=post, stage=Stage(), started=at,
        deadline=at + MINUTE, key_since=at, finished=at, outcome=Evidence.POSTED,
    )  # fmt: skip


def history(store: Store, *, days: int = 10) -> None:
    """Articles and posts every six hours for some days, the last ones two days ago."""
    names = [(f"n{number}", NOW - 2 * DAY - number * 6 * HOUR) for number in range(days * 4)]
    rows = tuple(
        replace(DELIVERY, id=name, article=name, published=at, due=at, created=at, changed=at) for name, at in names
    )
    saved(store, *rows, articles=tuple(article(name, at) for name, at in names))
    for row in rows:
        attempt = posted(row.id, row.published)
        sending = replace(row, state=State.SENDING, frozen=attempt.id, changed=row.changed + MINUTE)
        assert store.intend(row, sending, attempt)
        assert store.change(sending, replace(sending, state=State.POSTED, changed=sending.changed + MINUTE))


def test_a_feed_that_is_silent_against_its_habit_is_an_alert_until_it_shows_something(store: Store) -> None:
    history(store)
    (feed,) = store.feeds()
    store.look_for_silence(NOW)
    assert live(store) == [(AlertKind.QUIET_FEED, feed.id, "", False)]
    saved(store, articles=(article("new", NOW),))
    store.look_for_silence(NOW + HOUR)
    assert live(store)[0] == (AlertKind.QUIET_FEED, feed.id, "", True)


def test_a_feed_that_is_silent_needs_nobody_once_the_configuration_does_not_name_it(store: Store) -> None:
    history(store)
    (feed,) = store.feeds()
    store.look_for_silence(NOW)
    store.adopt((feed.settings,), (), digest="e", now=NOW)
    assert live(store) == [(AlertKind.QUIET_FEED, feed.id, "", False)], "it is named still"
    store.adopt((), (), digest="f", now=NOW)
    assert live(store) == [(AlertKind.QUIET_FEED, feed.id, "", True)]


def test_an_account_that_is_silent_although_articles_come_is_an_alert(store: Store) -> None:
    history(store)
    filtered = replace(DELIVERY, id="x", article="x", state=State.CANCELLED, reason="filtered: never", published=NOW)
    saved(store, filtered, articles=(article("x", NOW),))
    store.look_for_silence(NOW)
    assert live(store) == [(AlertKind.QUIET_ACCOUNT, "sky", "", False)]


def test_while_somebody_stopped_everything_every_account_may_be_silent(store: Store) -> None:
    history(store)
    filtered = replace(DELIVERY, id="x", article="x", state=State.CANCELLED, reason="filtered: never", published=NOW)
    saved(store, filtered, articles=(article("x", NOW),))
    store.stop_everything(Stop(who="ada", since=NOW))
    store.look_for_silence(NOW)
    assert live(store) == []


def test_what_is_held_for_a_stopped_category_is_no_missed_post(store: Store) -> None:
    history(store)
    held = replace(DELIVERY, id="x", article="x", state=State.HELD, reason="stopped: Sport", published=NOW)
    saved(store, held, articles=(article("x", NOW),))
    store.look_for_silence(NOW)
    assert live(store) == []


def test_an_account_that_somebody_paused_may_be_silent(store: Store) -> None:
    history(store)
    filtered = replace(DELIVERY, id="x", article="x", state=State.CANCELLED, reason="filtered: never", published=NOW)
    saved(store, filtered, articles=(article("x", NOW),))
    was = store.standing("sky")
    store.save_standing(was, replace(was, state=AccountState.PAUSED, reason="paused by ada"), now=NOW)
    store.look_for_silence(NOW)
    assert live(store) == []
