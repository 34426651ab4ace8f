"""kill -9 between any two steps: nothing is lost, nothing doubled, whatever the point and whatever the network."""

from __future__ import annotations

import inspect
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from autopublish.models import State
from autopublish.store import Store
from tests.bench import child
from tests.bench.clock import START, Clock
from tests.bench.network import AT_ONCE, Call, Network, Say, Step
from tests.bench.world import ALL, World, assert_invariants

NAMES = ["one", "two", "three"]
#: An unknown outcome that costs no time: 503, with the post made or not.
LOST = Step(say=Say.FAILED)
MADE = Step(say=Say.FAILED, creates=AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a child lives through until all is quiet."""

    accounts: tuple[str, ...]
    #: What the networks do to the first calls of each account.
    script: tuple[Step, ...] = ()
    call: Call = Call.PUBLISH
    #: The accounts on which a missing post must be in review instead.
    may_need_review: tuple[str, ...] = ()


SCENARIOS = {
    "healthy": Scenario(accounts=("keyed", "strong")),
    "blind": Scenario(accounts=("blind",), may_need_review=("blind",)),
    "unknown-lost": Scenario(accounts=("keyed", "timed"), script=(LOST,)),
    "unknown-made": Scenario(accounts=("strong", "by_answer"), script=(MADE,), may_need_review=("by_answer",)),
    "lagging": Scenario(accounts=("lagging",), script=(MADE,), may_need_review=("lagging",)),
}


def build(folder: Path, network: Network, clock: Clock, scenario: Scenario) -> World:
    """A fresh world at the beginning of the scenario: two feeds that share an article, three articles in all."""
    network.reset()
    clock.move_to(START)
    folder.mkdir()
    world = World(folder, network, clock)
    world.threads = 1  # one order of points, whatever the machine does
    one, two, three = (world.news(name, ago=timedelta(minutes=9 - place)) for place, name in enumerate(NAMES))
    world.add_feed("a", first_run=ALL)
    world.add_feed("b", first_run=ALL)
    world.show(one, two, feed="a")
    world.show(two, three, feed="b")
    for account in scenario.accounts:
        world.add_account(account)
        network.script(account, scenario.call, *scenario.script)
    return world


def judge(world: World, scenario: Scenario) -> list[str]:
    """What is wrong in the end, by what readers see."""
    wrong = []
    for account in scenario.accounts:
        seen = world.posted(account)
        wrong += [f"{name} {seen.count(name)} times on {account}" for name in NAMES if seen.count(name) > 1]
        for name in set(NAMES) - set(seen):
            state = world.delivery(name, account).state
            if account not in scenario.may_need_review or state is not State.NEEDS_REVIEW:
                wrong.append(f"{name} is missing on {account}, and its delivery is {state}")
    return wrong


def points_of(folder: Path, network: Network, clock: Clock, scenario: Scenario) -> list[str]:
    """The points that a run without an accident passes, in order."""
    world = build(folder / "dry", network, clock, scenario)
    log = folder / "dry.log"
    assert child.end_of(child.start(world.setup(), log)) == 0
    assert judge(world, scenario) == []
    return log.read_text().splitlines()


@pytest.mark.fault("D11")
@pytest.mark.fault("F03")
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_d11_f03_killed_at_any_point_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, network: Network, clock: Clock, scenario: Scenario
) -> None:
    wrong = []
    points = points_of(tmp_path, network, clock, scenario)
    print(len(points))
    for number, point in enumerate(points):
        world = build(tmp_path / str(number), network, clock, scenario)
        killed = child.end_of(child.start(world.setup(), tmp_path / f"{number}.log", die_at=number))
        assert killed == -signal.SIGKILL, f"the child did not die at {point}"
        world.until_quiet()
        assert_invariants(world)
        wrong += [f"killed at {number} ({point}): {problem}" for problem in judge(world, scenario)]
    assert wrong == []
