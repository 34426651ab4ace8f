"""The circuit breaker of an account: what is refused again and again pauses it, what is away is tried seldom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from autopublish import deliveries
from autopublish.deliveries import MOST_REFUSALS, settle, stage_failed
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from autopublish.models import (
    BREAKER,
    Account,
    AccountState,
    Alert,
    AlertKind,
    Attempt,
    Delivery,
    Picture,
    Post,
    ReadBack,
    Receipt,
    Resolution,
    Stage,
    Standing,
    State,
)
from tests.bench.network import AT_ONCE, Asked, Call, Say, Step
from tests.bench.world import World
from tests.desk import PAGE, Desk, seen_on, sky
from tests.servers.pds import FakePds, Fault, Then

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REFUSED = Step(say=Say.REFUSED)
LOST = Step(say=Say.FAILED)
TOO_LONG = Fault(then=Then.ANSWER, status=400, body=b'{"error":"InvalidRequest","message":"text is too long"}')

ACCOUNT = Account(name="a", platform="p", template="")
STANDING = Standing(account="a", platform="p", created=NOW, active_since=NOW)
READY = Delivery(
    id="0" * 64, article="1", account="a", state=State.READY, published=NOW, due=NOW, created=NOW, changed=NOW
)
POST = Post(text="t", link=None, title="t", created_at=NOW, published=NOW)
PICTURE = Picture(path="p", sha256="s", type="image/png", width=1, height=1, size_bytes=1)
ATTEMPT = Attempt(
    id="t", delivery=READY.id, account="a", key="k", generation=0, post=POST, stage=Stage(), started=NOW,
    deadline=NOW + MINUTE, key_since=NOW,
)  # fmt: skip
STRONG = Resolution(key_window=None, read_back=ReadBack.STRONG, settle=MINUTE)


def settled(
    outcome: Receipt | DeliveryError, refusals: int, *, post: Post = POST, state: AccountState = AccountState.ACTIVE
) -> Standing:
    sending = replace(READY, state=State.SENDING)
    return settle(
        sending,
        replace(ATTEMPT, post=post),
        outcome,
        account=ACCOUNT,
        standing=replace(STANDING, refusals=refusals, state=state),
        resolution=STRONG,
        now=NOW,
    ).standing


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "post", "refusals"),
    [
        pytest.param(Rejected("policy"), POST, 4, id="refused"),
        pytest.param(MediaRejected("picture"), POST, 4, id="a picture that the post has not"),
        pytest.param(MediaRejected("picture"), replace(POST, picture=PICTURE), 3, id="picture, tried without it"),
        pytest.param(Receipt(remote_id="1"), POST, 0, id="posted"),
        pytest.param(AlreadyPosted("there", receipt=Receipt(remote_id="1"), ours=True), POST, 0, id="posted before"),
        pytest.param(NotSent("refused connection"), POST, 3, id="not sent"),
        pytest.param(RateLimited("429"), POST, 3, id="told to wait"),
        pytest.param(Unauthorized("401"), POST, 3, id="token dead"),
        pytest.param(OutcomeUnknown("503"), POST, 3, id="unknown"),
    ],
)
def test_only_refusals_count_and_only_a_post_resets_them(
    outcome: Receipt | DeliveryError, post: Post, refusals: int
) -> None:
    assert settled(outcome, 3, post=post).refusals == refusals


def test_the_fifth_refusal_in_a_row_pauses_the_account_with_its_words() -> None:
    fourth, fifth = settled(Rejected("policy"), MOST_REFUSALS - 2), settled(Rejected("policy"), MOST_REFUSALS - 1)
    assert fourth.state is AccountState.ACTIVE
    assert (fifth.state, fifth.refusals) == (AccountState.PAUSED, 5)
    assert fifth.reason == f"{BREAKER}5 posts in a row were refused, the last: policy"


@pytest.mark.parametrize("error", [Rejected("policy"), MediaRejected("picture")])
def test_a_refusal_at_the_stage_counts_too(error: DeliveryError) -> None:
    row = replace(READY, pictures_skipped=deliveries.MOST_PICTURES)
    after = stage_failed(row, error, replace(STANDING, refusals=4), NOW)
    assert (after.delivery.state, after.standing.state) == (State.REJECTED, AccountState.PAUSED)


@pytest.mark.parametrize("state", [state for state in AccountState if state is not AccountState.ACTIVE])
def test_an_account_that_may_not_send_already_stays_what_it_is(state: AccountState) -> None:
    after = settled(Rejected("policy"), 9, state=state)
    assert (after.state, after.reason) == (state, None)


def start(world: World, *platforms: str, **settings: Any) -> None:
    """Accounts that have posted the article `zero`, five minutes ago."""
    for platform in platforms:
        world.add_account(platform, **settings)
    world.open_site()
    show(world, "zero")
    world.run()
    world.clock.move(minutes=5)


def show(world: World, *names: str) -> None:
    """The feed shows these new articles on top of what it showed, the first one the oldest."""
    world.show_more(*(world.news(name, ago=timedelta(seconds=len(names) - n)) for n, name in enumerate(names)))


def open_alerts(world: World, kind: AlertKind) -> list[Alert]:
    """The alerts of a kind whose cause is not gone."""
    with world.store() as store:
        return [alert for alert in store.alerts() if alert.cause.kind is kind and alert.over is None]


@pytest.mark.fault("D17")
def test_d17_an_account_whose_posts_are_refused_again_and_again_is_paused_and_keeps_what_waits(world: World) -> None:
    start(world, "strong", "blind")
    world.network.script("strong", Call.PUBLISH, *[REFUSED] * 100)
    names = ["one", "two", "three", "four", "five", "six", "seven"]
    show(world, *names)
    journal = world.run()
    assert len(world.network.calls("strong", Call.PUBLISH)) == 1 + MOST_REFUSALS
    states = [world.delivery(name, "strong").state for name in names]
    assert states == [State.REJECTED] * 5 + [State.READY] * 2
    assert world.posted("blind") == ["zero", *names], "others go on"
    standing = world.standing("strong")
    assert (standing.state, standing.refusals) == (AccountState.PAUSED, 5)
    assert (journal.troubles["strong"].reason, journal.troubles["strong"].failed) == (standing.reason, True)
    (alert,) = open_alerts(world, AlertKind.ACCOUNT)
    assert alert.cause.subject == "strong"
    assert "`autopublish accounts resume strong`" in alert.cause.words
    world.clock.move(hours=5)
    world.run()
    assert len(world.network.calls("strong", Call.PUBLISH)) == 1 + MOST_REFUSALS, "nothing goes on by itself"


def test_after_a_resume_the_count_begins_anew_and_a_post_ends_it(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, *[REFUSED] * 5)
    show(world, "one", "two", "three", "four", "five", "six", "seven")
    world.run()
    world.resume("strong")
    assert world.standing("strong").refusals == 0
    assert open_alerts(world, AlertKind.ACCOUNT) == []
    world.network.script("strong", Call.PUBLISH, REFUSED)
    world.run()
    assert world.posted("strong") == ["zero", "seven"]
    assert (world.standing("strong").state, world.standing("strong").refusals) == (AccountState.ACTIVE, 0)


def test_what_a_person_did_meanwhile_stands_against_the_breaker(world: World) -> None:
    start(world, "strong")
    with world.store() as store:
        was = replace(store.standing("strong"), refusals=4)
        store.save_standing(store.standing("strong"), was, now=world.clock())
        paused = replace(was, state=AccountState.PAUSED, reason="paused by eva")
        store.save_standing(was, paused, now=world.clock())
        broken = deliveries.Settled(world.delivery("zero", "strong"), None, deliveries._refused_again(was, "policy"))
        store.save_standing(was, broken.standing, now=world.clock())
        assert store.standing("strong") == paused


def test_the_commands_show_the_breaker_and_go_ends_it(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), PAGE)
    desk("run")
    desk.show("a", "b", "c", "d", "e", "f")
    pds.script("putRecord", *[TOO_LONG] * 5)
    said = desk("run")
    words = "paused by its circuit breaker: 5 posts in a row were refused, the last: "
    assert said.code == 1
    assert f"sky: {words}" in said.err
    assert words in desk("status").out

    assert words in desk("accounts", "list").out
    assert f"account sky is PAUSED: {words}" in desk("status", "--check").out
    assert "already" in desk("stop", "--account", "sky").err
    assert desk("go", "--account", "sky").out.startswith("sky: goes on as ")
    with desk.store() as store:
        assert store.standing("sky").refusals == 0
    desk("run")
    assert seen_on(pds) == ["f"]


# --- a network that is away ------------------------------------------------------------------------------------------


def failing(calls: Sequence[Asked], since: datetime) -> list[datetime]:
    """When calls came, the first of each moment: the bench's clock stands still during a run."""
    return sorted({asked.at for asked in calls if asked.at >= since})


