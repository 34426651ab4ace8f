"""Times that a wrong clock wrote into the store: how they are noticed, and set right once the clock is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from autopublish.clock import MOST_BACK
from autopublish.models import Delivery
from autopublish.store._codec import delivery_of, micros, time_of
from autopublish.store._sqlite import Transaction

#: The daemon's note of its last tick, what was found to lie ahead, and that a person took the clock for right.
LAST_TICK, LATEST, ACCEPTED = "last_tick", "clock_latest", "clock_accepted"
#: When the program began to look again after nobody had looked for long.
AWAKE_SINCE = "awake_since"
#: Longer than any network keeps a key that it does not keep for good, and than a wrong clock goes unnoticed.
_LONG = timedelta(days=30)
#: No host is obeyed for longer, see `feeds.fetch`.
_LONGEST_WAIT = timedelta(days=7)
#: No account backs off for longer by itself.
_MOST_BACKOFF = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What the store knows of the clock."""

    #: The latest time that it has seen; None: none yet.
    latest: datetime | None
    #: A person said `go` while servers said that the clock is wrong.
    is_accepted: bool
    #: What was written down when it was found that the latest time lies ahead.
    noted: datetime | None
    #: When the program began to look again after nobody had looked for long; None: that never was.
    awake_since: datetime | None = None


def times(tx: Transaction, account: str | None) -> Times:
    """What is known of the clock by the feeds, the daemon and an account."""
    notes = {row["name"]: row["value"] for row in tx.rows("clock_notes")}
    row = tx.row("clock_latest", account=account)
    seen = [time_of(row["polled"]), time_of(row["tried"])] if row is not None else []
    noted = time_in(notes.get(LATEST))
    seen += [time_in(notes.get(LAST_TICK)), noted]
    latest = max((time for time in seen if time is not None), default=None)
    awake = time_in(notes.get(AWAKE_SINCE))
    return Times(latest=latest, is_accepted=ACCEPTED in notes, noted=noted, awake_since=awake)


def time_in(value: str | None) -> datetime | None:
    """The time in a note; None if there is none."""
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def set_right(
    tx: Transaction, now: datetime, righted: Callable[[Delivery, datetime], Delivery]
) -> tuple[tuple[Delivery, Delivery], ...]:
    """No time that was written lies ahead of a clock that is right; gives the deliveries to be changed."""
    limit = {"limit": micros(now + MOST_BACK), "now": micros(now)}
    rows = [delivery_of(row) for row in tx.rows("clock_deliveries", limit=limit["limit"])]
    long_ago, soon = micros(now - _LONG), micros(now + _MOST_BACKOFF)
    tx.run("clock_attempts", **limit, long_ago=long_ago)
    tx.run("clock_keys", limit=limit["limit"], long_ago=long_ago)
    tx.run("clock_feeds", **limit)
    tx.run("clock_hosts", far=micros(now + _LONGEST_WAIT))
    tx.run("clock_articles", **limit)
    tx.run("clock_accounts", **limit, soon=soon)
    tx.run("meta_forget", name=LATEST)
    tx.run("meta_forget", name=LAST_TICK)
    tx.run("meta_forget", name=AWAKE_SINCE)
    return tuple((was, righted(was, now)) for was in rows)
