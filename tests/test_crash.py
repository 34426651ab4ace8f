"""kill -9 between any two steps: nothing is lost, nothing doubled, whatever the point and whatever the network."""

from __future__ import annotations

import inspect
import io
import os
import random
import shutil
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from autopublish import deliveries
from autopublish.deliveries import Settled
from autopublish.models import Account, Attempt, Delivery, Evidence, Resolution, Standing, State, Validators
from autopublish.store import Store
from tests.bench import child
from tests.bench.adapters import ADAPTERS
from tests.bench.clock import START, Clock
from tests.bench.network import AT_ONCE, Call, Network, Say, Step
from tests.bench.newsroom import document
from tests.bench.world import ALL, World, assert_invariants
from tests.servers.feed_site import Answer, FeedSite

#: An unknown outcome that costs no time: 503, with the post made or not.
LOST = Step(say=Say.FAILED)
MADE = Step(say=Say.FAILED, creates=AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a child lives through until all is quiet."""

    accounts: tuple[str, ...]
    articles: tuple[str, ...] = ("one", "two")
    #: What each network does to its first posts.
    script: tuple[Step, ...] = ()
    #: The accounts on which a missing post may be in review instead.
    may_need_review: tuple[str, ...] = ()


STANDARD = {
    "healthy": Scenario(accounts=("keyed", "pictured"), articles=("one", "two", "three")),
    "blind": Scenario(accounts=("blind",), articles=("one", "two", "three"), may_need_review=("blind",)),
}
FURTHER = {
    "lost-keyed": Scenario(accounts=("keyed",), articles=("one",), script=(LOST,)),
    "lost-timed": Scenario(accounts=("timed",), articles=("one",), script=(LOST,)),
    "made-strong": Scenario(accounts=("strong",), articles=("one",), script=(MADE,)),
    "made-by-answer": Scenario(
        accounts=("by_answer",), articles=("one",), script=(MADE,), may_need_review=("by_answer",)
    ),
    "made-lagging": Scenario(accounts=("lagging",), articles=("one",), script=(MADE,), may_need_review=("lagging",)),
}
SCENARIOS = {**STANDARD, **FURTHER}
#: Ends of the names of points at which store or network have just changed, or are about to.
CHANGED = ("written, not committed", "committed", "publish: first byte", "publish: answered")
#: Verbs of the store that no run of these scenarios writes with, and why a crash there needs no test.
NOT_CROSSED = {
    "keep_note": "the salt of the fingerprints: written once, whole, before anything depends on it",
    "host_told_to_wait": "without it one request comes early, and the host says it again",
    "rule": "a person's decision, not a run's: whole or not at all, and the person who sees no answer repeats it",
    "trust": "a person's decision, as `rule`",
    "add_again": "a person's decision, as `rule`",
    "stop_everything": "a person's decision, as `rule`",
    "stop_category": "a person's decision, as `rule`; killed at each point in tests/test_switch.py",
    "go_category": "a person's decision, as `rule`; killed at each point in tests/test_switch.py",
    "keep_login": "a person's decision, as `rule`",
    "change_kept": "killed between its two writes in tests/test_login.py; what is not written is asked for once more",
    "clear": "whoever finds that it is over finds it again, in the next minute or the next hour",
    "look_for_silence": "as `clear`",
    "keep_told": "told once more: alerts are told at least once",
    "slim": "goes on where it ended",
    "distrust": "begun anew by the next run as long as the marker was not written after it",
    "_count_falls": "what it counts is counted again by the next start, which finds the same words",
    "stop_all": "begun anew by the next start, or by whoever asks the next server",
    "start_some": "begun anew at the end of the next run",
    "set_right": "begun anew at the end of the next run, or before the next send",
    "forget_accepted": "begun anew before the next send",
}


@pytest.fixture(scope="module")
def site() -> Iterator[FeedSite]:
    """A site with a picture."""
    content = io.BytesIO()
    Image.new("RGB", (160, 120), "teal").save(content, "PNG")
    with FeedSite() as one:
        one.script("/one.png", Answer(body=content.getvalue(), headers={"Content-Type": "image/png"}))
        yield one


@dataclass(frozen=True, slots=True)
class Bench:
    """Where scenarios are played, one after the other."""

    folder: Path
    network: Network
    clock: Clock
    picture: str

    def build(self, name: str, scenario: Scenario) -> World:
        """A fresh world at the beginning of the scenario; where there are several articles, two feeds share one."""
        self.network.reset()
        self.clock.move_to(START)
        folder = self.folder / name
        folder.mkdir()
        world = World(folder, self.network, self.clock)
        world.threads = 1  # one order of points, whatever the machine does
        first, *rest = (
            world.news(article, ago=timedelta(minutes=9 - place)) for place, article in enumerate(scenario.articles)
        )
        world.add_feed("a", first_run=ALL)
        world.show(replace(first, picture=self.picture), *rest[:1], feed="a")
        if rest:
            world.add_feed("b", first_run=ALL)
            world.show(*rest, feed="b")
        for account in scenario.accounts:
            world.add_account(account)
            self.network.script(account, Call.PUBLISH, *scenario.script)
        return world

    def points(self, scenario: Scenario) -> list[str]:
        """The points that a run without an accident passes, in order."""
        world = self.build("dry", scenario)
        log = self.folder / "dry.log"
        assert child.end_of(child.start(world.setup(), log)) == 0
        assert judge(world, scenario) == []
        return log.read_text().splitlines()

    def begin(self, world: World, number: int) -> ForkServerProcess:
        """A run that is to die at the point of this number."""
        return child.start(world.setup(), self.folder / "killed.log", die_at=number)

    def kill(self, world: World, number: int) -> int:
        """How a run ends that is to die at the point of this number."""
        return child.end_of(self.begin(world, number))


@pytest.fixture
def bench(folder: Path, network: Network, clock: Clock, site: FeedSite) -> Bench:
    """Where scenarios are played."""
    return Bench(folder, network, clock, site.url("/one.png"))


@pytest.fixture
def second_bench(folder: Path, site: FeedSite) -> Iterator[Bench]:
    """Another one, so that one run can die while what another left is put right."""
    second = folder / "second"
    second.mkdir()
    clock = Clock(second / "clock")
    with Network(clock) as network:
        yield Bench(second, network, clock, site.url("/one.png"))


def judge(world: World, scenario: Scenario) -> list[str]:
    """What is wrong in the end, by what readers see."""
    wrong = []
    for account in scenario.accounts:
        seen = world.posted(account)
        wrong += [f"{name} {seen.count(name)} times on {account}" for name in set(seen) if seen.count(name) > 1]
        for name in set(scenario.articles) - set(seen):
            state = world.delivery(name, account).state
            if account not in scenario.may_need_review or state is not State.NEEDS_REVIEW:
                wrong.append(f"{name} is missing on {account}, and its delivery is {state}")
    return wrong


def killed_at_each(
    benches: tuple[Bench, Bench], scenario: Scenario, points: Sequence[str], numbers: Sequence[int]
) -> list[str]:
    """What is wrong after a death at each of these points and further runs until all is quiet."""
    wrong: list[str] = []

    def put_right(world: World, process: ForkServerProcess, number: int) -> None:
        assert child.end_of(process) == -signal.SIGKILL, f"the child did not die at {points[number]}"
        world.until_quiet()
        assert_invariants(world)
        wrong.extend(f"killed at {number} ({points[number]}): {problem}" for problem in judge(world, scenario))

    dying: deque[tuple[World, ForkServerProcess, int]] = deque()
    for number, bench in zip(numbers, cycle(benches), strict=False):
        world = bench.build(str(number), scenario)
        dying.append((world, bench.begin(world, number), number))
        if len(dying) == len(benches):
            put_right(*dying.popleft())
    while dying:
        put_right(*dying.popleft())
    return wrong


@pytest.mark.fault("D11")
@pytest.mark.parametrize("name", [*STANDARD, *(pytest.param(name, marks=pytest.mark.long) for name in FURTHER)])
def test_d11_killed_at_any_point_nothing_is_lost_and_nothing_doubled(
    bench: Bench, second_bench: Bench, name: str
) -> None:
    scenario = SCENARIOS[name]
    points = bench.points(scenario)
    assert killed_at_each((bench, second_bench), scenario, points, range(len(points))) == []


@pytest.mark.fault("D11")
@pytest.mark.parametrize("name", FURTHER)
def test_d11_killed_where_store_or_network_just_changed_nothing_is_lost_and_nothing_doubled(
    bench: Bench, second_bench: Bench, name: str
) -> None:
    scenario = SCENARIOS[name]
    points = bench.points(scenario)
    # Between two of these neither store nor network changes: what a death leaves is the same.
    telling = [number for number, point in enumerate(points) if point.endswith(CHANGED)]
    assert killed_at_each((bench, second_bench), scenario, points, telling) == []


@pytest.mark.fault("D11")
def test_d11_killed_and_killed_again_nothing_is_lost_and_nothing_doubled(bench: Bench) -> None:
    scenario = SCENARIOS["lost-timed"]
    count = len(bench.points(scenario))
    chance = random.Random(11)
    for turn in range(12):
        first, second = chance.randrange(count), chance.randrange(count // 2)
        world = bench.build(f"again-{turn}", scenario)
        assert bench.kill(world, first) == -signal.SIGKILL
        bench.kill(world, second)
        world.until_quiet()
        assert_invariants(world)
        assert judge(world, scenario) == [], f"killed at {first}, then at {second}"


@pytest.mark.fault("D11")
def test_d11_every_write_of_the_store_and_every_edge_of_the_network_is_such_a_point(bench: Bench) -> None:
    passed: set[str] = set()
    for number, scenario in enumerate(SCENARIOS.values()):
        (bench.folder / str(number)).mkdir()
        passed |= set(replace(bench, folder=bench.folder / str(number)).points(scenario))
    writing = {name for name, verb in vars(Store).items() if inspect.isfunction(verb) and _writes(verb)}
    assert writing - {point.partition(":")[0] for point in passed} == set(NOT_CROSSED)
    edges = {"whoami: before", "stage: answered", "find: before", "find: answered", "publish: first byte"}
    assert edges <= passed


def _writes(verb: object) -> bool:
    return callable(verb) and "_database.write()" in inspect.getsource(verb)


#: platform -> what the open call becomes first, and in the end.
KILLED_AFTER_CREATION = {
    "keyed": (State.VERIFYING, State.POSTED),
    "timed": (State.VERIFYING, State.POSTED),
    "strong": (State.VERIFYING, State.POSTED),
    "lagging": (State.VERIFYING, State.POSTED),
    "by_answer": (State.VERIFYING, State.POSTED),
    "blind": (State.NEEDS_REVIEW, State.NEEDS_REVIEW),
}


def kill_after_creation(bench: Bench, platform: str) -> World:
    """A run dies when the network has made the first post and has not answered yet."""
    world = bench.build(platform, Scenario(accounts=(platform,)))
    started = Event()

    def kill() -> None:
        assert started.wait(child.PATIENCE_SECONDS)
        if process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)

    bench.network.after_publish = kill
    process = child.start(world.setup(), bench.folder / "killed.log")
    started.set()
    assert child.end_of(process) == -signal.SIGKILL
    bench.network.after_publish = lambda: None
    return world


@pytest.mark.fault("D11")
@pytest.mark.parametrize(("platform", "states"), KILLED_AFTER_CREATION.items(), ids=KILLED_AFTER_CREATION)
def test_d11_a_call_that_a_dead_process_left_open_is_looked_up_and_never_taken_for_unsent(
    bench: Bench, platform: str, states: tuple[State, State]
) -> None:
    world = kill_after_creation(bench, platform)
    left = world.delivery("one", platform)
    assert left.state is State.SENDING
    world.until_quiet()
    assert_invariants(world)
    with world.store() as store:
        moves = [event.what for event in store.events(left.id)]
    assert f"SENDING -> {states[0]}" in moves
    assert "SENDING -> READY" not in moves
    assert world.delivery("one", platform).state is states[1]
    assert sorted(world.posted(platform)) == ["one", "two"]


@pytest.mark.fault("D11")
def test_d11_every_way_to_resolve_an_unknown_outcome_is_killed_after_creation() -> None:
    assert set(KILLED_AFTER_CREATION) == set(ADAPTERS) - {"pictured"}  # `pictured` is `strong` with a picture


@pytest.mark.fault("D11")
def test_d11_what_a_dead_process_left_on_an_account_that_was_removed_goes_to_a_person(bench: Bench) -> None:
    world = kill_after_creation(bench, "strong")
    removed = world.accounts.pop("strong")
    world.until_quiet()
    assert world.delivery("one", "strong").state is State.NEEDS_REVIEW
    world.accounts["strong"] = removed
    world.until_quiet()
    assert world.posted("strong") == ["one"]  # the other article is HELD, since its account had gone
    assert_invariants(world)


@pytest.mark.fault("D11")
def test_d11_what_a_dead_process_left_on_an_account_that_moved_to_another_platform_goes_to_a_person(
    bench: Bench,
) -> None:
    world = kill_after_creation(bench, "strong")
    world.change_account("strong", platform="keyed")
    world.until_quiet()
    row = world.delivery("one", "strong")
    [attempt] = world.attempts("one", "strong")
    assert (row.state, row.unclosed, row.frozen) == (State.NEEDS_REVIEW, True, attempt.id)
    assert attempt.outcome is Evidence.UNKNOWN
    given_up = deliveries.cancel(row, "editor", world.clock())
    with pytest.raises(deliveries.NotAllowed, match="it may be live"):
        deliveries.retry(given_up, "editor", world.clock())
    assert world.posted("strong") == ["one"]  # the other article is HELD: it was meant for the old account
    assert_invariants(world)


@pytest.mark.fault("D11")
def test_d11_after_a_crash_the_accounts_wait_counts_from_the_call(bench: Bench) -> None:
    world = kill_after_creation(bench, "blind")
    world.clock.move(seconds=20)
    world.run()
    assert world.posted("blind") == ["one"]
    world.clock.move(seconds=20)
    world.run()
    assert world.posted("blind") == ["one", "two"]


def _as_if_unsent(
    delivery: Delivery,
    attempt: Attempt,
    *,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    """The tempting wrong way: what was not finished is sent again."""
    return Settled(replace(delivery, state=State.READY, changed=now), attempt, standing)


@pytest.mark.fault("D11")
def test_d11_were_an_open_call_taken_for_unsent_the_judge_would_see_the_double(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = kill_after_creation(bench, "blind")
    monkeypatch.setattr(deliveries, "recover_after_crash", _as_if_unsent)
    world.until_quiet()
    assert judge(world, Scenario(accounts=("blind",))) == ["one 2 times on blind"]


@pytest.mark.fault("F03")
@pytest.mark.parametrize("point", ["save_poll: written, not committed", "save_poll: before"])
def test_f03_killed_before_the_articles_are_saved_the_old_validators_are_sent_and_the_articles_appear(
    folder: Path, network: Network, clock: Clock, site: FeedSite, point: str
) -> None:
    world = World(folder, network, clock)
    world.threads = 1
    world.add_account("strong")
    world.add_feed(url=site.url("/feed/"))
    old, one = (world.news(name, ago=timedelta(minutes=9)) for name in ("old", "one"))
    site.script("/feed/", Answer(body=document([old]), headers={"ETag": '"1"'}))
    world.run()
    site.script("/feed/", Answer(body=document([one, old]), headers={"ETag": '"2"'}))
    clock.move(minutes=5)
    log = folder / "dry.log"
    shadow = folder / "shadow"
    shadow.mkdir()
    (shadow / "autopublish.db").write_bytes(world.store_path.read_bytes())
    shutil.copytree(world.store_path.with_name("autopublish.db.d"), shadow / "autopublish.db.d")
    dry = replace(world.setup(), store=shadow / "autopublish.db")
    assert child.end_of(child.start(dry, log)) == 0
    network.open("strong")
    number = log.read_text().splitlines().index(point)
    killed = child.end_of(child.start(world.setup(), folder / "killed.log", die_at=number))
    assert killed == -signal.SIGKILL
    assert world.feed().validators == Validators(etag='"1"')
    world.run()
    assert site.asked[-1].headers["If-None-Match"] == '"1"'
    assert world.posted("strong") == ["one"]
    assert_invariants(world)