def six_hours_down(world: World) -> list[int]:
    """A network answers nothing but 503 for six hours; how many calls each run made that made any."""
    for call in (Call.PUBLISH, Call.FIND):
        world.network.script("strong", call, *[LOST] * 1000)
    counts, end = [], world.clock() + 6 * HOUR
    while world.clock() < end:
        before = len(world.network.asked)
        world.run()
        counts.append(sum(asked.account == "strong" for asked in world.network.asked[before:]))
        world.clock.move(minutes=5)
    return [count for count in counts if count]


@pytest.mark.fault("D18")
def test_d18_a_network_that_is_away_is_asked_once_in_each_window_that_doubles_from_minutes_to_an_hour(
    world: World,
) -> None:
    start(world, "strong", "blind")
    begun = world.clock()
    show(world, "one", "two", "three", "four", "five")
    assert set(six_hours_down(world)) == {1}, "one probe is all, looks at what is unknown included"
    calls = failing([asked for asked in world.network.asked if asked.account == "strong"], begun)
    windows = [later - earlier for earlier, later in pairwise(calls)]
    least = timedelta(seconds=30)
    for number, window in enumerate(windows, start=1):
        assert window >= min(least * 2 ** (number - 1), HOUR), f"after failure {number}"
    assert all(window >= 5 * MINUTE for window in windows[4:]), "from the fifth failure on"
    assert all(window <= HOUR * 1.1 + 5 * MINUTE for window in windows)
    assert world.posted("blind") == ["zero", "one", "two", "three", "four", "five"], "others go on"
    states = {world.delivery(name, "strong").state for name in ("one", "two", "three", "four", "five")}
    assert states <= {State.READY, State.VERIFYING}
    assert world.standing("strong").state is AccountState.ACTIVE


