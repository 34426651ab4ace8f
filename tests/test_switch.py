"""The big switch: a person stops everything, or a category, and lets it go on; what that changes and what it leaves."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic, sleep
from typing import Any

import pytest

from autopublish import deliveries
from autopublish.app import build
from autopublish.daemon import News as Told
from autopublish.models import AccountState, Article, Delivery, Evidence, RateWindow, Standing, State, Stop
from autopublish.pipeline._switch import go_category, near_categories, stop_category
from autopublish.posts import stops_of
from autopublish.store import Store
from tests.bench import child
from tests.bench.network import Call, Say, Step
from tests.bench.world import World
from tests.desk import FEED, PAGE, Desk, sky
from tests.servers.pds import FakePds, Fault, Made, Then
from tests.test_cli import in_terminal
from tests.test_daemon import daemon, make_due, wait_for_row

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LOST = Step(say=Say.FAILED)
SECOND = PAGE.replace("page:", "second:", 1).replace("out", "second")
ALL = FEED + "    first_run: all\n"
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


def start(world: World, *platforms: str, **settings: Any) -> None:
    """Accounts that have posted the article `zero`, five minutes ago."""
    for platform in platforms:
        world.add_account(platform, **settings)
    world.open_site()
    show(world, "zero")
    world.run()
    world.clock.move(minutes=5)


def show(world: World, *names: str, categories: Sequence[str] = ()) -> None:
    """The feed shows these new articles on top of what it showed, the first one the oldest."""
    fresh = [
        world.news(name, ago=timedelta(seconds=len(names) - place), categories=tuple(categories))
        for place, name in enumerate(names)
    ]
    world.show_more(*fresh)


def stop(world: World, category: str | None = None) -> None:
    """An editor stops everything, or a category."""
    made = Stop(who="eva", since=world.clock(), why="elections", category=category)
    with world.store() as store:
        if category is None:
            assert store.stop_everything(made) is None
        else:
            stop_category(store, made)


def go(world: World, category: str | None = None) -> None:
    """An editor lets it go on."""
    with world.store() as store:
        if category is None:
            store.trust(world.clock(), actor="eva", released=lambda _row, _now: None, started=deliveries.started)
        else:
            go_category(store, category, actor="eva", now=world.clock())


def published(world: World, account: str) -> int:
    """How many posts the network was asked to make."""
    return len(world.network.calls(account, Call.PUBLISH))


def standing_of(world: World, name: str, account: str) -> tuple[State, str | None]:
    row = world.delivery(name, account)
    return row.state, row.reason


# --- everything ------------------------------------------------------------------------------------------------------


def test_while_everything_is_stopped_the_feeds_are_read_and_nothing_is_sent(world: World) -> None:
    start(world, "strong", "blind")
    stop(world)
    show(world, "one", "two")
    journal = world.run()
    assert [polled.new for polled in journal.polled] == [2]
    assert journal.troubles == {}, "a stop is no trouble of any account"
    world.clock.move(hours=1)
    world.run()
    assert {standing_of(world, name, account) for name in ("one", "two") for account in ("strong", "blind")} == {
        (State.READY, None)
    }
    assert (published(world, "strong"), published(world, "blind")) == (1, 1)


def test_what_a_stop_kept_goes_out_afterwards_in_its_order_and_has_not_become_stale(world: World) -> None:
    start(world, "strong", "blind")
    stop(world)
    show(world, "one", "two")
    world.run()
    world.clock.move(days=3)
    world.run()
    go(world)
    looks = len(world.network.calls("strong", Call.FIND))
    world.run()
    assert world.posted("strong") == world.posted("blind") == ["zero", "one", "two"]
    assert len(world.network.calls("strong", Call.FIND)) == looks + 2, "each is looked for before its first send"
    assert world.standing("blind").active_since == world.clock()


def test_a_short_stop_has_each_looked_for_before_its_first_send(world: World) -> None:
    start(world, "strong")
    stop(world)
    show(world, "one")
    world.run()
    world.clock.move(minutes=2)
    world.network.post_by_hand("strong", world.article("one").link or "")
    go(world)
    world.run()
    assert standing_of(world, "one", "strong") == (State.POSTED, "was there already")
    assert world.posted("strong") == ["zero", "one"]


def test_after_a_stop_more_than_burst_are_held(world: World) -> None:
    start(world, "blind", burst=2)
    stop(world)
    show(world, "one", "two", "three")
    world.run()
    assert standing_of(world, "one", "blind") == (State.READY, None), "nothing is decided while it is stopped"
    go(world)
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "burst")
    assert world.posted("blind") == ["zero", "two", "three"]


def test_what_a_person_paused_stays_so_after_go_and_the_wait_that_a_network_asked_for_too(world: World) -> None:
    start(world, "strong", "blind")
    world.pause("strong")
    with world.store() as store:
        was = store.standing("blind")
        waiting = replace(was, not_before=world.clock() + HOUR, failures=3)
        store.save_standing(was, waiting, now=world.clock())
    stop(world)
    go(world)
    assert world.standing("strong").state is AccountState.PAUSED
    after = world.standing("blind")
    assert (after.not_before, after.failures) == (waiting.not_before, 3)


def test_unknown_outcomes_are_looked_up_while_everything_is_stopped(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.FAILED, creates=timedelta(0)))
    show(world, "one")
    world.run()
    stop(world)
    world.clock.move(minutes=20)
    world.run()
    assert standing_of(world, "one", "strong")[0] is State.POSTED
    assert published(world, "strong") == 2


def test_frozen_bytes_do_not_go_again_while_everything_is_stopped(world: World) -> None:
    start(world, "keyed")
    world.network.script("keyed", Call.PUBLISH, LOST)
    show(world, "one")
    world.run()
    stop(world)
    world.clock.move(minutes=5)
    world.run()
    world.run()
    row = world.delivery("one", "keyed")
    assert (row.state, row.unclosed, published(world, "keyed")) == (State.READY, True, 2)
    go(world)
    world.run()
    assert world.posted("keyed") == ["zero", "one"]


def test_a_stop_just_before_the_first_byte_ends_the_call_and_is_no_failure_of_the_account(world: World) -> None:
    start(world, "strong")
    show(world, "one")

    def edge(point: str) -> None:
        if point == "publish: before":
            stop(world)

    world.edge = edge
    world.run()
    world.edge = None
    assert published(world, "strong") == 1
    row, after = world.delivery("one", "strong"), world.standing("strong")
    assert (row.state, row.unclosed, after.failures, after.not_before) == (State.READY, False, 0, None)
    assert [attempt.outcome for attempt in world.attempts("one", "strong")] == [Evidence.NOT_SENT]
    go(world)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


def test_a_stop_between_the_claim_and_the_intent_leaves_no_attempt(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    world.run()
    show(world, "two", "three")

    def edge(point: str) -> None:
        if point == "find: answered":
            stop(world)

    with world.store() as store:
        was = store.standing("strong")
        # So that each is looked for first: the look is where the stop comes.
        store.save_standing(was, replace(was, active_since=world.clock() + MINUTE), now=world.clock())
    world.edge = edge
    world.run()
    world.edge = None
    assert (world.attempts("two", "strong"), published(world, "strong")) == ((), 2)
    go(world)
    world.run()
    assert world.posted("strong") == ["zero", "one", "two", "three"]


def test_the_intent_is_refused_while_everything_is_stopped(world: World) -> None:
    start(world, "blind")
    stop(world)
    show(world, "one")
    world.run()
    with world.store() as store:
        row = world.delivery("one", "blind")
        frozen = store.attempts(world.delivery("zero", "blind").id)[0]
        attempt = replace(frozen, id="x", delivery=row.id)
        assert not store.intend(row, replace(row, state=State.SENDING, changed=world.clock()), attempt)
        assert store.delivery(row.id) == row


def test_a_second_stop_leaves_the_first_as_it_was_and_each_move_is_written_down(world: World) -> None:
    start(world, "blind")
    stop(world)
    with world.store() as store:
        first = store.stop()
        assert first == Stop(who="eva", since=world.clock(), why="elections")
        assert store.stop_everything(Stop(who="max", since=world.clock() + HOUR)) == first
        assert store.stop() == first
    go(world)
    go(world)
    with world.store() as store:
        assert store.stop() is None
        moves = [(event.what, event.actor, event.why) for event in store.events("everything")]
    assert moves == [("stopped", "eva", "elections"), ("goes on", "eva", None)]


def test_a_stop_raises_no_alert(world: World) -> None:
    start(world, "strong")
    stop(world)
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    with world.store() as store:
        assert store.alerts() == ()


def test_nothing_is_waited_for_while_everything_is_stopped(desk: Desk) -> None:
    desk.configure(PAGE, feeds=ALL)
    desk("stop")
    begun = monotonic()
    assert desk("run", "--wait").code == 0
    assert monotonic() - begun < 5
    assert desk.pages() == set()


# --- a category ------------------------------------------------------------------------------------------------------


def test_what_waits_of_a_stopped_category_is_held_at_once_and_the_rest_goes(world: World) -> None:
    start(world, "blind")
    stop(world)
    show(world, "one", categories=["Sport", "POLITICS"])
    show(world, "two", categories=["Sport"])
    world.run()
    stop(world, "politics")
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: politics")
    go(world)
    world.run()
    assert world.posted("blind") == ["zero", "two"]
    with world.store() as store:
        (move,) = store.events(world.delivery("one", "blind").id)
    assert (move.what, move.actor, move.why) == ("READY -> HELD", "eva", "stopped: politics (elections)")


def test_what_comes_of_a_stopped_category_is_held_by_the_poll(world: World) -> None:
    start(world, "blind", "strong")
    stop(world, "Politics")
    show(world, "one", categories=["politics"])
    show(world, "two")
    world.run()
    assert (
        standing_of(world, "one", "blind") == standing_of(world, "one", "strong") == (State.HELD, "stopped: Politics")
    )
    assert world.posted("blind") == world.posted("strong") == ["zero", "two"]
    with world.store() as store:
        assert store.events(world.delivery("one", "blind").id) == (), "it was never READY"


def test_an_article_that_gets_a_stopped_category_by_an_edit_is_held_at_the_claim(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    world.pause("blind")
    show(world, "one")
    world.run()
    edited = world.news("one", ago=timedelta(seconds=1), categories=("Politics",))
    world.show(edited, world.news("zero", ago=5 * MINUTE))
    world.run()
    assert standing_of(world, "one", "blind") == (State.READY, None)
    world.resume("blind")
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: Politics")
    assert world.posted("blind") == ["zero"]


def test_what_may_be_live_is_left_alone_and_held_once_it_is_proved_absent(world: World) -> None:
    start(world, "strong", "keyed")
    for account in ("strong", "keyed"):
        world.network.script(account, Call.PUBLISH, LOST)
    show(world, "one", categories=["Politics"])
    world.run()
    stop(world, "Politics")
    assert standing_of(world, "one", "strong")[0] is State.VERIFYING
    world.clock.move(minutes=20)
    world.run()
    assert world.posted("keyed") == ["zero", "one"], "the same bytes under a standing key close what was open"
    world.clock.move(minutes=5)
    world.run()
    assert standing_of(world, "one", "strong") == (State.HELD, "stopped: Politics")
    go(world, "Politics")
    world.until_quiet()
    assert world.posted("strong") == ["zero", "one"]


def test_what_a_category_kept_goes_out_oldest_first_and_has_not_become_stale(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    show(world, "one", "two", categories=["Politics"])
    world.run()
    world.clock.move(days=3)
    go(world, "POLITICS")
    row = world.delivery("one", "blind")
    assert (row.state, row.due, row.allowed_by) == (State.READY, world.clock(), None)
    show(world, "three")
    world.run()
    assert world.posted("blind") == ["zero", "one", "two", "three"]


def test_what_a_category_kept_goes_out_under_burst_and_at_most(world: World) -> None:
    start(world, "blind", burst=3, at_most=(RateWindow(count=2, period=HOUR),))
    world.clock.move(hours=2)
    stop(world, "Politics")
    show(world, "one", "two", "three", "four", categories=["Politics"])
    world.run()
    world.clock.move(hours=2)
    go(world, "Politics")
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "burst")
    assert world.posted("blind") == ["zero", "two", "three"]
    assert standing_of(world, "four", "blind") == (State.READY, None)


def test_what_two_stopped_categories_keep_goes_when_both_are_over(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    stop(world, "Sport")
    show(world, "one", categories=["Politics", "Sport"])
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: Politics")
    go(world, "Politics")
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: Sport")
    go(world, "Sport")
    world.run()
    assert world.posted("blind") == ["zero", "one"]


def test_what_a_person_let_through_after_the_stop_goes_and_what_before_does_not(world: World) -> None:
    start(world, "blind")
    world.pause("blind")
    show(world, "one", "two", categories=["Politics"])
    world.run()
    world.decide("one", "blind", lambda row: deliveries.hold(row, "burst", world.clock()))
    world.decide("one", "blind", lambda row: deliveries.approve(row, "eva", world.clock()))
    world.clock.move(minutes=1)
    stop(world, "Politics")
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: Politics")
    world.clock.move(minutes=1)
    world.decide("two", "blind", lambda row: deliveries.approve(row, "eva", world.clock()))
    world.resume("blind")
    world.run()
    assert world.posted("blind") == ["zero", "two"]


def test_a_filter_that_stops_it_meanwhile_stops_it_after_go(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    world.change_account("blind", feeds=("another",))
    go(world, "Politics")
    world.run()
    assert standing_of(world, "one", "blind") == (State.CANCELLED, "filtered: feeds")


def test_a_stop_of_a_category_outlives_restarts_and_another_configuration(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    world.add_account("strong")
    world.run()
    world.clock.move(minutes=5)
    show(world, "one", categories=["Politics"])
    world.run()
    assert (
        standing_of(world, "one", "strong") == standing_of(world, "one", "blind") == (State.HELD, "stopped: Politics")
    )


def test_what_was_kept_for_an_account_that_is_removed_stays_held(world: World) -> None:
    start(world, "blind", "strong")
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    del world.accounts["strong"]
    world.run()
    go(world, "Politics")
    assert standing_of(world, "one", "strong") == (State.HELD, "account removed")
    assert standing_of(world, "one", "blind") == (State.READY, None)


def test_what_was_kept_for_an_account_that_is_another_one_now_stays_held(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    world.clock.move(minutes=5)
    world.change_account("blind", platform="strong")
    world.run()
    go(world, "Politics")
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "account removed")


def test_in_a_store_that_was_put_back_what_a_category_kept_may_have_been_posted(world: World) -> None:
    start(world, "blind")
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    with world.store() as store:
        store.distrust("put back", world.clock(), doubted=deliveries.doubted, stopped=deliveries.stopped)
    assert standing_of(world, "one", "blind") == (State.HELD, "restored")
    go(world)
    go(world, "Politics")
    world.run()
    assert world.posted("blind") == ["zero"], "nobody but a person can look"


def test_go_for_everything_leaves_the_categories_stopped(world: World) -> None:
    start(world, "blind")
    stop(world)
    stop(world, "Politics")
    show(world, "one", categories=["Politics"])
    world.run()
    go(world)
    world.run()
    assert standing_of(world, "one", "blind") == (State.HELD, "stopped: Politics")


# --- the decisions as functions --------------------------------------------------------------------------------------

READY = Delivery(
    id="0" * 64, article="1", account="a", state=State.READY, published=NOW, due=NOW, created=NOW, changed=NOW
)
POLITICS = Stop(who="eva", since=NOW, category="Politics")
HELD = replace(READY, state=State.HELD, reason="stopped: Politics", changed=NOW + HOUR)
STANDING = Standing(account="a", platform="p", created=NOW - DAY, active_since=NOW - DAY)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(READY, HELD, id="waits"),
        pytest.param(replace(READY, frozen="x", absent_at=NOW), replace(HELD, frozen="x", absent_at=NOW), id="absent"),
        pytest.param(replace(READY, unclosed=True, frozen="x"), None, id="may be live"),
        *(
            pytest.param(replace(READY, state=state), None, id=state.value)
            for state in State
            if state is not State.READY
        ),
        pytest.param(replace(READY, allowed_by="eva", allowed_at=NOW + MINUTE), None, id="let through since"),
        pytest.param(
            replace(READY, allowed_by="eva", allowed_at=NOW),
            replace(HELD, allowed_by="eva", allowed_at=NOW),
            id="let through before",
        ),
        pytest.param(
            replace(READY, allowed_by="first_run", allowed_at=NOW + MINUTE),
            replace(HELD, allowed_by="first_run", allowed_at=NOW + MINUTE),
            id="chosen by first_run",
        ),
        pytest.param(
            replace(READY, reason="restored: looked for before it is sent"),
            replace(HELD, reason="restored"),
            id="rests on a look",
        ),
    ],
)
def test_a_stop_holds_what_would_go_by_itself(row: Delivery, expected: Delivery | None) -> None:
    assert deliveries.hold_stopped(row, (POLITICS,), NOW + HOUR) == expected
    assert deliveries.hold_stopped(row, (), NOW + HOUR) is None


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        pytest.param(STANDING, (State.READY, None, NOW + DAY), id="as before"),
        pytest.param(None, (State.HELD, "account removed", NOW), id="removed"),
        pytest.param(replace(STANDING, created=NOW + MINUTE), (State.HELD, "account removed", NOW), id="another one"),
    ],
)
def test_what_was_held_goes_on_where_its_account_is_the_same(
    standing: Standing | None, expected: tuple[State, str | None, datetime]
) -> None:
    row = deliveries.release_stopped(HELD, (), standing, NOW + DAY)
    assert (row.state, row.reason, row.due) == expected


@pytest.mark.parametrize(
    ("state", "active_since"),
    [
        (AccountState.ACTIVE, NOW),
        (AccountState.SAFE_MODE, NOW),
        (AccountState.PAUSED, STANDING.active_since),
        (AccountState.AUTH_BLOCKED, STANDING.active_since),
    ],
)
def test_go_counts_from_now_for_what_may_send(state: AccountState, active_since: datetime) -> None:
    after = deliveries.started(replace(STANDING, state=state), NOW)
    assert after.active_since == active_since
    assert (after.state is AccountState.ACTIVE) == (active_since == NOW)


@pytest.mark.parametrize(
    ("category", "is_stopped"),
    [("Politics", True), ("pOLITICS", True), (" politics ", True), ("Politic", False), ("Pölitics", False)],
)
def test_categories_are_compared_as_filters_do(category: str, is_stopped: bool) -> None:
    article = Article(
        id="1", feed="f", origin="o", link=None, title="t", published=NOW, first_seen=NOW, categories=("Politics",)
    )
    stops = (replace(POLITICS, category=category), replace(POLITICS, category=None))
    assert bool(stops_of(article, stops)) is is_stopped


def test_the_daemon_tells_a_stop_once_and_its_end_once() -> None:
    told: list[str] = []
    news = Told(told.append)
    everything = Stop(who="eva", since=NOW, why="elections")
    for one in (None, everything, everything, None, None, everything):
        news.tell_stop(one)
    words = "stopped by eva since 2026-11-24 10:00:00 UTC (elections). Nothing is sent until `autopublish go`"
    assert told == [words, "not stopped any more: what waits is sent", words]


# --- kill -9 ---------------------------------------------------------------------------------------------------------


def switch(now: datetime, *, goes_on: bool) -> Callable[[Store], object]:
    """What stops a category, or lets it go on."""
    if goes_on:
        return partial(go_category, category="Politics", actor="eva", now=now)
    return partial(stop_category, stop=Stop(who="eva", since=now, category="Politics"))


@pytest.mark.fault("D11")
@pytest.mark.parametrize("goes_on", [False, True], ids=["stop", "go"])
def test_d11_killed_at_any_point_a_category_is_stopped_whole_or_not_at_all(world: World, goes_on: bool) -> None:
    start(world, "blind")
    stop(world)
    show(world, "one", "two", categories=["Politics"])
    world.run()
    if goes_on:
        stop(world, "Politics")
    passed: list[str] = []
    for point in range(100):
        log = world.folder / f"points-{point}"
        work = switch(world.clock(), goes_on=goes_on)
        code = child.end_of(child.start_work(world.store_path, work, log, die_at=point))
        passed = log.read_text().splitlines()
        with world.store() as store:
            is_stopped = bool(store.stopped_categories())
        expected = (State.HELD, "stopped: Politics") if is_stopped else (State.READY, None)
        assert {standing_of(world, name, "blind") for name in ("one", "two")} == {expected}
        if is_stopped is not goes_on:
            assert passed[-1] in ("stop_category: committed", "go_category: committed")
        if code == 0 or is_stopped is not goes_on:
            break
        assert code == -signal.SIGKILL
    assert "_keep_step: written, not committed" in passed
    assert is_stopped is not goes_on
    go(world, "Politics")
    go(world)
    world.run()
    assert world.posted("blind") == ["zero", "one", "two"]


# --- the commands ----------------------------------------------------------------------------------------------------


def begin(desk: Desk, *accounts: str) -> None:
    """These accounts are configured and have posted the article `first`."""
    desk.configure(*(accounts or (PAGE,)))
    desk("run")
    desk.show("first")
    assert desk("run").code == 0


def test_stop_says_what_waits_and_a_run_after_it_sends_nothing(desk: Desk) -> None:
    begin(desk, PAGE, SECOND)
    desk("accounts", "pause", "second")
    desk.show("one")
    desk("run")
    desk.show("two")
    said = desk("stop", "--reason", "elections")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "stopped: nothing is sent on any account before `autopublish go`; the feeds are read, though",
        "  page: 0 posts wait",
        "  second: 1 post waits",
        "See them with `autopublish deliveries list --state ready`",
    ]
    ran = desk("run")
    assert (ran.code, desk.pages()) == (0, {"first", "one"})
    assert "stopped by " in ran.err
    assert "(elections); nothing is sent before `autopublish go`" in ran.err


def test_in_a_pipe_a_run_tells_of_the_stop_once(desk: Desk) -> None:
    begin(desk)
    desk("stop")
    assert "stopped by" in desk("run").err
    assert desk("run").err == ""
    desk("go")
    desk("stop")
    assert "stopped by" in desk("run").err, "another stop is news"


def test_at_a_terminal_each_run_tells_of_the_stop(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--reason", "elections")
    for _ in range(2):
        assert "(elections); nothing is sent before `autopublish go`" in in_terminal(desk, "run", width=160, talk=True)


def test_a_run_for_machines_names_the_stop_with_each_account_that_it_keeps(desk: Desk) -> None:
    begin(desk, PAGE, SECOND)
    desk("accounts", "pause", "second")
    desk("stop")
    said = desk("run", "--json")
    page, second = said.json()["accounts"]
    assert said.code == 0
    assert (page["state"], page["reason"].startswith("stopped by ")) == ("ACTIVE", True)
    assert (second["state"], second["reason"].startswith("paused by ")) == ("PAUSED", True)


def test_stop_twice_says_so_and_changes_nothing(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--reason", "elections")
    said = desk("stop", "--reason", "another")
    assert said.code == 0
    assert said.err.startswith("already stopped by ")
    assert said.err.endswith("(elections); nothing was changed\n")


def test_status_shows_at_its_top_who_stopped_it_and_what_waits(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--reason", "elections")
    desk("stop", "--category", "Politics")
    desk.show("one")
    desk.show("two", categories=("politics",))
    desk("run")
    first, second, *rest = desk("status").out.splitlines()
    assert first.startswith("stopped by ")
    assert first.endswith("(elections); 1 post waits; `autopublish go` ends that")
    assert second.startswith("Politics: stopped by ")
    assert second.endswith("; 1 post is held; `autopublish go --category Politics` ends that")
    assert not any("needs a person" in line for line in rest)
    document = desk("status", "--json").json()
    assert (document["stop"]["why"], document["stop"]["waiting"]) == ("elections", 1)
    (category,) = document["stopped_categories"]
    assert (category["category"], category["why"], category["held"]) == ("Politics", None, 1)
    desk("go")
    document = desk("status", "--json").json()
    assert document["stop"] is None
    assert desk("status").out.startswith("Politics: stopped by ")


def test_why_says_who_stopped_what_and_what_ends_it(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--reason", "elections")
    desk("stop", "--category", "IT & more")
    desk.show("one")
    desk.show("two", categories=("IT & more",))
    desk("run")
    assert re_line(desk("why", "/one/").out, "page").endswith("(elections); `autopublish go` ends that")
    held = re_line(desk("why", "/two/").out, "page")
    assert held.startswith("  page: held: IT & more is stopped by ")
    assert "`autopublish go --category 'IT & more'` lets all of it go, `autopublish deliveries approve " in held
    assert desk("why", "/one/", "--json").json()["accounts"][0]["reason"].startswith("stopped by ")
    assert "everything is stopped by" in desk("deliveries", "list", "--state", "ready").out


def re_line(out: str, account: str) -> str:
    """The line about an account."""
    return next(line for line in out.splitlines() if line.startswith(f"  {account}: "))


def test_go_says_what_it_ended_what_waits_and_what_stays_stopped(desk: Desk) -> None:
    begin(desk, PAGE, SECOND)
    desk("stop", "--account", "second", "--reason", "strike")
    desk("stop", "--category", "Politics")
    desk("stop", "--reason", "elections")
    desk.show("one")
    desk("run")
    said = desk("go")
    first, *rest = said.out.splitlines()
    assert first.startswith("goes on; it was stopped by ")
    assert first.endswith("(elections)")
    assert rest == ["  page: 1 post waits", "  second: 1 post waits"]
    category, account = said.err.splitlines()
    assert category.startswith("Politics: stays stopped by ")
    assert category.endswith("; `autopublish go --category Politics` ends that")
    assert account.startswith("second: stays PAUSED: paused by ")
    assert account.endswith(": strike; `autopublish go --account second` ends that")
    desk("run")
    assert (desk.pages(), desk.pages("second")) == ({"first", "one"}, {"first"})
    assert desk("go", "--account", "second").code == 0
    desk("run")
    assert desk.pages("second") == {"first", "one"}


def test_go_ends_safe_mode_and_the_stop_with_one_command(desk: Desk) -> None:
    begin(desk)
    desk("stop")
    (desk.folder / "autopublish.db.d" / "marker").unlink()
    assert desk("run").code == 1
    said = desk("go")
    assert said.out.splitlines()[0].startswith("goes on; it was stopped by ")
    assert "page: out of SAFE_MODE" in said.out
    desk.show("one")
    desk("run")
    desk("run")
    assert desk("status", "--json").json()["stop"] is None
    assert desk("run").code == 0


def test_an_account_that_is_resumed_while_everything_is_stopped_is_told_so(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--account", "page")
    desk("stop")
    assert "; everything is stopped by " in desk("go", "--account", "page").out


def test_a_category_is_stopped_and_goes_on_by_its_name_in_any_case(desk: Desk) -> None:
    begin(desk)
    desk("accounts", "pause", "page")
    desk.show("one", categories=("Politics",))
    desk("run")
    said = desk("stop", "--category", " politics ", "--reason", "elections")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "politics: stopped; 1 post that waited is held",
        "See them with `autopublish deliveries list --state held`",
    ]
    assert desk("stop", "--category", "POLITICS").err.startswith("POLITICS: already stopped by ")
    said = desk("go", "--category", "Politics")
    assert said.out.startswith("politics: goes on; it was stopped by ")
    assert said.out.endswith("(elections); 1 post waits for its turn\n")
    assert desk("go", "--category", "Politics").err == "Politics: no such category is stopped; none is\n"


def test_several_categories_are_stopped_at_once(desk: Desk) -> None:
    begin(desk)
    desk("stop", "--category", "A", "--category", "B", "--category", "A")
    with desk.store() as store:
        assert [one.category for one in store.stopped_categories()] == ["A", "B"]
    assert "stopped are A, B" in desk("go", "--category", "C").err


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        pytest.param("Politcs", "note: no article of late had the category Politcs: did you mean Politics?", id="near"),
        pytest.param("Zzz", "note: no article of late had the category Zzz", id="none near"),
    ],
)
def test_a_category_that_no_article_had_is_stopped_with_a_note(desk: Desk, typed: str, words: str) -> None:
    desk.show("one", categories=("Politics",))
    begin(desk)
    said = desk("stop", "--category", typed)
    assert (said.code, said.err) == (0, f"{words}\n")
    with desk.store() as store:
        assert [one.category for one in store.stopped_categories()] == [typed]
        assert near_categories(store, "POLITICS") is None


@pytest.mark.parametrize("command", ["stop", "go"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--account", "pgae"), "no account is called pgae; did you mean page?"),
        (("--account", "pgae", "--category", "A"), "no account is called pgae; did you mean page?"),
        (("--category", " "), "--category takes the name of a category; nothing was changed"),
        (("page",), "Got unexpected extra argument (page)"),
    ],
)
def test_a_slip_stops_nothing_and_lets_nothing_go(desk: Desk, command: str, words: tuple[str, ...], said: str) -> None:
    begin(desk)
    got = desk(command, *words)
    assert (got.code, got.out) == (2, "")
    assert said in got.err
    with desk.store() as store:
        assert (store.stop(), store.stopped_categories()) == (None, ())


def test_a_wrong_file_keeps_nobody_from_stopping_everything(desk: Desk) -> None:
    begin(desk)
    desk.file.write_text(desk.file.read_text() + "  oops: [\n")
    said = desk("stop")
    assert said.code == 0
    assert said.out.startswith("stopped: nothing is sent")
    assert f"the store is {desk.folder / 'autopublish.db'}" in said.err
    assert "autopublish.yaml" in said.err
    assert desk("stop").err.endswith("nothing was changed\n")
    with desk.store() as store:
        assert store.stop() is not None


def test_a_wrong_file_without_a_store_is_told(desk: Desk) -> None:
    desk.file.write_text("accounts: [\n")
    assert desk("stop").code == 2
    desk.file.unlink()
    assert desk("stop").code == 2


def test_a_stop_is_no_illness(desk: Desk) -> None:
    begin(desk)
    desk("stop")
    assert desk("status", "--check").code == 0


# --- beside a process that is at work --------------------------------------------------------------------------------


def wait_until(done: Callable[[], bool]) -> None:
    """It has come to pass in another process."""
    end = monotonic() + PATIENCE_SECONDS
    while not done():
        assert monotonic() < end, "it never came to pass"
        sleep(0.01)


def test_a_stop_beside_a_run_lets_the_call_in_flight_end_and_stops_the_next(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    desk.show("one", "two")
    pds.script("putRecord", Fault(then=Then.SILENCE, made=Made.AT_ONCE))
    before = len(pds.called("putRecord"))
    with subprocess.Popen(
        desk.line("run"), env=desk.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_until(lambda: len(pds.called("putRecord")) > before)
            said = desk("stop")
            pds.stop()
            pds.start()
            process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert "1 post is being sent at this moment: it ends, and what became of that is recorded" in said.out
    assert (desk.row("one", "sky").state, desk.row("two", "sky").state) == (State.VERIFYING, State.READY)
    assert len(pds.called("putRecord")) == before + 1


def test_a_stop_between_two_posts_of_a_run_stops_the_second(desk: Desk) -> None:
    begin(desk)
    desk.show("one", "two")
    with closing(build(desk.file)) as app:

        def watch(words: str) -> None:
            if words == "page: posted: Article one":
                app.stop(who="eva", why=None)

        report = app.run(watch=watch)
    assert desk.pages() == {"first", "one"}
    assert desk.row("two", "page").state is State.READY
    assert (report.stop is not None, report.stop_is_news) == (True, True)


def test_a_daemon_holds_what_waits_while_everything_is_stopped_through_its_death_and_sends_it_after_go(
    desk: Desk,
) -> None:
    desk.configure(PAGE)
    with daemon(desk) as running:
        running.until("first poll")
        assert desk.process("stop", "--reason", "elections").code == 0
        running.until("(elections). Nothing is sent until `autopublish go`")
        desk.show("one")
        make_due(desk)
        wait_for_row(desk, "one", "page")
        running.process.kill()
        running.process.wait(PATIENCE_SECONDS)
    with daemon(desk) as running:
        running.until("Nothing is sent until `autopublish go`").until("at work")
        before = tick(desk)
        wait_until(lambda: tick(desk) not in (before, None))
        assert (desk.row("one", "page").state, desk.pages()) == (State.READY, set())
        assert desk.process("go").code == 0
        running.until("not stopped any more").until("page: posted: Article one")
        assert running.end() == 0
    assert desk.pages() == {"one"}


def tick(desk: Desk) -> str | None:
    """When the daemon looked at everything last."""
    with desk.store() as store:
        return store.note("last_tick")


@pytest.mark.long
def test_a_daemon_holds_a_category_that_is_stopped_beside_it_and_sends_it_after_go(desk: Desk) -> None:
    desk.configure(PAGE)
    with daemon(desk) as running:
        running.until("first poll")
        desk.process("stop", "--category", "Politics")
        desk.show("one", categories=("politics",))
        make_due(desk)
        running.until("page: held: Article one (stopped: Politics)")
        assert desk.process("go", "--category", "Politics").code == 0
        running.until("page: posted: Article one")
        assert running.end() == 0
