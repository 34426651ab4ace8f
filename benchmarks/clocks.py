"""Time for a daemon that lives a month in a minute: it passes while anything runs, then jumps to the next event.

An event is what somebody waits for: the daemon's next minute, APScheduler's next call, or what the benchmark planned.
All threads are real and so is APScheduler; only how long they wait is not. For a process of its own: the clock of
APScheduler is replaced in the whole of it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from threading import TIMEOUT_MAX, Condition
from typing import Any, Self

from apscheduler.schedulers import base
from apscheduler.schedulers.background import BackgroundScheduler

from autopublish.engines._alarm import Alarm
from autopublish.engines.local import Clocks

#: By the real clock: what is rung for comes at once, or never.
PATIENCE_SECONDS = 10.0
_NEVER = math.inf


class Jumps:
    """The clocks of one process, and what is to be called at which time."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._real_began = time.monotonic()
        self._jumped_micros = 0
        self._bell = _Bell(self)
        self._plans: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._is_over = False
        #: How often the daemon waited, and how often APScheduler woke it.
        self.waits = self.rings = 0
        #: The CPU seconds of what was planned, which are none of the daemon's.
        self.own_cpu_seconds = 0.0

    def clocks(self) -> Clocks:
        """They, for a daemon."""
        setattr(base, "datetime", _moved(self.now))  # noqa: B010 (a name that it imports, not one that it has)
        scheduler = partial(_Scheduler, self._bell)
        return Clocks(now=self.now, monotonic=self.monotonic, wait=self.wait, alarm=partial(Alarm, scheduler=scheduler))

    def plan(self, after: timedelta, call: Callable[[], None]) -> None:
        """`call` is called so long after the beginning, while nothing runs."""
        heapq.heappush(self._plans, (after // timedelta(microseconds=1), next(self._numbers), call))

    def end(self) -> None:
        """Time does not pass any more: who waits, waits by the real clock for what is notified."""
        self._is_over = True

    def now(self) -> datetime:
        """The time in UTC."""
        return self._began + timedelta(microseconds=self._micros())

    def monotonic(self) -> float:
        """The seconds since the beginning."""
        return self._micros() / 1_000_000

    def wait(self, condition: Condition, seconds: float) -> None:
        """It is the time of the next event, or so many seconds later; what was planned for it was called."""
        if self._is_over:
            condition.wait(PATIENCE_SECONDS)
            return
        self.waits += 1
        until, rung = self.after(seconds), self._bell.at()
        if self._plans and self._plans[0][0] <= min(until, rung):
            self._follow_plan()
        elif rung <= until:
            self._jump_to(rung)
            self.rings += 1
            self._bell.set()
            # What does not ring is found a minute later, as in a real life.
            condition.wait(PATIENCE_SECONDS)
        else:
            self._jump_to(until)

    def after(self, seconds: float | None) -> float:
        """The microseconds from the beginning to so many seconds from now; no time ends in the middle of one."""
        if seconds is None or seconds >= TIMEOUT_MAX:
            return _NEVER
        return self._micros() + math.ceil(seconds * 1_000_000)

    def _micros(self) -> int:
        return self._jumped_micros + int((time.monotonic() - self._real_began) * 1_000_000)

    def _jump_to(self, micros: float) -> None:
        self._jumped_micros += max(int(micros) - self._micros(), 0)

    def _follow_plan(self) -> None:
        at, _, call = heapq.heappop(self._plans)
        self._jump_to(at)
        began = time.thread_time()
        call()
        self.own_cpu_seconds += time.thread_time() - began


class _Bell:
    """Stands for the event for which APScheduler's thread waits."""

    def __init__(self, jumps: Jumps) -> None:
        self._jumps = jumps
        self._changed = Condition()
        self._is_set = False
        #: Until when its thread waits; None: it does something.
        self._until: float | None = None

    def at(self) -> float:
        """Until when APScheduler waits, once it waits at all.

        Raises:
            TimeoutError: it never does.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._until is not None and not self._is_set, PATIENCE_SECONDS):
                raise TimeoutError("APScheduler does not come to rest")
            assert self._until is not None
            return self._until

    def is_set(self) -> bool:
        """Whether its thread is to look again."""
        return self._is_set

    def set(self) -> None:
        """Its thread looks again."""
        with self._changed:
            self._is_set = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Its thread has seen that."""
        with self._changed:
            self._is_set = False

    def wait(self, seconds: float | None = None) -> bool:
        """It is set."""
        with self._changed:
            self._until = self._jumps.after(seconds)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_set)
            self._until = None
        return True


class _Scheduler(BackgroundScheduler):  # type: ignore[misc] # APScheduler has no types
    """APScheduler's own, which waits for the bell."""

    def __init__(self, bell: _Bell, **options: Any) -> None:
        super().__init__(**options)
        self._event = bell


def _moved(now: Callable[[], datetime]) -> type[datetime]:
    class Moved(datetime):
        """As `datetime`; `now` is another one."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return now().astimezone(tz)  # type: ignore[return-value] # who asks only compares it

    return Moved
