"""The whole line on the bench: feeds in, posts that readers see out, whatever the networks answer.

Every test ends with the judge: nothing that an accepted poll has shown is lost, and nothing is seen twice (`world`).
"""

from __future__ import annotations

import errno
import io
import signal
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier, Event, main_thread
from typing import Any, ClassVar

import pytest
from PIL import Image

from autopublish import deliveries, posts
from autopublish.deliveries import Verdict
from autopublish.engines.local import LocalEngine
from autopublish.errors import ConfigError, Problem, StoreBusy, StoreError
from autopublish.models import (
    AccountState,
    Delivery,
    Evidence,
    Feed,
    Filter,
    FirstRun,
    FirstRunRule,
    OnUnknown,
    RateWindow,
    State,
    Validators,
)
from autopublish.net import Client
from autopublish.pipeline import _poll, posts_of_feed
from autopublish.platforms._http import Http
from autopublish.store import Store
from autopublish.text import TextLimits, characters
from tests.bench import runner
from tests.bench.adapters import ADAPTERS, Edge, Strong, adapter
from tests.bench.clock import START
from tests.bench.network import AT_ONCE, NEVER, Call, Rules, Say, Step
from tests.bench.newsroom import News, document
from tests.bench.world import ALL, World
from tests.servers.feed_site import Answer, FeedSite

EVERY = ("keyed", "timed", "strong", "lagging", "by_answer", "blind")
LOST = Step(say=Say.FAILED)
MADE = Step(say=Say.FAILED, creates=AT_ONCE)
LATE = Step(say=Say.FAILED, creates=timedelta(seconds=222))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def start(world: World, *platforms: str, **settings: Any) -> None:
    """Accounts that have posted the article `zero`, five minutes ago."""
    for platform in platforms:
        world.add_account(platform, **settings)
    world.open_site()
    show(world, "zero")
    world.run()
    world.clock.move(minutes=5)


def show(world: World, *names: str, feed: str = "news") -> None:
    """The feed shows these new articles on top of what it showed, published a second apart, the first one first."""
    fresh = [world.news(name, ago=timedelta(seconds=len(names) - place)) for place, name in enumerate(names)]
    world.show_more(*fresh, feed=feed)


def state_of(world: World, name: str, account: str) -> State:
    return world.delivery(name, account).state


def publishes(world: World, account: str) -> int:
    """How many times the article after `zero` was sent."""
    return len(world.network.calls(account, Call.PUBLISH)) - 1


# --- unknown outcomes, by how the network resolves them --------------------------------------------------------------

#: platform, what became of the call, state after the run, state in the end, calls in all, posts that readers see.
UNKNOWN = {
    "keyed-made": ("keyed", MADE, State.VERIFYING, State.POSTED, 2, 1),
    "keyed-lost": ("keyed", LOST, State.VERIFYING, State.POSTED, 2, 1),
    "keyed-late": ("keyed", LATE, State.VERIFYING, State.POSTED, 2, 1),
    "timed-made": ("timed", MADE, State.VERIFYING, State.POSTED, 1, 1),
    "timed-lost": ("timed", LOST, State.VERIFYING, State.POSTED, 2, 1),
    "timed-late": ("timed", LATE, State.VERIFYING, State.POSTED, 1, 1),
    "strong-made": ("strong", MADE, State.VERIFYING, State.POSTED, 1, 1),
    "strong-lost": ("strong", LOST, State.VERIFYING, State.POSTED, 2, 1),
    "strong-late": ("strong", LATE, State.VERIFYING, State.POSTED, 1, 1),
    "lagging-made": ("lagging", MADE, State.VERIFYING, State.POSTED, 1, 1),
    "lagging-lost": ("lagging", LOST, State.VERIFYING, State.NEEDS_REVIEW, 1, 0),
    "lagging-late": ("lagging", LATE, State.VERIFYING, State.POSTED, 1, 1),
    "by-answer-made": ("by_answer", MADE, State.VERIFYING, State.POSTED, 2, 1),
    "by-answer-lost": ("by_answer", LOST, State.VERIFYING, State.POSTED, 2, 1),
    "by-answer-late": ("by_answer", LATE, State.VERIFYING, State.POSTED, 2, 1),
    "blind-made": ("blind", MADE, State.NEEDS_REVIEW, State.NEEDS_REVIEW, 1, 1),
    "blind-lost": ("blind", LOST, State.NEEDS_REVIEW, State.NEEDS_REVIEW, 1, 0),
    "blind-late": ("blind", LATE, State.NEEDS_REVIEW, State.NEEDS_REVIEW, 1, 1),
}


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D04")
@pytest.mark.parametrize(("platform", "step", "soon", "last", "calls", "seen"), UNKNOWN.values(), ids=UNKNOWN)
def test_d02_d03_d04_an_unknown_outcome_is_closed_only_by_evidence(
    world: World, platform: str, step: Step, soon: State, last: State, calls: int, seen: int
) -> None:
    start(world, platform)
    world.network.script(platform, Call.PUBLISH, step)
    show(world, "one")
    world.run()
    assert state_of(world, "one", platform) is soon
    world.until_quiet()
    world.clock.move(hours=1)
    assert state_of(world, "one", platform) is last
    assert publishes(world, platform) == calls
    assert world.posted(platform).count("one") == seen


AMBIGUOUS = {
    "silence": Step(say=Say.SILENCE),
    "reset-half-way": Step(say=Say.RESET, percent=50),
    "reset-at-the-first-byte": Step(say=Say.RESET, percent=0),
    "no-id": Step(say=Say.NO_ID),
    "broken-answer": Step(say=Say.BROKEN),
    "5xx": Step(say=Say.FAILED),
    "unlisted-4xx": Step(say=Say.ODD),
}


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("creates", [NEVER, AT_ONCE], ids=["lost", "made"])
@pytest.mark.parametrize("step", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_d02_d03_d05_d06_d09_whatever_is_not_proved_ends_in_one_post(
    world: World, step: Step, creates: timedelta | None
) -> None:
    start(world, "keyed", "strong")
    for account in ("keyed", "strong"):
        world.network.script(account, Call.PUBLISH, replace(step, creates=creates))
    show(world, "one")
    world.run()
    for account in ("keyed", "strong"):
        assert state_of(world, "one", account) is State.VERIFYING
        assert world.attempts("one", account)[0].outcome is Evidence.UNKNOWN
    world.until_quiet()
    for account in ("keyed", "strong"):
        row = world.delivery("one", account)
        assert row.state is State.POSTED
        assert row.receipt is not None
        assert row.receipt.remote_id in {post.id for post in world.network.visible(account)}
        assert world.posted(account) == ["zero", "one"]


@pytest.mark.fault("D06")
def test_d06_a_success_without_an_id_is_looked_up_and_never_sent_again(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.NO_ID, creates=AT_ONCE))
    show(world, "one")
    world.until_quiet()
    assert publishes(world, "strong") == 1
    assert state_of(world, "one", "strong") is State.POSTED


@pytest.mark.fault("D03")
def test_d03_absence_counts_only_after_the_settle_time_and_twice_a_minute_apart(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, LOST)
    show(world, "one")
    world.run()
    deadline = world.attempts("one", "strong")[0].deadline
    world.until_quiet()
    looks = [asked.at for asked in world.network.calls("strong", Call.FIND)]
    assert looks == [deadline + timedelta(minutes=10), deadline + timedelta(minutes=11)]


def test_a_resend_sends_the_same_bytes_though_the_article_was_edited(world: World) -> None:
    start(world, "strong", "keyed")
    for account in ("strong", "keyed"):
        world.network.script(account, Call.PUBLISH, LOST)
    world.show_more(world.news("one", title="As it was"))
    world.run()
    world.clock.move(seconds=5)
    world.show(world.news("one", title="As it is now"))
    world.until_quiet()
    for account in ("strong", "keyed"):
        first, second = [asked for asked in world.network.calls(account, Call.PUBLISH) if b"/one/" in asked.body]
        assert (first.body, first.key) == (second.body, second.key)
        assert b"As it was" in first.body


def test_after_an_unknown_outcome_the_account_sends_nothing_for_30_seconds_and_then_one_probe_at_a_time(
    world: World,
) -> None:
    start(world, "blind")
    world.network.script("blind", Call.PUBLISH, LOST, LOST)
    show(world, "one", "two", "three")
    world.run()
    assert publishes(world, "blind") == 1
    world.clock.move(seconds=29)
    world.run()
    assert publishes(world, "blind") == 1
    world.clock.move(seconds=5)
    world.run()
    assert publishes(world, "blind") == 2
    world.clock.move(seconds=59)
    world.run()
    assert publishes(world, "blind") == 2
    world.clock.move(seconds=8)
    world.run()
    assert world.posted("blind") == ["zero", "three"]
    assert world.standing("blind").failures == 0


@pytest.mark.fault("D18")
def test_d18_a_platform_that_is_down_for_six_hours_gets_few_probes_and_then_each_article_once(world: World) -> None:
    start(world, "strong", "blind")
    world.network.script("strong", Call.PUBLISH, *[LOST] * 1000)
    show(world, "one", "two", "three")
    end = world.clock() + timedelta(hours=6)
    while world.clock() < end:
        world.run()
        world.clock.move(minutes=5)
    assert publishes(world, "strong") <= 14  # 30 s doubling to an hour: six in the first half hour, then one an hour
    assert world.posted("blind") == ["zero", "one", "two", "three"]
    world.network.script("strong", Call.PUBLISH)
    world.until_quiet()
    assert sorted(world.posted("strong")) == ["one", "three", "two", "zero"]


@pytest.mark.fault("D22")
def test_d22_on_a_lagging_list_absence_proves_nothing_and_a_person_decides(world: World) -> None:
    start(world, "lagging")
    world.network.change_rules("lagging", Rules(lag=2 * HOUR))
    world.network.script("lagging", Call.PUBLISH, MADE)
    show(world, "one")
    world.until_quiet()
    row = world.delivery("one", "lagging")
    assert (row.state, row.looks) == (State.NEEDS_REVIEW, deliveries.MOST_LOOKS)
    assert (publishes(world, "lagging"), world.posted("lagging")) == (1, ["zero", "one"])
    world.decide("one", "lagging", lambda one: deliveries.resolve(one, Verdict.POSTED, "https://x/1", "editor", START))
    assert state_of(world, "one", "lagging") is State.POSTED


FAILED_LOOKS = {
    "silence": Step(say=Say.SILENCE),
    "5xx": Step(say=Say.FAILED),
    "429": Step(say=Say.LIMITED, wait=timedelta(minutes=20)),
}


