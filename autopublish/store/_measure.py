"""Counts and times of all tables at one moment, cheap enough to be asked for each few seconds; see `metrics.sql`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from autopublish.models import AlertKind, Evidence, Feed, Standing, State
from autopublish.store._codec import feed_of, micros, standing_of, time_of
from autopublish.store._sqlite import Row, Transaction

#: So many of the newest articles tell how late a feed is read.
LAG_ARTICLES = 10

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the store holds, counted. Where nothing was counted there is no key."""

    #: Those that are configured.
    feeds: tuple[Feed, ...]
    standings: tuple[Standing, ...]
    #: Deliveries by account and state, those of former accounts included.
    deliveries: Mapping[tuple[str, State], int]
    #: HELD ones by account and reason, without what a reason says after its colon.
    held: Mapping[tuple[str, str], int]
    #: When the first of those that are not final was due, by account and state.
    due_since: Mapping[tuple[str, State], datetime]
    #: Attempts that made no post, or none that is known, by account and outcome as it is known now.
    failed: Mapping[tuple[str, Evidence], int]
    #: By the feed's name, from the publication of an article until it was first seen: the median of the newest ones,
    #: without those of its first poll.
    lags: Mapping[str, timedelta]
    #: Causes that stand and that a person must hear of.
    alerts: Mapping[AlertKind, int]


def measure(tx: Transaction) -> Measures:
    """What the transaction sees."""
    waiting = tx.rows("measure_waiting")
    feeds = tuple(feed_of(row) for row in tx.rows("feeds_configured"))
    lags = {feed.settings.name: _lag(feed, tx) for feed in feeds}
    return Measures(
        feeds=feeds,
        standings=tuple(standing_of(row) for row in tx.rows("accounts_all") if row["configured"]),
        deliveries=_counts(tx.rows("measure_deliveries"), lambda row: State(row["state"])),
        held=_counts((row for row in waiting if row["state"] == State.HELD), _reason),
        due_since=_due_since(waiting),
        failed=_counts(tx.rows("measure_failed"), lambda row: Evidence(row["outcome"])),
        lags={name: lag for name, lag in lags.items() if lag is not None},
        alerts={AlertKind(row["kind"]): row["n"] for row in tx.rows("measure_alerts")},
    )


def _counts(rows: Iterable[Row], kind: Callable[[Row], _Kind]) -> Mapping[tuple[str, _Kind], int]:
    """By account and kind."""
    found: Counter[tuple[str, _Kind]] = Counter()
    for row in rows:
        found[row["account"], kind(row)] += row["n"]
    return found


def _reason(row: Row) -> str:
    """What follows the colon is the words of a template or a platform: no two need be alike."""
    return str(row["reason"] or "").partition(":")[0]


def _due_since(rows: Iterable[Row]) -> Mapping[tuple[str, State], datetime]:
    found: dict[tuple[str, State], datetime] = {}
    for row in rows:
        key, due = (row["account"], State(row["state"])), time_of(row["due"])
        if due is not None:
            found[key] = min(due, found.get(key, due))
    return found


def _lag(feed: Feed, tx: Transaction) -> timedelta | None:
    """The median, the greater one of two."""
    first = micros(feed.baseline_at) or 0
    rows = tx.rows("measure_lag", feed=feed.id, most=LAG_ARTICLES)
    known = sorted(row["first_seen"] - row["published"] for row in rows if row["first_seen"] > first)
    return timedelta(microseconds=known[len(known) // 2]) if known else None
