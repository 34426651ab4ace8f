"""The engine's alarm clock: one job of APScheduler that is moved to the earliest time for which something is woken.

It only saves waiting: what it misses (a clock that jumps back, a machine that slept) the engine finds within a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

_JOB = "ring"


class Alarm:
    """Calls `ring` at the time for which it is set, in a thread of its own."""

    def __init__(self, ring: Callable[[], None], *, scheduler: Callable[..., Any] = BackgroundScheduler) -> None:
        self._ring = ring
        self._at: datetime | None = None
        # A thread beside the scheduler's own: that one holds the scheduler's lock while it begins the call, and whoever
        # is called may be waiting for it in `set`.
        self._scheduler: Any = scheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            # The default grace of one second drops what a busy machine runs late.
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """It runs, and is set to no time."""
        self._scheduler.start()

    def set(self, at: datetime | None) -> None:
        """It rings at `at` and not before; None: not at all."""
        if at == self._at:
            return
        self._at = at
        if at is not None:
            # With its zone: without one it looks for the machine's in files, which may be out of reach by then.
            self._scheduler.add_job(self._fire, DateTrigger(at, timezone=UTC), id=_JOB, replace_existing=True)
        elif self._scheduler.get_job(_JOB) is not None:
            self._scheduler.remove_job(_JOB)

    def stop(self) -> None:
        """Its thread has ended."""
        self._scheduler.shutdown()

    def _fire(self) -> None:
        self._at = None
        self._ring()