@pytest.mark.parametrize("step", FAILED_LOOKS.values(), ids=FAILED_LOOKS)
def test_a_look_that_fails_is_no_look_and_is_repeated(world: World, step: Step) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, MADE)
    world.network.script("strong", Call.FIND, step, step)
    show(world, "one")
    world.until_quiet()
    row = world.delivery("one", "strong")
    assert (row.state, row.looks, publishes(world, "strong")) == (State.POSTED, 0, 1)


def test_a_list_that_ends_too_early_decides_nothing_three_times_and_then_a_person_does(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, LOST)
    world.network.script("strong", Call.FIND, *[Step(say=Say.CUT_LIST)] * 3)
    show(world, "one")
    world.until_quiet()
    assert state_of(world, "one", "strong") is State.NEEDS_REVIEW
    looks = [asked.at for asked in world.network.calls("strong", Call.FIND)]
    assert [later - earlier for earlier, later in pairwise(looks)] == [10 * MINUTE, 10 * MINUTE]


def test_a_day_without_an_answered_look_leaves_it_to_a_person(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, LOST)
    world.network.script("strong", Call.FIND, *[LOST] * 200)
    show(world, "one")
    world.until_quiet(most=120)
    row = world.delivery("one", "strong")
    assert (row.state, publishes(world, "strong")) == (State.NEEDS_REVIEW, 1)
    assert world.clock() - world.attempts("one", "strong")[0].started >= DAY


def unknown_outcomes(world: World, *names: str) -> None:
    """The calls of these articles on the account `strong` were lost, and their looks are due."""
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, *[LOST] * len(names))
    show(world, *names)
    for _ in names:
        world.run()
        world.clock.move_to(world.standing("strong").not_before or world.clock())
    assert {state_of(world, name, "strong") for name in names} == {State.VERIFYING}
    world.clock.move(hours=1)


def finds(world: World) -> int:
    return len(world.network.calls("strong", Call.FIND))


STOPPED_LOOKS = {
    "401": (Step(say=Say.UNAUTHORIZED), 15 * MINUTE),
    "429": (Step(say=Say.LIMITED, wait=2 * HOUR), 2 * HOUR),
    "5xx": (LOST, HOUR),
}


@pytest.mark.parametrize(("step", "wait"), STOPPED_LOOKS.values(), ids=STOPPED_LOOKS)
def test_a_failed_look_stops_the_further_looks_and_the_sends_of_its_account(
    world: World, step: Step, wait: timedelta
) -> None:
    unknown_outcomes(world, "a", "b", "c")
    show(world, "new")
    sent = publishes(world, "strong")
    world.network.script("strong", Call.FIND, *[step] * 3)
    asked = world.clock()
    world.run()
    assert (finds(world), publishes(world, "strong")) == (1, sent)
    standing = world.standing("strong")
    if step.say is Say.UNAUTHORIZED:
        assert (standing.state, standing.probes, standing.probe_at) == (AccountState.AUTH_BLOCKED, 1, asked + wait)
    elif step.say is Say.LIMITED:
        assert (standing.state, standing.not_before) == (AccountState.ACTIVE, asked + wait)
        world.clock.move(hours=1, minutes=59)
        world.run()
        assert (finds(world), publishes(world, "strong")) == (1, sent)
    world.network.script("strong", Call.FIND)
    world.clock.move_to(asked + wait)
    world.until_quiet()
    assert sorted(world.posted("strong")) == ["a", "b", "c", "new", "zero"]


def test_where_looks_fail_each_unknown_outcome_has_its_turn(world: World) -> None:
    unknown_outcomes(world, "a", "b")
    world.network.script("strong", Call.FIND, LOST, LOST)
    for _ in range(2):
        world.run()
        world.clock.move_to(max(world.standing("strong").not_before or START, world.clock()))
        world.clock.move(minutes=1)
    assert [world.delivery(name, "strong").failed_looks for name in ("a", "b")] == [1, 1]


@pytest.mark.fault("D12")
def test_d12_a_look_that_finds_the_post_while_a_person_says_it_is_absent_ends_in_one_post(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, MADE)
    show(world, "one")
    world.run()
    world.clock.move(minutes=20)

    def decide(name: str) -> None:
        if name == "find: answered":
            later = world.clock() + timedelta(seconds=1)
            world.decide("one", "strong", lambda row: deliveries.resolve(row, Verdict.ABSENT, None, "editor", later))

    world.edge = decide
    journal = world.run()
    world.edge = None
    row = world.delivery("one", "strong")
    assert [changed.delivery for changed in journal.changed.values()] == [row]
    world.until_quiet()
    assert (row.state, publishes(world, "strong"), world.posted("strong")) == (State.POSTED, 1, ["zero", "one"])


STANDSTILLS = {"paused": AccountState.PAUSED, "blocked": AccountState.AUTH_BLOCKED}


@pytest.mark.parametrize("state", STANDSTILLS.values(), ids=STANDSTILLS)
def test_what_cannot_be_looked_up_for_a_day_because_its_account_stands_still_goes_to_a_person(
    world: World, state: AccountState
) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, MADE)
    show(world, "one")
    world.run()
    due = world.delivery("one", "strong").look_at
    assert due is not None
    if state is AccountState.PAUSED:
        world.pause("strong")
    else:
        world.tokens["strong"] = ""
    world.clock.move_to(due + DAY - timedelta(seconds=1))
    world.run()
    assert (state_of(world, "one", "strong"), world.standing("strong").state) == (State.VERIFYING, state)
    world.clock.move(seconds=1)
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason) == (State.NEEDS_REVIEW, "the account could not be asked for a day")
    assert row.unclosed


# --- keys that end ---------------------------------------------------------------------------------------------------


def resend_after_the_key_has_ended(world: World) -> None:
    """A post appears when its absence was proved already, and the resend is refused for 70 minutes."""
    start(world, "timed")
    world.network.script(
        "timed", Call.PUBLISH, Step(say=Say.FAILED, creates=14 * MINUTE), Step(say=Say.LIMITED, wait=70 * MINUTE)
    )
    show(world, "one")
    world.run()
    for minutes in (12, 1):
        world.clock.move(minutes=minutes)
        world.run()
    assert (state_of(world, "one", "timed"), publishes(world, "timed")) == (State.READY, 2)
    world.clock.move(minutes=71)
    world.until_quiet()


@pytest.mark.fault("D08")
@pytest.mark.parametrize("platform", ["keyed", "timed"])
def test_d08_a_keys_window_counts_from_the_first_attempt_under_it(world: World, platform: str) -> None:
    start(world, platform)
    world.network.script(platform, Call.PUBLISH, LOST, LOST)
    show(world, "one")
    world.until_quiet()
    first, *later = world.attempts("one", platform)
    assert len(later) == 2
    assert {(attempt.key, attempt.key_since) for attempt in later} == {(first.key, first.started)}


@pytest.mark.fault("D08")
def test_d08_past_the_end_of_its_key_a_resend_is_looked_up_again_first(world: World) -> None:
    resend_after_the_key_has_ended(world)
    assert world.posted("timed") == ["zero", "one"]
    assert state_of(world, "one", "timed") is State.POSTED


def test_bytes_that_were_sent_once_and_are_composed_anew_go_under_another_key(world: World) -> None:
    start(world, "timed")
    world.network.script("timed", Call.PUBLISH, LOST, Step(say=Say.LIMITED, wait=5 * MINUTE))
    show(world, "one")
    world.run()
    for minutes in (12, 2):
        world.clock.move(minutes=minutes)
        world.run()
    removed = world.accounts.pop("timed")
    world.run()
    assert world.delivery("one", "timed").reason == "account removed"
    world.accounts["timed"] = replace(removed, template="Edited {{ title }}\n{{ link }}")
    world.clock.move(minutes=10)
    world.decide("one", "timed", lambda row: deliveries.approve(row, "editor", world.clock()))
    world.run()
    first, second, third = world.attempts("one", "timed")
    assert (first.key, first.post) == (second.key, second.post)
    assert third.post.text.startswith("Edited")
    assert third.key != first.key
    assert world.posted("timed") == ["zero", "one"]


@pytest.mark.fault("D08")
def test_d08_without_the_keys_deadline_the_judge_sees_the_double(
    unjudged_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "resend_until", lambda *_: None)
    resend_after_the_key_has_ended(unjudged_world)
    assert unjudged_world.network.doubles() == {("timed", News(name="one", published=None).link)}


@pytest.mark.fault("D04")
def test_d04_without_a_settle_time_the_judge_sees_the_double_of_a_late_post(unjudged_world: World) -> None:
    world = unjudged_world
    start(world, "strong", settle=timedelta(0))
    world.network.script("strong", Call.PUBLISH, LATE)
    show(world, "one")
    world.until_quiet()
    world.clock.move(minutes=10)
    assert world.network.doubles() == {("strong", News(name="one", published=None).link)}


@pytest.mark.fault("D12")
def test_d12_a_process_that_slept_in_mid_send_is_stopped_before_the_first_byte(world: World) -> None:
    start(world, "blind")
    world.edge = lambda name: world.clock.move(minutes=10) if name == "publish: before" else None
    show(world, "one")
    world.run()
    assert (state_of(world, "one", "blind"), publishes(world, "blind")) == (State.READY, 0)
    world.edge = None
    world.until_quiet()
    assert world.posted("blind") == ["zero", "one"]


# --- blind networks --------------------------------------------------------------------------------------------------

#: Policy, what became of the call, state in the end, calls, posts.
POLICIES = {
    "review-made": (OnUnknown.REVIEW, MADE, State.NEEDS_REVIEW, 1, 1),
    "review-lost": (OnUnknown.REVIEW, LOST, State.NEEDS_REVIEW, 1, 0),
    "drop-made": (OnUnknown.DROP, MADE, State.CANCELLED, 1, 1),
    "drop-lost": (OnUnknown.DROP, LOST, State.CANCELLED, 1, 0),
    "resend-lost": (OnUnknown.RESEND, LOST, State.POSTED, 2, 1),
}


@pytest.mark.fault("D10")
@pytest.mark.parametrize(("policy", "step", "last", "calls", "seen"), POLICIES.values(), ids=POLICIES)
def test_d10_on_a_blind_network_the_accounts_written_policy_decides(
    world: World, policy: OnUnknown, step: Step, last: State, calls: int, seen: int
) -> None:
    start(world, "blind", on_unknown=policy)
    world.network.script("blind", Call.PUBLISH, step)
    show(world, "one")
    world.until_quiet()
    row = world.delivery("one", "blind")
    assert (row.state, publishes(world, "blind"), world.posted("blind").count("one")) == (last, calls, seen)
    assert row.state is State.POSTED or "503" in (row.reason or "")


