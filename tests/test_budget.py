"""Budgets: what posts cost is summed, and a post that would go beyond the sum waits for its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopublish.alerts import long_wait
from autopublish.cli._common import state_in_words
from autopublish.deliveries import afford
from autopublish.models import NO_MONEY, AlertKind, Budget, Delivery, Standing, State
from tests.bench.world import World
from tests.platforms.test_on_the_line import Line
from tests.platforms.test_x import FAILURES, x_line
from tests.servers.scripted import Fault, Made
from tests.servers.x import FakeX

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: What a post with a link costs.
LINK = 200_000


def dollars(amount: float, period: timedelta = DAY) -> Budget:
    return Budget(microdollars=int(amount * 1_000_000), period=period)


def ago(*hours: float, cost: int = LINK) -> list[tuple[datetime, int]]:
    return [(NOW - HOUR * n, cost) for n in hours]


@pytest.mark.parametrize(
    ("budgets", "paid", "until"),
    [
        pytest.param((), ago(1, 2, 3), None, id="no budget"),
        pytest.param((dollars(0.2),), [], None, id="all of it at once"),
        pytest.param((dollars(0.6),), ago(1, 2), None, id="just enough left"),
        pytest.param((dollars(0.599999),), ago(1, 2), NOW + 22 * HOUR, id="a millionth is lacking"),
        pytest.param((dollars(0.4),), ago(1, 2), NOW + 22 * HOUR, id="the oldest leaves"),
        pytest.param((dollars(0.4),), ago(2, 1), NOW + 22 * HOUR, id="in any order"),
        pytest.param((dollars(0.4),), ago(1, 24), None, id="a day ago is outside"),
        pytest.param((dollars(0.2),), ago(1, 2), NOW + 23 * HOUR, id="both must leave"),
        pytest.param(
            (dollars(0.4),), ago(3, cost=300_000) + ago(5, cost=15_000), NOW + 21 * HOUR, id="only what it takes"
        ),
        pytest.param((dollars(0.4, HOUR), dollars(0.4)), ago(1, 2), NOW + 22 * HOUR, id="the longer of two"),
        pytest.param((dollars(0.1),), [], NOW + DAY, id="never enough"),
        pytest.param((dollars(0.1),), ago(1), NOW + DAY, id="never enough, and something was paid"),
    ],
)
def test_a_post_waits_until_enough_has_left_the_period(
    budgets: tuple[Budget, ...], paid: list[tuple[datetime, int]], until: datetime | None
) -> None:
    assert afford(budgets, paid, LINK, NOW) == until


@given(
    amount=st.integers(1, 50),
    posts=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 20)), max_size=60),
)
def test_no_stretch_of_the_period_costs_more_than_the_budget(amount: int, posts: list[tuple[int, int]]) -> None:
    budget, now, paid = Budget(microdollars=amount, period=HOUR), NOW, list[tuple[datetime, int]]()
    for minutes, price in posts:
        now += timedelta(minutes=minutes)
        if afford((budget,), paid, price, now) is None:
            paid.append((now, price))
    for start, _ in paid:
        assert sum(cost for at, cost in paid if start <= at < start + HOUR) <= amount


@given(
    amount=st.integers(20, 50),
    paid=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=20),
    price=st.integers(1, 20),
)
def test_when_the_wait_is_over_the_money_is_there_and_not_before(
    amount: int, paid: list[tuple[int, int]], price: int
) -> None:
    budget = Budget(microdollars=amount, period=HOUR)
    times = [(NOW - timedelta(minutes=minutes), cost) for minutes, cost in paid]
    until = afford((budget,), times, price, NOW)
    if until is not None:
        assert afford((budget,), times, price, until) is None
        assert afford((budget,), times, price, until - timedelta(seconds=1)) == until


# --- on the line -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FakeX]:
    with FakeX() as one:
        yield one


@pytest.fixture
def line(unjudged_world: World, server: FakeX) -> Line:
    """An account on X that may spend 50 cents a day, so two posts, and that has posted nothing."""
    line = x_line(unjudged_world, server)
    line.world.change_account("x", budgets=(dollars(0.5),), max_age=None)
    return line


def states(line: Line, *names: str) -> list[State]:
    return [line.row(name).state for name in names]


def reason(line: Line) -> str:
    return line.world.standing("x").reason or ""


def test_what_would_go_beyond_the_sum_waits_and_goes_when_it_may(line: Line) -> None:
    first = line.world.clock()
    line.show("one", "two", "three")
    line.world.run()
    assert (states(line, "one", "two", "three"), line.sends()) == ([State.POSTED, State.POSTED, State.READY], 2)
    assert reason(line).startswith(f"{NO_MONEY}the next post costs $0.2, and may go on ")
    line.world.clock.move_to(first + DAY - HOUR)
    line.world.run()
    assert line.sends() == 2
    line.world.until_quiet()
    assert (line.row("three").state, line.seen("three")) == (State.POSTED, 1)
    assert line.world.clock() >= first + DAY
    assert not reason(line)


def test_nothing_is_uploaded_for_a_post_that_waits_for_money(line: Line, server: FakeX) -> None:
    line.world.change_account("x", budgets=(dollars(0.1),))
    line.show("one")
    line.world.run()
    assert reason(line).endswith("is more than it ever allows: raise it")
    assert [call.name for call in server.calls] == ["whoami"]


def test_a_raised_sum_counts_within_an_hour(line: Line) -> None:
    line.show("one", "two", "three")
    line.world.run()
    line.world.change_account("x", budgets=(dollars(1),))
    line.world.clock.move(hours=1, seconds=1)
    line.world.run()
    assert (line.row("three").state, line.sends()) == (State.POSTED, 3)


def test_a_lost_answer_counts_until_its_post_is_proved_absent(line: Line, server: FakeX) -> None:
    server.script("publish", Fault(status=502, made=Made.AT_ONCE))
    line.show("one")
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.show("two", "three")
    line.world.clock.move(minutes=12)
    line.world.until_quiet()
    assert states(line, "one", "two", "three") == [State.POSTED] * 3
    starts = sorted(attempt.started for name in ("one", "two", "three") for attempt in line.world.attempts(name, "x"))
    assert starts[2] - starts[0] >= DAY


@pytest.mark.parametrize("failure", ["cashtags", "not-permitted"])
def test_a_refusal_costs_nothing(line: Line, server: FakeX, failure: str) -> None:
    server.script("publish", FAILURES[failure][0], FAILURES[failure][0])
    line.show("one", "two", "three", "four")
    line.world.run()
    assert states(line, "one", "two", "three", "four") == [State.REJECTED] * 2 + [State.POSTED] * 2


def test_what_was_paid_before_there_was_a_sum_counts_as_well(line: Line) -> None:
    line.world.change_account("x", budgets=())
    line.show("one", "two")
    line.world.run()
    line.world.change_account("x", budgets=(dollars(0.5),))
    line.show("three")
    line.world.run()
    assert states(line, "one", "two", "three") == [State.POSTED, State.POSTED, State.READY]


# --- words -----------------------------------------------------------------------------------------------------------

_WORDS = f"{NO_MONEY}the next post costs $0.2, and may go on 2026-11-25 07:00 UTC"


def waiting() -> Standing:
    return Standing(account="x", platform="x", created=NOW, active_since=NOW, not_before=NOW + HOUR, reason=_WORDS)


def test_status_says_that_a_post_waits_for_money() -> None:
    row = Delivery(
        id="0" * 64, article="a", account="x", state=State.READY, published=NOW, due=NOW, created=NOW, changed=NOW
    )
    assert state_in_words(row, waiting(), None, NOW) == f"waits: {_WORDS}"
    assert state_in_words(row, waiting(), None, NOW + 2 * HOUR) == "waits for its turn"


def test_somebody_hears_of_it_once() -> None:
    before = replace(waiting(), reason=None, not_before=None)
    cause = long_wait(before, waiting(), NOW)
    assert cause is not None
    assert (cause.kind, cause.subject, cause.words) == (AlertKind.NOTICE, "x", f"x posts nothing for now: {_WORDS}")
    assert long_wait(waiting(), replace(waiting(), not_before=NOW + 2 * HOUR), NOW + HOUR) is None
