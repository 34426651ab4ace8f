"""The pure parts of a poll: which account's `max_age` makes an article backdated, and when a moved feed is followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from autopublish import posts
from autopublish.articles import Found, Identified
from autopublish.feeds.fetch import Fetched
from autopublish.models import (
    Account,
    Article,
    Feed,
    FeedSettings,
    Filter,
    Novelty,
    Standing,
    State,
    Validators,
)
from autopublish.pipeline._poll import after_move
from autopublish.pipeline._route import Filters, route
from autopublish.store import Known

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLD, NEW = "http://news.example/feed/", "https://news.example/feed/"


def feed(**values: object) -> Feed:
    settings = FeedSettings(name="news", url=OLD)
    return Feed(id="f", settings=settings, baseline_at=NOW - timedelta(days=30), last_good=NOW, **values)  # type: ignore[arg-type] # keywords of Feed


def answer(moved_to: str | None) -> Fetched:
    return Fetched(status=304, validators=Validators(), full=False, url=moved_to or OLD, permanent_url=moved_to)


def polls(*times: tuple[timedelta, str | None]) -> Feed:
    after = feed()
    for since, target in times:
        after, _ = after_move(after, answer(target), NOW + since)
    return after


@pytest.mark.fault("F07")
@pytest.mark.parametrize(
    ("times", "address"),
    [
        pytest.param([(timedelta(0), NEW)], OLD, id="one answer proves little"),
        pytest.param([(timedelta(hours=h), NEW) for h in (0, 1, 2)], OLD, id="three polls within hours"),
        pytest.param([(timedelta(0), NEW), (timedelta(hours=24), NEW)], OLD, id="two polls in a day"),
        pytest.param([(timedelta(hours=h), NEW) for h in (0, 12, 24)], NEW, id="three polls over a day"),
        pytest.param(
            [(timedelta(0), NEW), (timedelta(hours=12), None), (timedelta(hours=24), NEW), (timedelta(hours=36), NEW)],
            OLD,
            id="a poll without it begins anew",
        ),
        pytest.param(
            [(timedelta(0), NEW), (timedelta(hours=12), NEW), (timedelta(hours=25), "https://other.example/")],
            OLD,
            id="another target begins anew",
        ),
    ],
)
def test_f07_a_permanent_move_is_followed_after_three_polls_over_a_day(
    times: list[tuple[timedelta, str | None]], address: str
) -> None:
    assert polls(*times).address == address


@pytest.mark.fault("F07")
def test_f07_the_move_is_told_once() -> None:
    told = []
    after = feed()
    for hours in (0, 12, 24, 36):
        after, note = after_move(after, answer(NEW if after.address == OLD else None), NOW + timedelta(hours=hours))
        told.append(note)
    assert [note is not None for note in told] == [False, False, True, False]


@pytest.mark.parametrize(
    ("budget", "slow_ones"),
    [
        pytest.param(timedelta(hours=1), [State.HELD, State.READY, State.READY], id="time left"),
        pytest.param(timedelta(0), [State.HELD, State.HELD, State.HELD], id="its time is used up"),
    ],
)
def test_an_account_whose_filters_used_up_their_time_is_held_and_no_other(
    monkeypatch: pytest.MonkeyPatch, budget: timedelta, slow_ones: list[State]
) -> None:
    monkeypatch.setattr(posts, "MATCH_TIMEOUT_SECONDS", 0.02)
    rules = {"slow": Filter(matching="(a|aa|aaa)+$"), "plain": Filter(words=("advert",))}
    accounts = {name: Account(name=name, platform="page", template="x", never=rule) for name, rule in rules.items()}
    titles = (f"{'a' * 300}!", "short", "shorter")
    articles = [
        Article(id=title, feed="f", origin=title, link=None, title=title, published=NOW, first_seen=NOW)
        for title in titles
    ]
    found = tuple(Found(article=article, aliases=(), novelty=Novelty.NEWS) for article in articles)
    created = NOW - timedelta(days=30)
    standings = {
        name: Standing(account=name, platform="page", created=created, active_since=created) for name in accounts
    }
    known = Known(feed=feed(), articles={}, standings=standings, deliveries=lambda _: ())
    rows = route(Identified(found=found), known, accounts, known.feed, NOW, Filters(budget)).deliveries
    states = {name: [row.state for row in rows if row.account == name] for name in accounts}
    assert states == {"slow": slow_ones, "plain": [State.READY] * 3}
    assert all((row.reason or "").startswith("template: ") for row in rows if row.state is State.HELD)


@pytest.mark.fault("F27")
@pytest.mark.parametrize(
    ("age", "max_age", "state"),
    [
        pytest.param(timedelta(hours=20), timedelta(hours=24), State.READY, id="within max_age"),
        pytest.param(timedelta(hours=30), timedelta(hours=24), State.HELD, id="beyond max_age"),
        pytest.param(timedelta(hours=30), timedelta(hours=48), State.READY, id="within a longer one"),
        pytest.param(timedelta(hours=20), timedelta(hours=12), State.HELD, id="beyond a shorter one"),
        pytest.param(timedelta(days=300), None, State.READY, id="without one"),
    ],
)
def test_f27_what_is_backdated_is_the_accounts_own_max_age(
    age: timedelta, max_age: timedelta | None, state: State
) -> None:
    account = Account(name="a", platform="page", template="{{ title }}", max_age=max_age)
    article = Article(
        id="1", feed="f", origin="guid:1", link=None, title="T", published=NOW - age, stated=NOW - age, first_seen=NOW
    )
    identified = Identified(found=(Found(article=article, aliases=(), novelty=Novelty.NEWS),))
    created = NOW - timedelta(days=30)
    standing = Standing(account="a", platform="page", created=created, active_since=created)
    known = Known(feed=feed(), articles={}, standings={"a": standing}, deliveries=lambda _: ())
    [delivery] = route(identified, known, {"a": account}, known.feed, NOW).deliveries
    assert delivery.state is state
    assert delivery.reason == ("backdated" if state is State.HELD else None)