@pytest.mark.fault("D10")
def test_d10_the_policy_resend_makes_one_double_at_most_and_it_is_marked(world: World) -> None:
    start(world, "blind", on_unknown=OnUnknown.RESEND)
    world.network.script("blind", Call.PUBLISH, MADE, MADE, MADE)
    show(world, "one")
    world.until_quiet()
    assert world.posted("blind").count("one") == 2
    assert [attempt.resend for attempt in world.attempts("one", "blind")] == [False, True]
    assert state_of(world, "one", "blind") is State.NEEDS_REVIEW


# --- definite outcomes -----------------------------------------------------------------------------------------------


@pytest.mark.fault("D01")
@pytest.mark.parametrize("platform", EVERY)
def test_d01_what_was_not_sent_waits_30_seconds_doubling_to_an_hour_and_goes_once(world: World, platform: str) -> None:
    start(world, platform)
    world.network.unplug(platform)
    show(world, "one")
    waits = []
    for _ in range(9):
        world.run()
        standing = world.standing(platform)
        assert standing.not_before is not None
        assert state_of(world, "one", platform) is State.READY
        waits.append((standing.not_before - world.clock()).total_seconds())
        world.clock.move_to(standing.not_before)
    expected = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert all(base <= wait <= base * 1.1 for base, wait in zip(expected, waits, strict=True))
    assert {attempt.outcome for attempt in world.attempts("one", platform)} == {Evidence.NOT_SENT}
    world.network.plug(platform)
    world.until_quiet()
    assert world.posted(platform) == ["zero", "one"]
    assert publishes(world, platform) == 1


@pytest.mark.fault("D13")
def test_d13_a_rate_limit_is_waited_for_and_is_no_failure(world: World) -> None:
    start(world, "strong", "blind")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.LIMITED, wait=40 * MINUTE))
    show(world, "one", "two")
    world.run()
    limited = world.clock()
    assert world.posted("blind") == ["zero", "one", "two"]
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.READY, 1)
    standing = world.standing("strong")
    assert (standing.not_before, standing.failures) == (limited + 40 * MINUTE, 0)
    world.clock.move_to(limited + 40 * MINUTE - timedelta(seconds=1))
    world.run()
    assert publishes(world, "strong") == 1
    world.clock.move(seconds=1)
    world.run()
    assert world.posted("strong") == ["zero", "one", "two"]
    assert not any(attempt.counted for attempt in world.attempts("one", "strong")[:1])


UNAUTHORIZED = {"401": Say.UNAUTHORIZED, "suspended": Say.SUSPENDED}


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
@pytest.mark.parametrize("say", UNAUTHORIZED.values(), ids=UNAUTHORIZED)
def test_d14_d16_a_dead_token_blocks_the_account_and_new_credentials_free_it(world: World, say: Say) -> None:
    start(world, "strong", "blind")
    world.network.script("strong", Call.PUBLISH, Step(say=say))
    show(world, "one", "two")
    journal = world.run()
    assert journal.troubles["strong"].failed
    assert world.standing("strong").state is AccountState.AUTH_BLOCKED
    assert [state_of(world, name, "strong") for name in ("one", "two")] == [State.READY, State.READY]
    assert world.posted("blind") == ["zero", "one", "two"]
    world.clock.move(days=3)
    world.network.change_token("strong", "new")
    world.tokens["strong"] = "new"
    world.run()
    assert world.standing("strong").state is AccountState.ACTIVE
    assert world.posted("strong") == ["zero", "one", "two"]


@pytest.mark.fault("D16")
def test_d16_a_blocked_account_is_tried_again_after_15_minutes_an_hour_6_hours_and_then_daily(world: World) -> None:
    start(world, "strong")
    world.network.change_token("strong", "other")
    show(world, "one")
    world.run()
    for wait in (15 * MINUTE, 45 * MINUTE, 5 * HOUR, DAY, DAY):
        asked = len(world.network.calls("strong", Call.WHOAMI))
        tried = world.clock()
        world.clock.move_to(tried + wait - timedelta(seconds=1))
        world.run()
        assert len(world.network.calls("strong", Call.WHOAMI)) == asked
        world.clock.move_to(tried + wait)
        world.run()
        assert len(world.network.calls("strong", Call.WHOAMI)) == asked + 1
    world.network.change_token("strong", "good")
    world.clock.move(days=1)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.fault("D16")
def test_d16_nothing_becomes_stale_or_lost_while_an_account_is_blocked_and_the_burst_rule_paces_its_return(
    world: World,
) -> None:
    start(world, "strong")
    world.network.change_token("strong", "other")
    show(world, *[f"n{number:02}" for number in range(14)])
    world.run()
    world.clock.move(days=3)
    world.tokens["strong"] = "other"
    world.run()
    assert world.posted("strong") == ["zero", *[f"n{number:02}" for number in range(4, 14)]]
    held = [row for row in world.deliveries() if row.state is State.HELD]
    assert {row.reason for row in held} == {"burst"}
    assert len(held) == 4


def test_a_missing_secret_blocks_its_account_with_the_reason_while_the_others_run(world: World) -> None:
    start(world, "strong", "blind")
    world.tokens["strong"] = ""
    show(world, "one")
    world.run()
    assert world.standing("strong").state is AccountState.AUTH_BLOCKED
    assert world.standing("strong").reason == "env:TOKEN is not set"
    assert world.posted("blind") == ["zero", "one"]
    world.tokens["strong"] = "good"
    world.clock.move(hours=1)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.fault("O03")
def test_o03_a_secret_that_is_there_again_frees_its_account_at_once(world: World) -> None:
    start(world, "strong")
    world.tokens["strong"] = ""
    show(world, "one")
    world.run()
    world.tokens["strong"] = "good"
    world.clock.move(minutes=1)
    world.run()
    assert (world.standing("strong").state, world.posted("strong")) == (AccountState.ACTIVE, ["zero", "one"])


@pytest.mark.fault("O03")
def test_o03_a_new_configuration_tells_at_once_of_a_missing_secret_though_nothing_waits(world: World) -> None:
    start(world, "strong", "blind")
    world.tokens["strong"] = ""
    world.add_account("keyed")
    journal = world.run()
    assert {name: trouble.reason for name, trouble in journal.troubles.items()} == {"strong": "env:TOKEN is not set"}
    assert world.standing("strong").state is AccountState.AUTH_BLOCKED


def test_a_paused_account_whose_secret_is_missing_stays_paused(world: World) -> None:
    start(world, "strong")
    world.pause("strong")
    world.tokens["strong"] = ""
    world.change_account("strong", delay=MINUTE)
    world.run()
    assert world.standing("strong").state is AccountState.PAUSED


@pytest.mark.fault("D16")
@pytest.mark.parametrize("token", ["good", "new"], ids=["when-its-probe-is-due", "with-new-credentials"])
def test_d16_a_blocked_account_is_asked_again_though_nothing_waits_for_it(world: World, token: str) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.UNAUTHORIZED))
    show(world, "one")
    world.run()
    world.decide("one", "strong", lambda row: deliveries.cancel(row, "editor", world.clock()))
    world.network.change_token("strong", token)
    world.tokens["strong"] = token
    if token == "good":
        world.clock.move(minutes=14)
        world.run()
        assert world.standing("strong").state is AccountState.AUTH_BLOCKED
    world.clock.move(minutes=1)
    world.run()
    assert world.standing("strong").state is AccountState.ACTIVE


@pytest.mark.fault("D17")
@pytest.mark.parametrize("platform", EVERY)
def test_d17_a_refused_article_is_rejected_with_the_platforms_words_and_the_next_goes_on(
    world: World, platform: str
) -> None:
    start(world, platform)
    world.network.script(platform, Call.PUBLISH, Step(say=Say.REFUSED))
    show(world, "one", "two")
    world.run()
    row = world.delivery("one", platform)
    assert row.state is State.REJECTED
    assert "refused" in (row.reason or "")
    assert world.posted(platform) == ["zero", "two"]
    world.clock.move(minutes=1)
    world.decide("one", platform, lambda one: deliveries.retry(one, "editor", world.clock()))
    world.run()
    assert world.posted(platform) == ["zero", "two", "one"]
    first, second = world.attempts("one", platform)
    assert first.key != second.key


def test_after_an_ambiguous_attempt_a_refusal_is_no_proof(world: World) -> None:
    start(world, "keyed")
    world.network.script("keyed", Call.PUBLISH, MADE, Step(say=Say.REFUSED))
    show(world, "one")
    world.run()
    world.clock.move(minutes=1)
    world.run()
    assert publishes(world, "keyed") == 2
    assert state_of(world, "one", "keyed") is State.VERIFYING
    world.until_quiet()
    assert state_of(world, "one", "keyed") is State.POSTED


@pytest.mark.fault("D21")
def test_d21_each_attempt_is_one_request(world: World) -> None:
    start(world, *EVERY)
    for account in EVERY:
        world.network.script(account, Call.PUBLISH, LOST, Step(say=Say.LIMITED, wait=MINUTE))
    show(world, "one", "two")
    world.until_quiet()
    for account in EVERY:
        attempts = sum(len(world.attempts(name, account)) for name in ("one", "two"))
        assert publishes(world, account) == attempts


# --- AlreadyPosted ---------------------------------------------------------------------------------------------------


@pytest.mark.fault("D07")
def test_d07_a_used_key_with_its_post_is_a_receipt(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.KEY_USED_WITH_ID, creates=AT_ONCE))
    show(world, "one")
    world.run()
    assert state_of(world, "one", "strong") is State.POSTED


@pytest.mark.fault("D07")
def test_d07_a_used_key_without_its_post_is_looked_up_to_learn_the_id(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.KEY_USED, creates=AT_ONCE))
    show(world, "one")
    world.run()
    assert state_of(world, "one", "strong") is State.VERIFYING
    world.until_quiet()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.POSTED, 1)


@pytest.mark.fault("D07")
def test_d07_what_the_platform_says_it_has_and_nobody_finds_goes_to_a_person_never_again_to_the_network(
    world: World,
) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.KEY_USED))
    show(world, "one")
    world.until_quiet()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.NEEDS_REVIEW, 1)
    assert len(world.network.calls("strong", Call.FIND)) == deliveries.MOST_LOOKS


@pytest.mark.fault("D07")
def test_d07_what_a_network_that_cannot_be_read_says_it_has_is_never_sent_again(world: World) -> None:
    start(world, "by_answer")
    world.network.script("by_answer", Call.PUBLISH, Step(say=Say.KEY_USED))
    show(world, "one")
    world.until_quiet()
    assert (state_of(world, "one", "by_answer"), publishes(world, "by_answer")) == (State.NEEDS_REVIEW, 1)