@pytest.mark.fault("D18")
def test_d18_it_is_told_from_the_fifth_failure_on_and_over_with_the_first_receipt(world: World) -> None:
    start(world, "strong")
    show(world, "one", "two")
    world.network.unplug("strong")
    for _ in range(4):
        world.run()
        world.clock.move(minutes=10)
    assert (world.standing("strong").failures, open_alerts(world, AlertKind.AWAY)) == (4, [])
    world.run()
    (alert,) = open_alerts(world, AlertKind.AWAY)
    assert (alert.cause.subject, alert.raised) == ("strong", world.clock())
    assert world.delivery("one", "strong").state is State.READY
    world.network.plug("strong")
    world.clock.move(hours=1)
    world.run()
    assert world.posted("strong") == ["zero", "one", "two"]
    assert open_alerts(world, AlertKind.AWAY) == []


@pytest.mark.fault("D18")
def test_d18_many_unknown_outcomes_cost_one_failed_look_and_no_post_in_a_window(world: World) -> None:
    start(world, "strong")
    for name in ("one", "two", "three"):
        show(world, name)
        world.network.script("strong", Call.PUBLISH, LOST)
        world.run()
        world.clock.move(minutes=5)
    assert [world.delivery(name, "strong").state for name in ("one", "two", "three")] == [State.VERIFYING] * 3
    show(world, "four")
    world.clock.move(minutes=15)
    world.network.script("strong", Call.FIND, *[LOST] * 10)
    before = len(world.network.asked)
    world.run()
    assert [asked.call for asked in world.network.asked[before:]] == [Call.FIND]
    assert world.delivery("four", "strong").state is State.READY


@pytest.mark.fault("D18")
def test_d18_the_commands_say_that_the_circuit_is_open(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), PAGE)
    desk("run")
    desk.show("one")
    pds.stop()
    for _ in range(4):
        desk("run")
        desk.end_waits()
    assert "circuit open" not in desk("status").out
    desk("run")
    words = "circuit open: 5 failures in a row, tried again 20"
    assert words in desk("status").out
    assert words in desk("accounts", "list").out
    pds.start()
    desk.end_waits()
    desk("run")
    assert seen_on(pds) == ["one"]
    assert "circuit open" not in desk("accounts", "list").out


@pytest.mark.fault("D18")
def test_d18_an_open_circuit_lets_a_single_post_through_and_closes_with_it(world: World) -> None:
    start(world, "blind")
    show(world, "one", "two", "three")
    with world.store() as store:
        was = store.standing("blind")
        store.save_standing(was, replace(was, failures=7), now=world.clock())
    world.network.script("blind", Call.PUBLISH, Step(say=Say.FAILED, creates=AT_ONCE))
    world.run()
    assert len(world.network.calls("blind", Call.PUBLISH)) == 2, "the rest waits for the next window"
    world.clock.move(minutes=67)
    world.run()
    assert world.posted("blind") == ["zero", "one", "two", "three"]
    assert world.standing("blind").failures == 0
