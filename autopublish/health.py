"""Whether the program is well, for `status --check`, `/health` and what asks them: a health check, a monitor, cron."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from autopublish.models import BREAKER, AccountState, Feed, Standing

#: The store's note with the time of the daemon's last tick, which it writes at least once a minute.
LAST_TICK = "last_tick"
#: A daemon that ticks more seldom is stuck.
MOST_BETWEEN_TICKS = timedelta(minutes=3)
#: Where no daemon ever ticked, how long no feed may be asked; at least three times its `every`.
MOST_BETWEEN_RUNS = timedelta(minutes=15)
#: Failed polls in a row that are no hiccup any more.
FAILURES = 3
#: A person's pause is no fault.
_USELESS = (AccountState.AUTH_BLOCKED, AccountState.SAFE_MODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the program is."""

    #: The daemon's last tick; None if there is no daemon, or nothing can be read.
    tick: datetime | None = None
    #: What keeps it from its work, in words; empty if it is well.
    problems: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether nothing keeps it from its work."""
        return not self.problems

    def document(self) -> dict[str, object]:
        """For machines, as `status --check --json` and `/health` give it."""
        tick = self.tick.isoformat() if self.tick else None
        return {"well": self.is_well, "last_tick": tick, "problems": list(self.problems)}


def problems(
    feeds: Iterable[Feed], standings: Iterable[Standing], *, tick: datetime | None, now: datetime
) -> tuple[str, ...]:
    """What keeps the program from its work, in words; empty if it is well. `tick` is the daemon's last one."""
    known = tuple(feeds)
    found = [_idle(known, now) if tick is None else _stuck(tick, now)]
    found += [_useless_feed(feed) for feed in known]
    found += [
        f"account {one.account} is {one.state.value}: {one.reason or 'no reason is known'}"
        for one in standings
        if one.state in _USELESS or (one.reason or "").startswith(BREAKER)
    ]
    return tuple(words for words in found if words)


def tick_of(note: str | None) -> datetime | None:
    """The time in the daemon's note; None if there is none, or an empty one.

    Raises:
        ValueError: the note holds no time with its offset.
    """
    if not note:
        return None
    tick = datetime.fromisoformat(note)
    if tick.tzinfo is None:
        raise ValueError(f"{note!r} has no offset")
    return tick


def age_in_words(age: timedelta) -> str:
    """How long ago something was, in its largest unit."""
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _stuck(tick: datetime, now: datetime) -> str | None:
    """That the daemon has stopped, or that the clock was set back under it."""
    if tick - now > MOST_BETWEEN_TICKS:
        return f"the daemon's last tick lies {age_in_words(tick - now)} ahead of this machine's clock"
    if now - tick > MOST_BETWEEN_TICKS:
        return f"the daemon's last tick was {age_in_words(now - tick)} ago"
    return None


def _idle(feeds: tuple[Feed, ...], now: datetime) -> str | None:
    """That nothing calls `run` any more: no feed was asked for long, although one may be."""
    waited = [feed for feed in feeds if not feed.gone and not (feed.not_before and feed.not_before > now)]
    if not waited:
        return None
    tried = [feed.last_try for feed in waited if feed.last_try is not None]
    if not tried:
        return "no feed was ever asked"
    # One that fails is asked more and more seldom, at least every six hours.
    if all(feed.failures for feed in waited):
        return None
    most = max(MOST_BETWEEN_RUNS, 3 * min(feed.settings.every for feed in waited if not feed.failures))
    return f"no feed was asked for {age_in_words(now - max(tried))}" if now - max(tried) > most else None


def _useless_feed(feed: Feed) -> str | None:
    if feed.gone:
        return f"feed {feed.settings.name} is gone (410)"
    if feed.failures >= FAILURES:
        return f"feed {feed.settings.name} failed {feed.failures} times: {feed.last_error}"
    return None