@pytest.mark.fault("D07")
@pytest.mark.parametrize("say", [Say.DUPLICATE, Say.DUPLICATE_WITH_ID])
def test_d07_a_duplicate_after_an_ambiguous_attempt_is_evidence_of_success(world: World, say: Say) -> None:
    start(world, "keyed")
    world.network.script("keyed", Call.PUBLISH, MADE, Step(say=say))
    show(world, "one")
    world.until_quiet()
    row = world.delivery("one", "keyed")
    assert (row.state, publishes(world, "keyed")) == (State.POSTED, 2)
    assert row.receipt is not None
    assert row.receipt.remote_id == world.network.visible("keyed")[-1].id


@pytest.mark.fault("D07")
@pytest.mark.parametrize("say", [Say.DUPLICATE, Say.DUPLICATE_WITH_ID])
def test_d07_a_duplicate_on_a_first_attempt_is_held_as_a_clash_and_the_next_goes_on(world: World, say: Say) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=say))
    show(world, "one", "two")
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason, world.posted("strong")) == (State.HELD, "clash", ["zero", "two"])


# --- pictures and staging --------------------------------------------------------------------------------------------


@pytest.fixture
def pictured(world: World, site: FeedSite) -> World:
    """An account that takes pictures, and an article `one` with a picture."""
    content = io.BytesIO()
    Image.new("RGB", (160, 120), "teal").save(content, "PNG")
    site.script("/one.png", Answer(body=content.getvalue(), headers={"Content-Type": "image/png"}))
    start(world, "pictured")
    world.show_more(world.news("one", picture=site.url("/one.png")))
    return world


def picture_of(world: World, name: str) -> str | None:
    return next(post.picture for post in world.network.visible("pictured") if post.link.endswith(f"/{name}/"))


def test_the_picture_is_uploaded_before_the_post(pictured: World) -> None:
    pictured.run()
    assert str(picture_of(pictured, "one")).startswith("upload-")
    calls = [asked.call for asked in pictured.network.asked][-2:]
    assert calls == [Call.STAGE, Call.PUBLISH]


@pytest.mark.fault("D17")
def test_d17_a_refused_picture_goes_again_without_it_under_another_key(pictured: World) -> None:
    pictured.network.script("pictured", Call.PUBLISH, Step(say=Say.PICTURE_REFUSED))
    pictured.run()
    assert picture_of(pictured, "one") is None
    first, second = pictured.attempts("one", "pictured")
    assert (first.outcome, second.outcome) == (Evidence.REFUSED, Evidence.POSTED)
    assert first.key != second.key


def test_a_picture_refused_after_an_ambiguous_attempt_is_no_proof(pictured: World) -> None:
    pictured.network.script("pictured", Call.PUBLISH, MADE, Step(say=Say.PICTURE_REFUSED))
    pictured.until_quiet()
    assert (state_of(pictured, "one", "pictured"), publishes(pictured, "pictured")) == (State.POSTED, 1)


@pytest.mark.fault("D19")
def test_d19_after_three_failed_uploads_the_post_goes_without_the_picture(pictured: World) -> None:
    pictured.network.script("pictured", Call.STAGE, *[LOST] * 3)
    pictured.until_quiet()
    assert picture_of(pictured, "one") is None
    assert len(pictured.network.calls("pictured", Call.STAGE)) == 3
    assert publishes(pictured, "pictured") == 1


@pytest.mark.fault("D19")
def test_d19_after_three_failed_uploads_the_next_picture_is_taken(pictured: World, site: FeedSite) -> None:
    content = io.BytesIO()
    Image.new("RGB", (120, 160), "orange").save(content, "PNG")
    site.script("/two.png", Answer(body=content.getvalue(), headers={"Content-Type": "image/png"}))
    pictured.run()
    both = pictured.news("two", picture=site.url("/one.png"))
    pictured.show_more(replace(both, second_picture=site.url("/two.png")))
    uploads = len(pictured.network.calls("pictured", Call.STAGE))
    pictured.network.script("pictured", Call.STAGE, *[LOST] * 3)
    pictured.until_quiet()
    assert str(picture_of(pictured, "two")).startswith("upload-")
    assert len(pictured.network.calls("pictured", Call.STAGE)) == uploads + 4
    assert [asked.target for asked in site.asked].count("/two.png") == 1


@pytest.mark.fault("D19")
def test_d19_an_upload_still_in_work_is_asked_for_again_at_its_time_and_blocks_nobody(pictured: World) -> None:
    pictured.network.script("pictured", Call.STAGE, Step(say=Say.IN_WORK, wait=2 * MINUTE))
    show(pictured, "two")
    pictured.run()
    row = pictured.delivery("one", "pictured")
    assert (row.state, row.due) == (State.READY, pictured.clock() + 2 * MINUTE)
    assert row.stage is not None
    assert pictured.posted("pictured") == ["zero", "two"]
    pictured.clock.move(minutes=2)
    pictured.run()
    assert str(picture_of(pictured, "one")).startswith("upload-")


@pytest.mark.fault("D19")
def test_d19_an_upload_in_work_without_a_time_is_asked_for_once_a_run(pictured: World) -> None:
    pictured.network.script("pictured", Call.STAGE, *[Step(say=Say.IN_WORK, wait=timedelta(0))] * 20)
    pictured.run()
    assert len(pictured.network.calls("pictured", Call.STAGE)) == 1
    assert pictured.delivery("one", "pictured").due == pictured.clock() + timedelta(seconds=1)
    pictured.network.script("pictured", Call.STAGE)
    pictured.until_quiet()
    assert str(picture_of(pictured, "one")).startswith("upload-")


@pytest.mark.fault("D19")
def test_d19_an_upload_that_never_ends_is_given_up_after_half_an_hour(pictured: World) -> None:
    pictured.network.script("pictured", Call.STAGE, *[Step(say=Say.IN_WORK, wait=5 * MINUTE)] * 20)
    begun = pictured.clock()
    pictured.until_quiet()
    assert picture_of(pictured, "one") is None
    assert pictured.network.visible("pictured")[-1].at == begun + 30 * MINUTE


@pytest.mark.parametrize("say", [Say.UNAUTHORIZED, Say.LIMITED, Say.PICTURE_REFUSED])
def test_a_definite_answer_while_staging_means_what_it_means_while_publishing(pictured: World, say: Say) -> None:
    pictured.network.script("pictured", Call.STAGE, Step(say=say, wait=10 * MINUTE))
    pictured.run()
    standing = pictured.standing("pictured")
    match say:
        case Say.UNAUTHORIZED:
            assert standing.state is AccountState.AUTH_BLOCKED
        case Say.LIMITED:
            assert (standing.not_before, standing.failures) == (pictured.clock() + 10 * MINUTE, 0)
        case _:
            assert picture_of(pictured, "one") is None
    pictured.clock.move(minutes=20)
    pictured.until_quiet()
    assert pictured.posted("pictured") == ["zero", "one"]


# --- order, isolation, pace ------------------------------------------------------------------------------------------


def test_the_oldest_goes_first_whatever_the_documents_order(world: World) -> None:
    start(world, "strong")
    one, two, three = (world.news(name, ago=(4 - place) * MINUTE) for place, name in enumerate(("one", "two", "three")))
    world.show(two, three, one)
    world.run()
    assert world.posted("strong") == ["zero", "one", "two", "three"]


def test_what_was_ambiguous_goes_before_older_articles(world: World) -> None:
    start(world, "keyed")
    world.network.script("keyed", Call.PUBLISH, LOST)
    show(world, "two")
    world.run()
    world.show_more(world.news("older", ago=4 * MINUTE))
    world.until_quiet()
    assert world.posted("keyed") == ["zero", "two", "older"]


TROUBLES = {
    "down": None,
    "silent": Step(say=Say.SILENCE),
    "limited": Step(say=Say.LIMITED, wait=HOUR),
    "unauthorized": Step(say=Say.UNAUTHORIZED),
    "broken": Step(say=Say.BROKEN),
    "rejected": Step(say=Say.REFUSED),
}


@pytest.mark.parametrize("step", TROUBLES.values(), ids=TROUBLES)
def test_one_accounts_trouble_never_delays_another(world: World, step: Step | None) -> None:
    start(world, "strong", "blind")
    if step is None:
        world.network.unplug("strong")
    else:
        world.network.script("strong", Call.PUBLISH, step)
    show(world, "one")
    world.run()
    assert world.posted("strong") == ["zero"]
    assert world.posted("blind") == ["zero", "one"]


@pytest.mark.fault("P06")
@pytest.mark.fault("H15")
def test_p06_h15_of_200_waiting_articles_the_newest_ten_go_and_the_rest_is_held_as_one_batch(world: World) -> None:
    start(world, "strong", at_most=(RateWindow(count=12, period=HOUR),))
    world.clock.move(days=3)
    names = [f"n{number:03}" for number in range(200)]
    show(world, *names)
    world.run()
    world.clock.move(minutes=59)
    world.run()
    assert world.posted("strong") == ["zero", *names[190:]]
    held = [row for row in world.deliveries() if row.state is State.HELD]
    assert ({row.reason for row in held}, len(held)) == ({"burst"}, 190)


def test_what_a_person_cancels_while_a_burst_is_held_is_not_told_as_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(world, "strong", burst=2)
    write_all = Store.change_all

    def beside(store: Store, changes: Iterable[tuple[Delivery, Delivery]], **words: Any) -> tuple[Delivery, ...]:
        if words.get("why") == "burst":
            later = world.clock() + timedelta(seconds=1)
            world.decide("a", "strong", lambda row: deliveries.cancel(row, "editor", later))
        return write_all(store, changes, **words)

    monkeypatch.setattr(Store, "change_all", beside)
    show(world, "a", "b", "c", "d")
    journal = world.run()
    assert state_of(world, "a", "strong") is State.CANCELLED
    told = {changed.article.link: changed.delivery.state for changed in journal.changed.values()}
    assert sorted(told.values()) == [State.HELD, State.POSTED, State.POSTED, State.READY]
    assert told[world.article("a").link] is State.READY  # as its poll made it; what the editor did is no news to them
    assert told[world.article("b").link] is State.HELD


def test_a_delivery_costs_no_look_at_all_feeds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    start(world, "pictured")
    calls = []
    read_all = Store.feeds

    def counted(store: Store) -> tuple[Feed, ...]:
        calls.append(store)
        return read_all(store)

    monkeypatch.setattr(Store, "feeds", counted)
    counts = []
    for names in (("a",), ("b", "c", "d", "e", "f")):
        show(world, *names)
        world.run()
        counts.append(len(calls))
        calls.clear()
        world.clock.move(minutes=5)
    assert len(world.posted("pictured")) == 7
    assert counts[0] == counts[1]


