"""When a feed is due by its `every`, and when an account goes on by itself, by what is known and by `now`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from autopublish.models import Account, AccountState, Feed, Standing, State
from autopublish.store import Store, Work

#: A feed that fails is asked after a pause that doubles up to this.
MOST_PAUSE = timedelta(hours=6)
#: What a drain left although it was due is looked at again after this time, not at once.
LEAST_PAUSE = timedelta(seconds=5)


def is_due(feed: Feed, now: datetime) -> bool:
    """Whether a run that keeps to `every` polls the feed: what falls due within a tenth of it is due."""
    return now >= due_at(feed, now) - feed.settings.every / 10


def due_at(feed: Feed, now: datetime) -> datetime:
    """When the feed is due by its `every`; while polls fail, the pause doubles from that up to six hours."""
    if feed.last_try is None or feed.last_try > now:
        return now  # a time that lies ahead was written by a clock that went wrong
    every = feed.settings.every
    # Twice as long for each failure after the first; bounded before it is multiplied, since failures have no end.
    doubled = every * (1 << min(max(feed.failures - 1, 0), 10))
    return feed.last_try + max(every, min(doubled, MOST_PAUSE))


def paced_until(store: Store, account: Account, now: datetime) -> datetime | None:
    """Until when the account's rate windows keep it from sending; None: they do not."""
    if not account.at_most:
        return None
    from autopublish.deliveries import pace

    since = now - max(window.period for window in account.at_most)
    return pace(account.at_most, store.counted(account.name, since), now)


def goes_on_at(
    works: Iterable[Work], standing: Standing, paced_until: Callable[[], datetime | None], now: datetime
) -> datetime | None:
    """When the account has something to do that goes by itself; None: nothing has, or a person is needed first.

    `works`: of this account; `paced_until`: until when its rate windows keep it from sending, None if they do not.
    """
    if standing.state is not AccountState.ACTIVE:
        return None
    times = []
    for work in works:
        if work.state is State.READY:
            times.append(max(work.at, paced_until() or work.at))
        elif work.state is State.VERIFYING:
            times.append(work.at)
    if not times:
        return None
    first = max(min(times), standing.not_before or now)
    return first if first > now else now + LEAST_PAUSE
