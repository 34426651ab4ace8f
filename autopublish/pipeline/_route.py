"""Routing: which accounts get which articles, and why not the others. No store, no network, nothing written.

The one thing that it asks the machine is how long the filters have taken.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autopublish import deliveries
from autopublish.articles import Identified, Seen
from autopublish.errors import ComposeError
from autopublish.models import Account, Article, Delivery, Feed, Novelty, State
from autopublish.posts import admits, stops_of
from autopublish.store import Decision, Known

#: The filters of one account may take so long in one poll; the store is locked meanwhile.
FILTER_TIME = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an account does not take an article: a rule, or a rule that cannot be decided."""

    rule: str | None = None
    problem: str | None = None


class Filters:
    """The accounts' filters in one poll, each within its own time: a slow expression holds up no other account."""

    def __init__(self, budget: timedelta = FILTER_TIME) -> None:
        self._budget_seconds = budget.total_seconds()
        self._spent_seconds: defaultdict[str, float] = defaultdict(float)

    def refusal(self, article: Article, account: Account) -> Refusal:
        """What keeps the article from the account."""
        if _may_be_slow(account) and self._spent_seconds[account.name] > self._budget_seconds:
            return Refusal(problem="the filters took too long in this poll; simplify `matching`")
        begun = time.monotonic()
        try:
            return Refusal(rule=admits(article, account, article.feeds))
        except ComposeError as error:
            return Refusal(problem=str(error))
        finally:
            self._spent_seconds[account.name] += time.monotonic() - begun


def _may_be_slow(account: Account) -> bool:
    """Only an expression takes more than a moment."""
    return any(rule is not None and rule.matching is not None for rule in (account.only, account.never))


def route(
    identified: Identified,
    known: Known,
    accounts: Mapping[str, Account],
    feed: Feed,
    now: datetime,
    filters: Filters | None = None,
) -> Decision:
    """Which accounts get which articles, and why not the others; `feed` is the feed as it is after the poll."""
    filters = filters or Filters()
    made: list[Delivery] = []
    changes: list[tuple[Delivery, Delivery]] = []
    for found in identified.found:
        made += _deliver(found.article, found.novelty, known, accounts, now, filters)
    # A first poll posts nothing but what `first_run` chooses, also of what other feeds showed before.
    for seen in () if identified.first_poll else identified.seen:
        added, changed = _route_again(seen, known, accounts, now, filters)
        made += added
        changes += changed
    seen_changed = tuple(seen for seen in identified.seen if _is_changed(seen))
    leaving = [(one.article.id, one.traces) for one in identified.found]
    leaving += [(one.article.id, one.traces) for one in seen_changed]
    if known.is_restored:
        made = [deliveries.doubted(row, now) or row for row in made]
        changes = [(was, deliveries.doubted(row, now) or row) for was, row in changes]
    if known.stops:
        articles = [*(one.article for one in identified.found), *(one.article for one in identified.seen)]
        stops = {article.id: stops_of(article, known.stops) for article in articles}
        made = [deliveries.hold_stopped(row, stops[row.article], now) or row for row in made]
        changes = [(was, deliveries.hold_stopped(row, stops[row.article], now) or row) for was, row in changes]
    return Decision(
        feed=feed,
        new=tuple((found.article, found.aliases) for found in identified.found),
        seen=tuple((seen.article, seen.added) for seen in seen_changed),
        deliveries=tuple(made),
        changes=tuple(changes),
        traces=tuple(leaving),
    )


def _is_changed(seen: Seen) -> bool:
    return bool(seen.edited or seen.further or seen.added or seen.novelty)


def _deliver(
    article: Article,
    novelty: Novelty,
    known: Known,
    accounts: Mapping[str, Account],
    now: datetime,
    filters: Filters,
) -> list[Delivery]:
    rows = []
    for name, account in accounts.items():
        if not account.takes_articles:
            continue
        refusal = filters.refusal(article, account)
        row = deliveries.plan(
            article,
            account,
            novelty=_novelty_for(account, novelty, article, known.feed, now),
            refusal=refusal.rule,
            standing=known.standings[name],
            now=now,
        )
        if row is not None:
            rows.append(_held_for(refusal, row, now))
    return rows


def _held_for(refusal: Refusal, row: Delivery, now: datetime) -> Delivery:
    """A delivery of which the filters could not say whether it may go waits for a person."""
    if refusal.problem is None or row.state is not State.READY:
        return row
    return deliveries.hold(row, f"template: {refusal.problem}", now)


def _novelty_for(account: Account, novelty: Novelty, article: Article, feed: Feed, now: datetime) -> Novelty:
    """How far back a date must lie to be no news is the account's own `max_age`."""
    if novelty not in (Novelty.NEWS, Novelty.BACKDATED) or feed.last_good is None or feed.baseline_at is None:
        return novelty
    if account.max_age is None or article.published >= min(feed.last_good, now) - account.max_age:
        return Novelty.NEWS
    return Novelty.BACKDATED


def _route_again(
    seen: Seen, known: Known, accounts: Mapping[str, Account], now: datetime, filters: Filters
) -> tuple[list[Delivery], list[tuple[Delivery, Delivery]]]:
    if seen.novelty is not None:
        return _deliver(seen.article, seen.novelty, known, accounts, now, filters), []
    if not (seen.edited or seen.further):
        return [], []
    existing = {row.account: row for row in known.deliveries(seen.article.id) if row.occasion == "new"}
    added: list[Delivery] = []
    changed: list[tuple[Delivery, Delivery]] = []
    for name, account in accounts.items():
        if not account.takes_articles and name not in existing:
            continue
        refusal, was = filters.refusal(seen.article, account), existing.get(name)
        row = deliveries.route_again(
            seen.article, account, was, refusal=refusal.rule, standing=known.standings[name], now=now
        )
        if row is None or (was is not None and refusal.problem is not None):
            continue  # what cannot be decided changes nothing that was decided
        if was is None:
            added.append(_held_for(refusal, row, now))
        else:
            changed.append((was, row))
    return added, changed