def test_what_was_tried_and_waits_again_is_told_as_unchanged(world: World) -> None:
    start(world, "strong")
    world.network.unplug("strong")
    show(world, "one")
    first = world.run()
    assert [(one.was, one.delivery.state) for one in first.changed.values()] == [(None, State.READY)]
    world.clock.move(minutes=5)
    again = world.run()
    assert [(one.was, one.delivery.state) for one in again.changed.values()] == [(State.READY, State.READY)]
    assert len(world.attempts("one", "strong")) == 2
    world.network.plug("strong")
    world.clock.move(minutes=5)
    sent = world.run()
    assert [(one.was, one.delivery.state) for one in sent.changed.values()] == [(State.READY, State.POSTED)]


def test_what_a_person_lets_through_is_exempt_from_burst_and_age_and_paced_by_at_most_alone(world: World) -> None:
    start(world, "strong", at_most=(RateWindow(count=12, period=HOUR),), burst=2)
    names = [f"n{number:02}" for number in range(16)]
    show(world, *names)
    world.run()
    assert world.posted("strong") == ["zero", "n14", "n15"]
    world.clock.move(days=2)
    for name in names[:14]:
        world.decide(name, "strong", lambda row: deliveries.approve(row, "editor", world.clock()))
    world.run()
    assert world.posted("strong")[3:] == names[:12]
    world.clock.move(minutes=59)
    world.run()
    assert len(world.posted("strong")) == 15
    world.clock.move(minutes=1)
    world.run()
    assert world.posted("strong")[3:] == names[:14]


def test_without_burst_and_at_most_everything_goes_at_once(world: World) -> None:
    start(world, "strong", burst=None)
    names = [f"n{number:02}" for number in range(25)]
    show(world, *names)
    world.run()
    assert world.posted("strong") == ["zero", *names]


@pytest.mark.fault("D13")
def test_d13_rate_windows_count_what_made_or_may_have_made_a_post_and_nothing_else(world: World) -> None:
    windows = (RateWindow(count=2, period=HOUR), RateWindow(count=3, period=DAY))
    start(world, "blind", at_most=windows)
    world.clock.move(days=1)
    world.network.script("blind", Call.PUBLISH, Step(say=Say.REFUSED), LOST, Step(say=Say.LIMITED, wait=2 * MINUTE))
    show(world, "refused", "unknown", "one", "two", "three")
    first = world.clock()
    world.run()  # refused and unknown
    world.clock.move(minutes=1)
    world.run()  # limited
    world.clock.move(minutes=2)
    world.run()
    assert world.posted("blind") == ["zero", "one"]
    world.clock.move_to(first + 59 * MINUTE)
    world.run()
    assert world.posted("blind") == ["zero", "one"]
    world.clock.move_to(first + 61 * MINUTE)
    world.run()
    assert world.posted("blind") == ["zero", "one", "two"]
    world.clock.move_to(first + 23 * HOUR)
    world.run()
    assert world.posted("blind") == ["zero", "one", "two"]
    world.clock.move_to(first + 24 * HOUR)
    world.run()
    assert world.posted("blind") == ["zero", "one", "two", "three"]


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_delay_gives_an_editor_time_and_the_corrected_text_is_posted(world: World) -> None:
    start(world, "strong", delay=2 * MINUTE)
    world.until_quiet()
    world.show_more(world.news("one", title="With a typo"))
    world.run()
    assert world.posted("strong") == ["zero"]
    world.clock.move(seconds=90)
    world.show(world.news("one", title="Without a typo"))
    world.run()
    world.clock.move(seconds=30)
    world.run()
    assert world.network.visible("strong")[-1].text.startswith("Without a typo")


@pytest.mark.fault("F25")
def test_f25_an_edit_after_the_post_changes_nothing(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    world.run()
    world.clock.move(minutes=5)
    world.show(world.news("one", title="Edited", ago=5 * MINUTE))
    world.until_quiet()
    assert world.posted("strong") == ["zero", "one"]
    assert "Edited" not in world.network.visible("strong")[-1].text
    assert world.article("one").title == "Edited"


def test_an_article_that_could_not_go_for_a_day_is_held_as_stale(world: World) -> None:
    start(world, "strong")
    world.network.unplug("strong")
    show(world, "one")
    world.run()
    world.network.plug("strong")
    world.clock.move(hours=23, minutes=59)
    show(world, "two")
    world.clock.move(minutes=2)
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason) == (State.HELD, "stale")
    assert world.posted("strong") == ["zero", "two"]


def test_without_max_age_nothing_becomes_stale(world: World) -> None:
    start(world, "strong", max_age=None)
    world.network.unplug("strong")
    show(world, "one")
    world.run()
    world.network.plug("strong")
    world.clock.move(days=30)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


#: When the article is dated (it is shown ten minutes after the start), state, reason.
DATES = {
    "three-days-old": (START - 3 * DAY, State.HELD, "backdated"),
    "23-hours-old": (START - 23 * HOUR, State.POSTED, None),
    "5-hours-ahead": (START + 5 * HOUR, State.POSTED, None),
    "30-days-ahead": (START + 30 * DAY, State.HELD, "future"),
    "year-9999": (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), State.HELD, "future"),
}


@pytest.mark.fault("F27")
@pytest.mark.parametrize(("published", "state", "reason"), DATES.values(), ids=DATES)
def test_f27_a_date_that_is_not_of_now_is_never_silently_dropped(
    world: World, published: datetime, state: State, reason: str | None
) -> None:
    start(world, "strong")
    world.show_more(News(name="one", published=published))
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason) == (state, reason)


@pytest.mark.fault("F27")
def test_f27_what_was_published_while_nobody_looked_is_news(world: World) -> None:
    start(world, "strong")
    world.clock.move(days=4)
    world.show_more(world.news("one", ago=3 * DAY))
    world.run()
    assert world.posted("strong") == ["zero", "one"]


# --- before a late first send ----------------------------------------------------------------------------------------


@pytest.mark.fault("D23")
@pytest.mark.parametrize("platform", ["keyed", "timed", "strong", "lagging"])
def test_d23_a_late_first_send_is_looked_up_and_what_a_person_posted_is_not_posted_again(
    world: World, platform: str
) -> None:
    start(world, platform)
    world.change_account(platform, delay=2 * HOUR)
    show(world, "one", "two")
    world.run()
    world.network.post_by_hand(platform, News(name="one", published=None).link)
    world.clock.move(hours=2)
    world.run()
    row = world.delivery("one", platform)
    assert (row.state, row.reason, row.receipt is not None) == (State.POSTED, "was there already", True)
    assert world.posted(platform) == ["zero", "one", "two"]


def test_a_failed_look_before_the_first_send_leaves_it_waiting(world: World) -> None:
    start(world, "strong")
    world.change_account("strong", delay=2 * HOUR)
    show(world, "one")
    world.run()
    world.clock.move(hours=2)
    world.network.script("strong", Call.FIND, LOST)
    world.run()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.READY, 0)
    world.until_quiet()
    assert world.posted("strong") == ["zero", "one"]


def test_an_early_first_send_is_not_looked_up(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    world.run()
    assert world.network.calls("strong", Call.FIND) == []


@pytest.mark.fault("D23")
def test_d23_a_post_that_a_person_deleted_is_never_sent_again(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    world.run()
    world.delete_by_hand(world.network.visible("strong")[-1])
    world.clock.move(minutes=5)
    world.show(world.news("one", title="Edited"))
    world.until_quiet()
    assert (world.posted("strong"), publishes(world, "strong")) == (["zero"], 1)


@pytest.mark.fault("O07")
def test_o07_credentials_of_another_identity_block_the_account_and_nothing_is_posted_there(world: World) -> None:
    start(world, "strong")
    world.network.change_token("strong", "of-the-test-account")
    world.network.change_owner("strong", "somebody-else")
    world.tokens["strong"] = "of-the-test-account"
    show(world, "one")
    world.run()
    standing = world.standing("strong")
    assert (standing.state, publishes(world, "strong")) == (AccountState.AUTH_BLOCKED, 0)
    assert standing.identity is not None
    assert standing.identity.id == "strong"
    assert "The somebody-else" in (standing.reason or "")
    world.network.change_owner("strong", "strong")
    world.clock.move(hours=1)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


def test_whoami_is_asked_when_the_credentials_changed_and_not_at_every_start(world: World) -> None:
    start(world, "strong")
    for name in ("one", "two"):
        show(world, name)
        world.run()
        world.clock.move(minutes=5)
    assert len(world.network.calls("strong", Call.WHOAMI)) == 1
    world.network.change_token("strong", "new")
    world.tokens["strong"] = "new"
    show(world, "three")
    world.run()
    assert len(world.network.calls("strong", Call.WHOAMI)) == 2


def test_a_network_that_cannot_say_who_is_logged_in_is_waited_for(world: World) -> None:
    world.add_account("strong")
    world.open_site()
    world.network.script("strong", Call.WHOAMI, LOST, Step(say=Say.LIMITED, wait=20 * MINUTE))
    show(world, "one")
    world.run()
    first = world.standing("strong").not_before
    assert first is not None
    assert 30 <= (first - world.clock()).total_seconds() <= 33
    world.clock.move_to(first)
    world.run()
    assert world.standing("strong").not_before == world.clock() + 20 * MINUTE
    assert world.posted("strong") == []
    world.until_quiet()
    assert world.posted("strong") == ["one"]


@pytest.mark.parametrize("token", ["good", "new"], ids=["same-credentials", "new-credentials"])
def test_a_blocked_account_whose_network_cannot_be_asked_waits_before_the_next_try(world: World, token: str) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, Step(say=Say.UNAUTHORIZED))
    show(world, "one")
    world.run()
    world.network.change_token("strong", token)
    world.tokens["strong"] = token
    world.clock.move(minutes=15)
    world.network.script("strong", Call.WHOAMI, Step(say=Say.LIMITED, wait=HOUR))
    world.run()
    asked = len(world.network.calls("strong", Call.WHOAMI))
    world.clock.move(minutes=59)
    journal = world.run()
    assert len(world.network.calls("strong", Call.WHOAMI)) == asked
    assert journal.troubles["strong"].failed
    world.clock.move(minutes=1)
    world.run()
    assert world.posted("strong") == ["zero", "one"]


def test_a_look_that_finds_the_token_dead_blocks_the_account_and_goes_on_with_new_credentials(world: World) -> None:
    start(world, "strong")
    world.network.script("strong", Call.PUBLISH, MADE)
    show(world, "one")
    world.run()
    world.network.change_token("strong", "new")
    world.until_quiet()
    assert world.standing("strong").state is AccountState.AUTH_BLOCKED
    assert state_of(world, "one", "strong") is State.VERIFYING
    world.tokens["strong"] = "new"
    world.clock.move(hours=1)
    world.until_quiet()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.POSTED, 1)


