"""The clock beside what servers tell: who is stopped for it, and when it is over.

a server's Date     kept by `net.Client` for each host, with the moment at which it came
Timekeeper          how far each of those clocks lies ahead of ours, and what that means (`autopublish.clock`)
ClockWatch          every account stops while the clock is mistrusted, and goes on once two servers agree with it
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from autopublish.clock import MOST_BACK, PROOF, WRONG, Opinion, agreeing, in_words, judge, true_offset
from autopublish.feeds.dates import parse_date
from autopublish.models import AccountState, Feed, Standing
from autopublish.net import Client
from autopublish.pipeline._parts import Journal, Parts, Trouble

log = logging.getLogger(__name__)

#: A cache that says more has kept nothing of use.
_MOST_AGE_SECONDS = 10**8
#: A process that stays asks networks for nothing but the time at most so often.
_ASK_AGAIN_SECONDS = 900.0
#: Nobody looked for so long: a run each hour by cron is no pause.
LONG_PAUSE = timedelta(minutes=75)


class Timekeeper:
    """How far the clocks of servers lie ahead of ours, by what they told since ours jumped last."""

    def __init__(
        self, client: Client, clock: Callable[[], datetime], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._lock = Lock()
        self._seen = (clock(), monotonic())
        #: What was told before counts no more.
        self._since = 0.0

    def offsets(self) -> Mapping[str, timedelta]:
        """By server, how far its clock lies ahead of ours."""
        now, elapsed = self._clock(), self._monotonic()
        self._look_for_jump(now, elapsed)
        found = {}
        for host, told in self._client.told().items():
            date = parse_date(told.date) if told.at >= self._since else None
            if date is not None:
                found[host] = date + timedelta(seconds=elapsed - told.at + _age_seconds(told.age)) - now
        return found

    def opinion(self) -> Opinion:
        """What servers say of the clock."""
        return judge(self.offsets())

    def _look_for_jump(self, now: datetime, elapsed: float) -> None:
        """A clock that was set, and a machine that slept, make what servers told before worthless."""
        with self._lock:
            seen, at = self._seen
            if abs(now - seen - timedelta(seconds=elapsed - at)) > MOST_BACK:
                self._since = elapsed
            self._seen = (now, elapsed)


def _age_seconds(age: str) -> int:
    return min(int(age), _MOST_AGE_SECONDS) if age.isascii() and age.isdigit() else 0


class ClockWatch:
    """Stops accounts while the clock is mistrusted, and lets them go on."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._journal = journal
        self.keeper = Timekeeper(parts.client, parts.clock)
        #: Accounts are in SAFE_MODE for the clock, by what was read of them last.
        self.is_stopped = False
        #: The store has seen a time that has not come, by what was read of it last.
        self.is_ahead = False
        #: That was so already when this process began.
        self.was_ahead = False
        #: When networks were last asked for nothing but the time.
        self._asked: float | None = None

    def note(self, standings: Iterable[Standing]) -> None:
        """What is known of all accounts was read."""
        self.is_stopped = any(
            one.state is AccountState.SAFE_MODE and (one.reason or "").startswith(WRONG) for one in standings
        )

    def look_back(self, feeds: Iterable[Feed]) -> None:
        """If a feed was asked at a time that has not come, that is kept: its next poll writes over it.

        So is that no feed was asked for long.
        """
        limit = self._clock() + MOST_BACK
        tried = [feed.last_try for feed in feeds if feed.last_try is not None]
        ahead = [time for time in tried if time > limit]
        self._look_for_pause(max(tried, default=None))
        if ahead:
            self.keep_ahead(max(ahead))
        elif (noted := self._store.noted_ahead()) is not None:
            self.is_ahead = self.was_ahead = noted > limit

    def look_back_at_ticks(self) -> None:
        """As `look_back`, for all that the store has seen: before a process that stays writes its next tick."""
        known = self._store.times()
        self._look_for_pause(known.latest)
        if known.latest is not None and known.latest > self._clock() + MOST_BACK:
            self.keep_ahead(known.latest)

    def _look_for_pause(self, latest: datetime | None) -> None:
        """If nobody looked for long, that is kept.

        The store may have been put back together with the marker beside it, as when a whole machine is, and nothing
        tells that from a long sleep: what is older than this moment is looked for before its first send.
        """
        now = self._clock()
        if latest is not None and now - latest > LONG_PAUSE:
            self._store.keep_awake_since(now)

    def keep_ahead(self, latest: datetime) -> None:
        """The store has seen this time, which has not come, whatever is written over it."""
        noted = self._store.noted_ahead()
        if not self.is_ahead:
            self.was_ahead = noted is not None
        self.is_ahead = True
        if noted is None or noted < latest:
            self._store.keep_latest(latest)

    def judge(self, ask: Callable[[Callable[[], bool]], None]) -> None:
        """Accounts stop while the clock is mistrusted; once it is not, they go on, and what it wrote is set right.

        `ask` asks one network after the other for the time, until what it is given says that they are enough.
        """
        if self.stop() or not (self.is_stopped or self.is_ahead):
            return
        if not self._is_proved() and self._may_ask():
            ask(lambda: self._is_proved() or not self._all_agree())
        if self._is_proved():
            self._end()

    def _is_proved(self) -> bool:
        """Whether so many servers agree with the clock as it takes."""
        return agreeing(self.keeper.offsets()) >= (PROOF if self.is_stopped else 1)

    def _all_agree(self) -> bool:
        offsets = self.keeper.offsets()
        return agreeing(offsets) == len(offsets)

    def _may_ask(self) -> bool:
        """Whether no server disagrees, so that others are worth asking; on some networks each call costs money."""
        now = time.monotonic()
        if not self._all_agree() or (self._asked is not None and now - self._asked < _ASK_AGAIN_SECONDS):
            return False
        self._asked = now
        return True

    def true_time(self, now: datetime, offset: timedelta | None) -> datetime:
        """`now`, or the time that two servers tell if the clock is mistrusted.

        `offset` is that of the server which has just answered: as long as it is small, nobody else is listened to.
        """
        if offset is None or abs(offset) <= MOST_BACK:
            return now
        offsets = self.keeper.offsets()
        if judge(offsets) is not Opinion.MISTRUSTED:
            return now
        return now + (true_offset(offsets) or timedelta(0))

    def stop(self) -> bool:
        """Whether accounts may not send since the clock is mistrusted; then all are in SAFE_MODE."""
        offsets = self.keeper.offsets()
        offset = true_offset(offsets)
        if judge(offsets) is not Opinion.MISTRUSTED or offset is None or self._store.times().is_accepted:
            return False
        from autopublish import deliveries

        standings = self._store.standings().values()
        if any(one.state is AccountState.ACTIVE for one in standings):
            why = in_words(offset)
            for name in self._store.stop_all(why, self._clock(), stopped=deliveries.stopped_for_clock):
                self._journal.add_trouble(Trouble(account=name, reason=why))
            log.warning("clock mistrusted: offset=%s servers=%s", offset, ",".join(sorted(offsets)))
        self.is_stopped = True
        return True

    def _end(self) -> None:
        """What the clock alone stopped goes on, and times that it wrote when it was wrong lie ahead no more."""
        from autopublish import deliveries

        self.set_right()
        names = self._store.start_some(self._clock(), started=deliveries.clock_is_right)
        self.is_stopped = False
        log.info("clock right again: accounts=%s", ",".join(names))

    def set_right(self) -> None:
        """No time in the store lies ahead of the clock, which is right."""
        from autopublish import deliveries

        self._store.set_right(self._clock(), righted=deliveries.righted)
        self.is_ahead = False