def test_a_paused_account_sends_nothing_and_looks_before_it_sends_what_waited(world: World) -> None:
    start(world, "strong", "blind")
    world.pause("strong")
    show(world, "one", "two")
    world.run()
    world.clock.move(minutes=10)
    world.run()
    assert [state_of(world, name, "strong") for name in ("one", "two")] == [State.READY, State.READY]
    assert (world.posted("strong"), world.posted("blind")) == (["zero"], ["zero", "one", "two"])
    world.network.post_by_hand("strong", News(name="one", published=None).link)
    world.resume("strong")
    world.run()
    assert world.delivery("one", "strong").reason == "was there already"
    assert world.posted("strong") == ["zero", "one", "two"]


# --- routing ---------------------------------------------------------------------------------------------------------


def test_an_edit_before_the_send_is_routed_again_in_both_directions(world: World) -> None:
    start(world, "strong")
    world.change_account("strong", only=Filter(words=("IKN",)), delay=10 * MINUTE)
    world.show_more(world.news("one", title="About roads"))
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason) == (State.CANCELLED, "filtered: only.words")
    world.clock.move(minutes=1)
    world.show(world.news("one", title="About roads in IKN"))
    world.run()
    assert state_of(world, "one", "strong") is State.READY
    world.clock.move(minutes=1)
    world.show(world.news("one", title="About roads elsewhere"))
    world.run()
    assert state_of(world, "one", "strong") is State.CANCELLED
    world.clock.move(minutes=1)
    world.show(world.news("one", title="IKN after all"))
    world.run()
    world.clock.move(minutes=10)
    world.until_quiet()
    assert world.network.visible("strong")[-1].text.startswith("IKN after all")


def test_an_edit_never_cancels_what_may_be_live(world: World) -> None:
    start(world, "keyed")
    world.change_account("keyed", never=Filter(words=("secret",)))
    world.network.script("keyed", Call.PUBLISH, MADE, Step(say=Say.LIMITED, wait=10 * MINUTE))
    show(world, "one")
    world.run()
    world.clock.move(minutes=1)
    world.run()
    assert state_of(world, "one", "keyed") is State.READY
    world.clock.move(minutes=1)
    world.show(world.news("one", title="A secret"))
    world.run()
    assert (state_of(world, "one", "keyed"), world.article("one").title) == (State.READY, "A secret")
    world.until_quiet()
    assert state_of(world, "one", "keyed") is State.POSTED


def test_what_a_rule_stops_is_listed_with_the_rule(world: World) -> None:
    start(world, "strong", "blind")
    world.change_account("strong", never=Filter(categories=("Sport",)))
    world.show_more(world.news("one", categories=("Sport",)))
    world.run()
    row = world.delivery("one", "strong")
    assert (row.state, row.reason) == (State.CANCELLED, "filtered: never.categories: Sport")
    assert world.posted("blind") == ["zero", "one"]


def test_a_filter_added_meanwhile_stops_what_waits_at_its_claim(world: World) -> None:
    start(world, "strong")
    world.change_account("strong", delay=10 * MINUTE)
    show(world, "one")
    world.run()
    world.change_account("strong", never=Filter(matching="(?i)article one"))
    world.clock.move(minutes=10)
    world.run()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.CANCELLED, 0)


@pytest.mark.fault("F22")
def test_f22_an_article_of_two_feeds_is_posted_once(world: World) -> None:
    world.add_feed("second")
    world.open_site("second")
    start(world, "strong")
    news = world.news("one")
    world.show_more(news)
    world.show_more(news, world.news("two", ago=MINUTE), feed="second")
    world.run()
    world.clock.move(minutes=5)
    world.run()
    assert sorted(world.posted("strong")) == ["one", "two", "zero"]
    assert set(world.article("one").feeds) == {"news", "second"}


def test_a_further_feed_that_an_account_reads_routes_the_article_there(world: World) -> None:
    world.add_account("blind", feeds=("second",))
    world.add_feed("second")
    world.open_site("second")
    start(world, "strong")
    show(world, "one")
    world.run()
    assert state_of(world, "one", "blind") is State.CANCELLED
    world.clock.move(minutes=1)
    world.show_more(world.news("one", ago=MINUTE), feed="second")
    world.run()
    assert world.posted("blind") == ["one"]


def test_the_first_poll_of_a_further_feed_routes_nothing_again_and_its_later_polls_do(world: World) -> None:
    world.add_account("blind", feeds=("second",))
    start(world, "strong")
    show(world, "one")
    world.run()
    world.clock.move(minutes=1)
    world.add_feed("second")
    world.show(world.news("one", ago=MINUTE), feed="second")
    world.run()
    assert set(world.article("one").feeds) == {"news", "second"}
    assert (state_of(world, "one", "blind"), world.posted("blind")) == (State.CANCELLED, [])
    show(world, "two")
    world.run()
    world.clock.move(minutes=1)
    world.show_more(world.news("two", ago=MINUTE), feed="second")
    world.run()
    assert world.posted("blind") == ["two"]


def test_what_first_run_chose_is_stopped_by_a_filter_added_meanwhile_and_what_a_person_approved_is_not(
    world: World,
) -> None:
    world.add_account("strong", at_most=(RateWindow(count=1, period=HOUR),), burst=1)
    world.add_feed(first_run=ALL)
    world.show(world.news("two", title="Advert two"), world.news("one", ago=MINUTE))
    world.run()
    world.change_account("strong", never=Filter(words=("advert",)))
    world.clock.move(hours=1)
    world.run()
    assert world.posted("strong") == ["one"]
    row = world.delivery("two", "strong")
    assert (row.state, row.reason) == (State.CANCELLED, "filtered: never.words: advert")
    world.decide("two", "strong", lambda stopped: deliveries.retry(stopped, "editor", world.clock()))
    world.clock.move(minutes=1)
    world.run()
    assert world.posted("strong") == ["one", "two"]


#: Takes hours to find that it does not match.
BOMB = r"(a|aa|aaa)+$"


def test_a_slow_filter_holds_its_own_accounts_deliveries_and_no_other_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "MATCH_TIMEOUT_SECONDS", 0.02)
    start(world, "strong", "blind", "keyed")
    world.change_account("strong", never=Filter(matching=BOMB))
    world.change_account("keyed", never=Filter(matching="advert"))
    slow = f"{'a' * 300}!"
    world.show_more(*(world.news(f"n{number}", summary=slow) for number in range(4)), world.news("fine"))
    journal = world.run()
    assert not any(polled.failed for polled in journal.polled)
    for account in ("blind", "keyed"):
        assert sorted(world.posted(account)) == ["fine", "n0", "n1", "n2", "n3", "zero"]
    assert sorted(world.posted("strong")) == ["fine", "zero"]
    for number in range(4):
        row = world.delivery(f"n{number}", "strong")
        assert row.state is State.HELD
        assert (row.reason or "").startswith("template: never.matching: ")


def test_an_account_added_later_starts_with_the_next_article(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    world.run()
    world.clock.move(minutes=5)
    world.add_account("blind")
    world.show(world.news("one", title="Edited", ago=5 * MINUTE))
    world.run()
    assert world.find_delivery("one", "blind") is None
    world.clock.move(minutes=5)
    show(world, "two")
    world.run()
    assert world.posted("blind") == ["two"]


def test_what_waits_for_an_account_that_is_removed_is_held_and_what_may_be_live_goes_to_a_person(world: World) -> None:
    start(world, "keyed", "strong")
    world.network.script("keyed", Call.PUBLISH, MADE)
    world.change_account("strong", delay=HOUR)
    show(world, "one")
    world.run()
    removed = {name: world.accounts.pop(name) for name in ("keyed", "strong")}
    world.clock.move(minutes=5)
    world.run()
    held = world.delivery("one", "strong")
    assert (held.state, held.reason) == (State.HELD, "account removed")
    unknown = world.delivery("one", "keyed")
    assert (unknown.state, unknown.reason) == (State.NEEDS_REVIEW, "account keyed removed, outcome unknown")
    world.accounts.update(removed)
    world.decide("one", "strong", lambda row: deliveries.approve(row, "editor", world.clock()))
    world.decide("one", "keyed", lambda row: deliveries.resolve(row, Verdict.POSTED, None, "editor", world.clock()))
    world.until_quiet()
    assert world.posted("keyed") == world.posted("strong") == ["zero", "one"]


# --- feeds -----------------------------------------------------------------------------------------------------------

FIRST_RUNS = {
    "none": (FirstRunRule(), []),
    "newest-2": (FirstRunRule(kind=FirstRun.NEWEST, count=2), ["b", "c"]),
    "all": (FirstRunRule(kind=FirstRun.ALL), ["a", "b", "c"]),
    "since": (FirstRunRule(kind=FirstRun.SINCE, since=START - 30 * HOUR), ["b", "c"]),
}


@pytest.mark.fault("F30")
@pytest.mark.parametrize(("rule", "expected"), FIRST_RUNS.values(), ids=FIRST_RUNS)
def test_f30_the_first_poll_lets_through_what_the_operator_chose(
    world: World, rule: FirstRunRule, expected: list[str]
) -> None:
    world.add_account("strong")
    world.add_feed(first_run=rule)
    world.show(*[world.news(name, ago=age * DAY) for name, age in (("c", 0.1), ("b", 1), ("a", 2))])
    journal = world.run()
    assert world.posted("strong") == expected
    assert (journal.polled[0].status, journal.polled[0].new) == ("first poll", len(expected))
    world.clock.move(minutes=5)
    show(world, "d")
    world.run()
    assert world.posted("strong") == [*expected, "d"]


@pytest.mark.fault("O04")
def test_o04_a_renamed_feed_keeps_its_history(world: World) -> None:
    start(world, "strong")
    settings = world.feeds.pop("news")
    world.feeds["renamed"] = replace(settings, name="renamed")
    world.run()
    assert world.posted("strong") == ["zero"]
    show(world, "one")
    world.run()
    assert world.posted("strong") == ["zero", "one"]
    assert world.feed("renamed").baseline_at == START


@pytest.mark.fault("O04")
def test_o04_a_changed_address_that_shows_what_is_known_goes_on_and_only_news_is_posted(world: World) -> None:
    start(world, "strong")
    zero = world.news("zero", ago=5 * MINUTE)
    world.show(zero, world.news("one"), feed="moved")
    world.feeds["news"] = replace(world.feeds["news"], url=world.file("moved").as_uri())
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.fault("O04")
def test_o04_a_changed_address_that_shows_nothing_known_is_a_first_poll_and_told(world: World) -> None:
    start(world, "strong")
    world.show(*[world.news(f"old-{number}", ago=number * HOUR) for number in range(3)], feed="other")
    world.feeds["news"] = replace(world.feeds["news"], url=world.file("other").as_uri())
    journal = world.run()
    assert world.posted("strong") == ["zero"]
    assert "it counts as a new feed" in (journal.polled[0].reason or "")
    world.clock.move(minutes=5)
    world.show(world.news("one"), feed="other")
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.fault("O04")
def test_o04_what_came_out_since_the_failed_first_try_of_a_changed_address_is_news(world: World) -> None:
    start(world, "strong")
    world.feeds["news"] = replace(world.feeds["news"], url=world.file("moved").as_uri())
    assert world.run().polled[0].failed
    world.clock.move(hours=1)
    world.show(world.news("fresh", ago=10 * MINUTE), world.news("old", ago=30 * HOUR), feed="moved")
    world.run()
    assert world.posted("strong") == ["zero", "fresh"]
    assert world.article("old").baseline


def test_one_feeds_failure_never_delays_another(world: World) -> None:
    world.add_feed("second")
    world.open_site("second")
    start(world, "strong")
    world.file("second").unlink()
    show(world, "one")
    journal = world.run()
    assert {polled.feed: polled.failed for polled in journal.polled} == {"second": True, "news": False}
    assert world.posted("strong") == ["zero", "one"]


def test_what_came_out_between_a_failed_first_try_and_the_first_poll_is_news(world: World) -> None:
    world.add_account("strong")
    world.add_feed()
    assert world.run().polled[0].failed
    world.clock.move(hours=1)
    world.show(world.news("between", ago=30 * MINUTE), world.news("before", ago=2 * HOUR))
    world.run()
    assert world.posted("strong") == ["between"]


BAD_DOCUMENTS = {
    "maintenance-page": b"<!doctype html><html><head><title>Back soon</title></head><body>Maintenance</body></html>",
    "empty-channel": document([]),
    "nothing": b"",
}


@pytest.mark.fault("F11")
@pytest.mark.parametrize("body", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_f11_an_outage_forgets_nothing_and_hides_nothing(world: World, body: bytes) -> None:
    start(world, "strong")
    old = [world.news(f"old-{number}", ago=timedelta(minutes=4, seconds=-number)) for number in range(9)]
    world.show(*old)
    world.run()
    before = world.posted("strong")
    for _ in range(3):
        world.clock.move(minutes=5)
        world.file("news").write_bytes(body)
        world.run()
    world.show(*old, world.news("during", ago=7 * MINUTE))
    world.run()
    assert world.posted("strong") == [*before, "during"]


def site_news(site: FeedSite, world: World, *names: str) -> list[News]:
    return [world.news(name, site=site.url("")) for name in names]


def serve(site: FeedSite, world: World, *names: str, etag: str | None = None) -> None:
    """The site's feed shows these articles, and their pages are there."""
    news = site_news(site, world, *names)
    headers = {"ETag": etag} if etag else {}
    site.script("/feed/", Answer(body=document(news, site=site.url("")), headers=headers))
    for name in names:
        site.script(f"/{name}/", Answer(body=b"the page"))


@pytest.mark.fault("F01")
@pytest.mark.fault("F03")
def test_f01_f03_validators_are_stored_with_the_articles_and_sent_at_the_second_poll(
    world: World, site: FeedSite
) -> None:
    world.add_account("strong")
    world.add_feed(url=site.url("/feed/"))
    serve(site, world, "old", etag='"1"')
    world.run()
    assert world.feed().validators == Validators(etag='"1"')
    site.script("/feed/", Answer(status=304))
    world.clock.move(minutes=5)
    journal = world.run()
    assert site.asked[-1].headers["If-None-Match"] == '"1"'
    assert journal.polled[0].status == "not modified"
    serve(site, world, "old", "one", etag='"2"')
    world.clock.move(minutes=5)
    world.run()
    assert site.asked[-1].headers["If-None-Match"] == '"1"'
    assert world.posted("strong") == ["one"]
    assert world.feed().validators == Validators(etag='"2"')


@pytest.mark.fault("F11")
def test_f11_a_failing_feed_keeps_its_validators_and_an_empty_one_drops_them(world: World, site: FeedSite) -> None:
    world.add_account("strong")
    world.add_feed(url=site.url("/feed/"))
    serve(site, world, "old", etag='"1"')
    world.run()
    site.script("/feed/", Answer(body=BAD_DOCUMENTS["maintenance-page"], headers={"ETag": '"oops"'}))
    world.clock.move(minutes=5)
    assert world.run().polled[0].failed
    assert world.feed().validators == Validators(etag='"1"')
    site.script("/feed/", Answer(body=document([]), headers={"ETag": '"empty"'}))
    world.clock.move(minutes=5)
    world.run()
    assert world.feed().validators == Validators()
    serve(site, world, "old", "one", etag='"2"')
    world.clock.move(minutes=5)
    world.run()
    assert world.posted("strong") == ["one"]


@pytest.mark.fault("F05")
def test_f05_a_site_that_says_when_is_not_asked_before_by_any_feed_of_its_host(world: World, site: FeedSite) -> None:
    world.add_feed("first", url=site.url("/first/"))
    world.add_feed("second", url=site.url("/second/"))
    site.script("/first/", Answer(status=429, headers={"Retry-After": "3600"}))
    site.script("/second/", Answer(status=429, headers={"Retry-After": "3600"}))
    world.run()
    asked = len(site.asked)
    world.clock.move(minutes=59)
    assert {polled.status for polled in world.run().polled} == {"waiting"}
    assert len(site.asked) == asked
    world.clock.move(minutes=1)
    world.run()
    assert len(site.asked) > asked


@pytest.mark.fault("F05")
def test_f05_after_a_limit_no_other_feed_of_the_host_is_asked_in_the_same_round(world: World, site: FeedSite) -> None:
    world.threads = 1
    for number in range(5):
        world.add_feed(f"f{number}", url=site.url(f"/f{number}/"))
        site.script(f"/f{number}/", Answer(status=429, headers={"Retry-After": "3600"}))
    polled = world.run().polled
    assert [asked.target for asked in site.asked] == ["/f0/"]
    assert [one.status for one in polled] == ["failed", *["waiting"] * 4]


def dead_link(world: World, site: FeedSite, *accounts: str) -> None:
    """An article `one` is HELD on these accounts since its page was not there when it was to be posted."""
    for account in accounts:
        world.add_account("strong", account, delay=5 * MINUTE)
    world.add_feed(url=site.url("/feed/"))
    serve(site, world, "old")
    world.run()
    world.clock.move(minutes=5)
    serve(site, world, "old", "one", etag='"1"')
    world.run()
    site.script("/one/", Answer(status=404))
    world.clock.move(minutes=5)
    world.run()
    for account in accounts:
        row = world.delivery("one", account, site=site.url(""))
        assert (row.state, row.reason) == (State.HELD, "dead link")


def asked_for(site: FeedSite, target: str) -> int:
    return sum(asked.target == target for asked in site.asked)


@pytest.mark.fault("F25")
def test_f25_a_dead_link_is_asked_once_in_a_round_whatever_the_accounts(world: World, site: FeedSite) -> None:
    dead_link(world, site, "a", "b", "c")
    assert asked_for(site, "/one/") == 1
    world.clock.move(minutes=5)
    world.run()
    assert asked_for(site, "/one/") == 2


@pytest.mark.fault("F25")
def test_f25_a_dead_link_that_answers_again_goes_though_the_feed_did_not_change(world: World, site: FeedSite) -> None:
    dead_link(world, site, "a", "b")
    serve(site, world, "one")
    site.script("/feed/", Answer(status=304))
    world.clock.move(minutes=5)
    assert world.run().polled[0].status == "not modified"
    assert (world.posted("a"), world.posted("b")) == (["one"], ["one"])


@pytest.mark.fault("F25")
def test_f25_a_dead_link_that_the_feed_no_longer_shows_stays_held(world: World, site: FeedSite) -> None:
    dead_link(world, site, "a")
    serve(site, world, "one")
    serve(site, world, "old")
    asked = asked_for(site, "/one/")
    for _ in range(2):
        world.clock.move(minutes=5)
        world.run()
    row = world.delivery("one", "a", site=site.url(""))
    assert (row.state, row.reason) == (State.HELD, "dead link: the feed no longer shows it")
    assert (asked_for(site, "/one/"), world.posted("a")) == (asked, [])


@pytest.mark.fault("F25")
def test_f25_a_dead_link_that_the_feed_shows_unchanged_below_news_goes_when_it_answers(
    world: World, site: FeedSite
) -> None:
    dead_link(world, site, "a")
    published = world.article("one", site=site.url("")).stated
    assert published is not None
    same = [replace(news, published=published) for news in site_news(site, world, "old", "one")]
    assert len(world.feed().item_digests) == 8 * 3, "both could be cut out"
    world.clock.move(minutes=5)
    site.script("/feed/", Answer(body=document([*site_news(site, world, "two"), *same], site=site.url(""))))
    site.script("/one/", Answer(body=b"the page"))
    world.run()
    assert world.posted("a") == ["one"]


@pytest.mark.fault("F07")
def test_f07_a_permanent_move_is_learnt_though_all_that_is_read_is_news(world: World, site: FeedSite) -> None:
    start(world, "strong")
    world.add_feed(url=site.url("/feed/"))
    site.script("/feed/", Answer(status=301, headers={"Location": "/moved/"}))
    news: list[News] = []
    for name in ("a", "b", "c", "d", "e"):
        news.insert(0, *site_news(site, world, name))
        site.script("/moved/", Answer(body=document(news, site=site.url(""))))
        world.run()
        world.clock.move(hours=13)
    assert world.feed().learnt_url == site.url("/moved/")


@pytest.mark.fault("F25")
@pytest.mark.parametrize("status", [404, 410])
def test_f25_a_dead_link_is_held_and_goes_when_it_answers_again(world: World, site: FeedSite, status: int) -> None:
    world.add_account("strong", delay=5 * MINUTE)
    world.add_feed(url=site.url("/feed/"))
    serve(site, world, "old")
    world.run()
    world.clock.move(minutes=5)
    serve(site, world, "old", "one")
    world.run()
    site.script("/one/", Answer(status=status))
    world.clock.move(minutes=5)
    world.run()
    row = world.delivery("one", "strong", site=site.url(""))
    assert (row.state, row.reason, world.posted("strong")) == (State.HELD, "dead link", [])
    serve(site, world, "old", "one", "two")
    world.clock.move(minutes=5)
    world.run()
    assert "one" in world.posted("strong")


@pytest.mark.fault("F25")
def test_f25_a_page_that_cannot_be_asked_is_no_dead_link(world: World, site: FeedSite) -> None:
    world.add_account("strong", delay=5 * MINUTE)
    world.add_feed(url=site.url("/feed/"))
    serve(site, world, "old")
    world.run()
    world.clock.move(minutes=5)
    serve(site, world, "old", "one")
    site.script("/one/", Answer(status=503))
    world.run()
    world.clock.move(minutes=5)
    world.run()
    assert world.posted("strong") == ["one"]


@pytest.mark.fault("O08")
def test_o08_a_template_that_fails_holds_its_own_account_alone(world: World) -> None:
    start(world, "strong", "blind")
    world.change_account("strong", template="{{ title }} {{ 1 / 0 }}")
    show(world, "one")
    world.run()
    row = world.delivery("one", "strong")
    assert row.state is State.HELD
    assert (row.reason or "").startswith("template: ")
    assert world.posted("blind") == ["zero", "one"]
    world.change_account("strong", template="{{ title }} {{ link }}")
    world.decide("one", "strong", lambda held: deliveries.approve(held, "editor", world.clock()))
    world.run()
    assert world.posted("strong") == ["zero", "one"]


class OutOfOrder(Exception):
    """A bug: what nobody expected."""


def fail_on_bad(text: str) -> int:
    if "bad" in text:
        raise OutOfOrder
    return characters(text)


class Odd(Strong):
    """Its way to count fails on some texts."""

    limits = TextLimits(length=300, count=fail_on_bad)


def fail_once(place: str, error: Exception) -> Edge:
    """An edge that fails the first time that a call comes to this place."""
    left = [error]

    def edge(name: str) -> None:
        if name == place and left:
            raise left.pop()

    return edge


@pytest.mark.fault("O08")
def test_o08_an_article_on_which_composing_fails_is_held_and_the_next_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, "odd", Odd)
    start(world, "odd")
    show(world, "bad", "one")
    world.run()
    row = world.delivery("bad", "odd")
    assert (row.state, row.reason) == (State.HELD, "template: the program failed on it (OutOfOrder)")
    assert world.posted("odd") == ["zero", "one"]


@pytest.mark.fault("P09")
@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError(), ImportError("x")])
def test_p09_a_machine_that_runs_short_holds_nothing_and_goes_on_by_itself(pictured: World, error: Exception) -> None:
    pictured.edge = fail_once("stage: before", error)
    pictured.run()
    assert state_of(pictured, "one", "pictured") is State.READY
    assert pictured.standing("pictured").not_before is not None
    pictured.run()
    assert pictured.posted("pictured") == ["zero"]
    pictured.clock.move(minutes=1)
    pictured.run()
    assert pictured.posted("pictured") == ["zero", "one"]


@pytest.mark.fault("O08")
def test_o08_an_article_on_which_staging_fails_is_held_and_the_next_go_on(pictured: World) -> None:
    show(pictured, "two")
    pictured.edge = fail_once("stage: before", OutOfOrder())
    pictured.run()
    row = pictured.delivery("one", "pictured")
    assert (row.state, row.reason) == (State.HELD, "template: the program failed on it (OutOfOrder)")
    assert pictured.posted("pictured") == ["zero", "two"]
    pictured.decide("one", "pictured", lambda held: deliveries.approve(held, "editor", pictured.clock()))
    pictured.run()
    assert pictured.posted("pictured") == ["zero", "two", "one"]


@pytest.mark.fault("O08")
def test_o08_a_picture_that_cannot_be_kept_sinks_no_post(pictured: World) -> None:
    kept = pictured.folder / "autopublish.db.d" / "pictures"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("a file where the folder should be")
    show(pictured, "two")
    pictured.run()
    assert pictured.posted("pictured") == ["zero", "two", "one"]
    assert picture_of(pictured, "one") is None


ENDS = {"store": StoreError("the disk is full"), "configuration": ConfigError(Problem(file="a.yaml", message="gone"))}


@pytest.mark.parametrize("error", ENDS.values(), ids=ENDS)
def test_a_store_or_a_configuration_that_fails_ends_the_run_and_holds_nothing(
    pictured: World, error: Exception
) -> None:
    pictured.edge = fail_once("stage: before", error)
    with pytest.raises(type(error)):
        pictured.run()
    assert state_of(pictured, "one", "pictured") is State.READY
    pictured.run()
    assert pictured.posted("pictured") == ["zero", "one"]


CANARY = "Bearer s3cr3t-canary"


@pytest.mark.fault("H09")
@pytest.mark.parametrize("place", ["whoami", "stage", "publish", "find"])
def test_h09_the_text_of_an_unexpected_exception_is_neither_told_nor_logged_nor_kept(
    pictured: World, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    if place == "whoami":
        pictured.network.change_token("pictured", "new")
        pictured.tokens["pictured"] = "new"
    if place == "find":
        pictured.network.script("pictured", Call.PUBLISH, MADE)
        pictured.run()
        pictured.clock.move(minutes=15)
    pictured.edge = fail_once(f"{place}: before", ValueError(CANARY))
    journal = pictured.run()
    assert "ValueError" in caplog.text
    told = repr(journal)
    with pictured.store() as store:
        row = pictured.delivery("one", "pictured")
        kept = repr((row, store.events(row.id), store.attempts(row.id), store.standing("pictured")))
    assert CANARY not in caplog.text + told + kept
    pictured.until_quiet()


@pytest.mark.fault("H09")
def test_h09_the_text_of_an_exception_in_a_poll_is_neither_told_nor_logged(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(CANARY)

    start(world, "strong")
    monkeypatch.setattr(_poll, "fetch", fail)
    journal = world.run()
    assert journal.polled[0].failed
    assert "ValueError" in (journal.polled[0].reason or "")
    assert CANARY not in caplog.text + repr(journal)


# --- beside other runs -----------------------------------------------------------------------------------------------


@pytest.mark.fault("O06")
@pytest.mark.fault("D12")
def test_o06_d12_a_second_run_beside_the_first_says_so_and_sends_nothing(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    with world.store() as store, store.only_run(world.clock()):
        asked = len(world.network.asked)
        with pytest.raises(StoreBusy, match="another run is at work"):
            world.run()
        assert len(world.network.asked) == asked
    world.run()
    assert world.posted("strong") == ["zero", "one"]


@pytest.mark.fault("O06")
def test_o06_a_preview_asks_no_network_and_blocks_no_later_send(world: World) -> None:
    start(world, "strong")
    show(world, "one")
    asked = len(world.network.asked)
    with closing(Client(user_agent="bench")) as client:
        shown = posts_of_feed(
            world.feeds["news"],
            tuple(world.accounts.values()),
            describe=lambda account, net: adapter(account.platform, Http(net), address="http://127.0.0.1:9", token=""),
            client=client,
            now=world.clock(),
            most=1,
        )
    assert shown[0].drafts[0].post is not None
    assert len(world.network.asked) == asked
    world.run()
    assert world.network.visible("strong")[-1].text == shown[0].drafts[0].post.text


#: By the real clock; only a broken engine comes near it.
PATIENCE_SECONDS = 20


class Watched(LocalEngine):
    """Tells the test of itself."""

    made: ClassVar[list[LocalEngine]] = []

    def __init__(self, *, threads: int) -> None:
        super().__init__(threads=threads)
        self.made.append(self)


#: Where the interrupt comes; states and outcomes of the attempts of the article that was being sent.
INTERRUPTS = {
    "before-the-first-byte": ("publish: before", State.READY, [Evidence.NOT_SENT]),
    "after-the-answer": ("publish: answered", State.POSTED, [Evidence.POSTED]),
}


@pytest.mark.parametrize(("place", "state", "outcomes"), INTERRUPTS.values(), ids=INTERRUPTS)
@pytest.mark.parametrize("platforms", [("blind",), ("blind", "strong")], ids=["one-account", "two-accounts"])
def test_an_interrupt_lets_the_call_that_runs_end_and_sends_nothing_more(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    platforms: tuple[str, ...],
    place: str,
    state: State,
    outcomes: list[Evidence],
) -> None:
    start(world, *platforms)
    monkeypatch.setattr(runner, "LocalEngine", Watched)
    moment, begun = Event(), Barrier(len(platforms))

    def interrupt(name: str) -> None:
        if name != place:
            return
        is_first = begun.wait(PATIENCE_SECONDS) == 0
        for number in range(PATIENCE_SECONDS * 1000):
            if Watched.made[-1].is_stopping:
                return
            # Again now and then, as a person would: one that comes while an object is torn down is lost.
            if is_first and number % 1000 == 0:
                signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
            moment.wait(0.001)
        raise AssertionError("nothing stopped")

    world.edge = interrupt
    show(world, "one", "two")
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.edge = None
    for account in platforms:
        assert (state_of(world, "one", account), state_of(world, "two", account)) == (state, State.READY)
        assert [attempt.outcome for attempt in world.attempts("one", account)] == outcomes
        assert world.attempts("two", account) == ()
        assert (world.standing(account).failures, world.standing(account).not_before) == (0, None)
    world.run()
    for account in platforms:
        assert world.posted(account) == ["zero", "one", "two"]


def test_what_a_person_cancels_while_it_waits_is_not_sent(world: World) -> None:
    start(world, "strong")
    world.change_account("strong", delay=10 * MINUTE)
    show(world, "one")
    world.run()
    world.decide("one", "strong", lambda row: deliveries.cancel(row, "editor", world.clock()))
    world.clock.move(minutes=10)
    world.until_quiet()
    assert (state_of(world, "one", "strong"), publishes(world, "strong")) == (State.CANCELLED, 0)


def test_a_bug_in_an_adapter_is_an_unknown_outcome_and_stops_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    start(world, "strong", "blind")

    def fail(name: str) -> None:
        if name == "publish: answered":
            raise ZeroDivisionError

    world.edge = fail
    show(world, "one")
    world.run()
    world.edge = None
    assert state_of(world, "one", "strong") is State.VERIFYING
    assert state_of(world, "one", "blind") is State.NEEDS_REVIEW
    assert "ZeroDivisionError" in caplog.text
    world.until_quiet()
    assert world.posted("strong") == ["zero", "one"]
