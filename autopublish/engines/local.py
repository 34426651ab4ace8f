"""The local engine: one machine, one pool of threads, and for each key one call at a time.

A key woken while it is being worked on is called once more afterwards. A stuck account or feed holds one thread and
delays no other. What is woken for a later time is called then, if the engine still runs; it may be called too early or
once too often, and what is called finds out what there is to do.

A run works until all is quiet, or until nothing is left to wait for. A daemon works until it is stopped: APScheduler
wakes it at the earliest due time, and once a minute it calls what finds the work that no wake-up told of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autopublish.engines._alarm import Alarm

#: Verbs that may be broken off anywhere and only be repeated.
REPEATABLE = frozenset({"poll"})
#: Slow hosts and networks are waited for in so many threads.
THREADS = 8
#: A thread more begins when all have been at work on one call for so long: as long as calls are quick, several threads
#: only cost, since they hand the interpreter's lock over to each other.
SLOW_SECONDS = 0.05
#: So long is waited at once: clocks jump, machines sleep, and commands change the store meanwhile.
MOST_WAIT_SECONDS = 60.0

Key = tuple[str, str]


def _alarm(ring: Callable[[], None]) -> Alarm:
    # Imported here: a run has no use for APScheduler.
    from autopublish.engines._alarm import Alarm

    return Alarm(ring)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """By what a process that stays tells the time and waits; with others it lives a month in a minute."""

    #: The time in UTC, which jumps when somebody sets the machine's clock,
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    #: and seconds that never jump.
    monotonic: Callable[[], float] = time.monotonic
    #: Called while nothing runs: waits so many seconds for the condition to change.
    wait: Callable[[Condition, float], object] = Condition.wait
    #: What calls back at a time of `now`.
    alarm: Callable[[Callable[[], None]], Alarm] = _alarm


#: The machine's.
CLOCKS = Clocks()


class LocalEngine:
    """Calls `handlers[verb](key)` for each key that was woken.

    `clock` tells whether a later time has come, and `wait`, called while nothing runs, waits so many seconds for the
    condition to change; `monotonic` and `alarm` are a daemon's, as `Clocks` has them.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[Condition, float], object] = Condition.wait,
        monotonic: Callable[[], float] = time.monotonic,
        alarm: Callable[[Callable[[], None]], Alarm] = _alarm,
    ) -> None:
        #: What is called for each verb.
        self.handlers: dict[str, Callable[[str], None]] = {}
        self._threads = threads
        self._clock = clock
        self._wait = wait
        self._monotonic = monotonic
        self._alarm = alarm
        #: In the order in which they were woken.
        self._queue: dict[Key, None] = {}
        self._later: dict[Key, datetime] = {}
        #: What is being called, and since when by `time.monotonic`.
        self._running: dict[Key, float] = {}
        #: How many threads take from the queue.
        self._workers = 0
        self._again: set[Key] = set()
        #: How many handlers are at work now.
        self._begun = 0
        self._failure: BaseException | None = None
        self._is_stopped = False
        #: Called whenever all is quiet; None: then the work is over.
        self._when_quiet: Callable[[], None] | None = None
        #: Called for what must be looked at again and again while a daemon works.
        self._beat: _Beat | None = None
        # Re-entrant: an interrupt may come while this very thread holds it.
        self._changed = Condition()

    @property
    def is_stopping(self) -> bool:
        """Whether a handler raised, or the engine was interrupted or stopped: nothing new is begun."""
        return self._failure is not None or self._is_stopped

    @property
    def held_up_seconds(self) -> float:
        """For how long nothing new could begin, since every thread was at work on one call; 0: one is free."""
        with self._changed:
            began = [since for job, since in self._running.items() if self._beat is None or job != self._beat.job]
            return 0.0 if len(began) < self._threads else time.monotonic() - max(began)

    @property
    def silent_seconds(self) -> float:
        """How long ago the engine itself last took up what it calls again and again; 0: it does not."""
        beat = self._beat  # gone at the end
        return 0.0 if beat is None else beat.silent_seconds

    @property
    def later(self) -> dict[Key, datetime]:
        """What is to be called at a later time, and when."""
        with self._changed:
            return dict(self._later)

    def wake(self, verb: str, key: str, at: datetime | None = None) -> None:
        """Ask for one call, now or at `at`; several before it begins are one, the earliest."""
        with self._changed:
            job = (verb, key)
            if at is not None:
                self._later[job] = min(at, self._later.get(job, at))
            elif job in self._running:
                self._again.add(job)
            else:
                self._queue.setdefault(job)
            self._changed.notify()

    def keep_later(self, jobs: Collection[Key]) -> None:
        """Of what is to be called at a later time only these are."""
        with self._changed:
            self._later = {job: at for job, at in self._later.items() if job in jobs}

    def run_until_quiet(self, jobs: Iterable[Key] = ()) -> None:
        """Work until nothing is woken for now and nothing runs.

        Raises:
            BaseException: the first that a handler raised; what was running then has ended, the rest was not begun.
        """
        for verb, key in jobs:
            self.wake(verb, key)
        # One job after the other needs no thread, and an idle run pays for none. Not so for what must not be broken
        # off: an interrupt is raised in this thread, wherever it is.
        while len(self._queue) == 1 and next(iter(self._queue))[0] in REPEATABLE:
            self._call(self._begin())
            if self._failure is not None:
                raise self._failure
        if self._queue:
            self._run_in_threads()

    def run_until_over(self, when_quiet: Callable[[], None]) -> None:
        """Work until nothing is woken, be it for later, and nothing runs.

        `when_quiet` is called each time that nothing runs, once a minute at least; it may wake what it finds to do.

        Raises:
            BaseException: as `run_until_quiet`.
        """
        self._when_quiet = when_quiet
        try:
            self._run_in_threads()
        finally:
            self._when_quiet = None

    def run_until_stopped(self, reconcile: Key, *, every_seconds: float = MOST_WAIT_SECONDS) -> None:
        """Work until `stop`, for what is woken now and for later; what runs then has ended.

        `reconcile` is called at once and then again and again, by a clock that does not jump: it wakes what is to be
        done by now, whatever became of the wake-ups.

        Raises:
            BaseException: as `run_until_quiet`.
        """
        self._beat = _Beat(reconcile, every_seconds, self._alarm(self._ring), self._monotonic)
        self._beat.alarm.start()
        try:
            self._run_in_threads()
        finally:
            self._beat.alarm.stop()
            self._beat = None

    def stop(self) -> None:
        """Nothing new is begun; `run_until_stopped` returns once what runs has ended."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _ring(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run_in_threads(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(self._threads + 1, thread_name_prefix="autopublish")
        try:
            self._supervise(pool.submit)
        except BaseException as error:  # noqa: BLE001 - kept, and raised once what runs has ended
            # An interrupt reaches this thread alone: begin nothing more, let what runs end and be recorded.
            self._fail(error)
        self._let_end()
        pool.shutdown()
        if self._failure is not None:
            raise self._failure

    def _let_end(self) -> None:
        """Every handler has ended, however often the program is interrupted meanwhile."""
        while True:
            try:
                # The pool does not join a thread at whose start it was interrupted: we wait for what began ourselves.
                with self._changed:
                    self._changed.wait_for(lambda: self._begun == 0)
                return
            except BaseException as error:  # noqa: BLE001 - whoever loses patience twice must not cut a call in two
                self._fail(error)

    def _supervise(self, submit: Callable[[Callable[[], None]], object]) -> None:
        """Begin as many threads as are of use, until all is quiet."""
        with self._changed:
            while True:
                self._bring_up_what_is_due()
                if self._queue and not self.is_stopping and self._is_short_of_threads():
                    self._workers += 1
                    submit(self._take_from_queue)
                if self._workers:
                    self._pause()
                elif not self._goes_on():
                    return
                elif not self._queue:
                    self._pause()

    def _is_short_of_threads(self) -> bool:
        slow_since = time.monotonic() - SLOW_SECONDS
        slow = sum(since <= slow_since for since in self._running.values())
        return slow == self._workers < self._most_threads()

    def _most_threads(self) -> int:
        """One more for the beat while it waits: what looks at everything waits for no slow host."""
        return self._threads + (self._beat is not None and self._beat.job in self._queue)

    def _take_from_queue(self) -> None:
        """Call what is woken, one key after the other, until the queue is empty."""
        while True:
            with self._changed:
                if not self._queue or self.is_stopping or self._workers > self._most_threads():
                    self._workers -= 1
                    self._changed.notify_all()
                    return
                job = self._begin()
            self._call(job)

    def _bring_up_what_is_due(self) -> None:
        if self._beat is not None and self._beat.is_due():
            self.wake(*self._beat.job)
        if not self._later:
            return
        now = self._clock()
        for job in sorted((job for job, at in self._later.items() if at <= now), key=self._later.__getitem__):
            del self._later[job]
            self.wake(*job)

    def _goes_on(self) -> bool:
        """Whether anything is left to do or to wait for, now that nothing runs."""
        if self.is_stopping:
            return False
        if self._beat is not None:
            return True
        if self._when_quiet is None:
            return False
        self._when_quiet()
        return bool(self._queue or self._later)

    def _pause(self) -> None:
        """Until something ends, is woken, falls due, or lasts so long that a thread more is of use."""
        if self._workers and self._queue and self._workers < self._most_threads() and not self.is_stopping:
            self._changed.wait(SLOW_SECONDS)
        elif self._beat is not None:
            self._beat.alarm.set(min(self._later.values(), default=None))
            wait = Condition.wait if self._workers else self._wait
            wait(self._changed, self._beat.seconds_left())
        elif not self._later:
            self._changed.wait()
        elif (seconds := (min(self._later.values()) - self._clock()).total_seconds()) > 0:
            wait = Condition.wait if self._workers else self._wait
            wait(self._changed, min(seconds, MOST_WAIT_SECONDS))

    def _begin(self) -> Key:
        """The next of the queue, which is running now; what looks at everything goes first."""
        job = self._beat.job if self._beat is not None and self._beat.job in self._queue else next(iter(self._queue))
        del self._queue[job]
        self._running[job] = time.monotonic()
        self._begun += 1
        return job

    def _call(self, job: Key) -> None:
        verb, key = job
        try:
            self.handlers[verb](key)
        except BaseException as error:  # noqa: BLE001 - kept for the thread that waits, which raises it
            self._fail(error)
        finally:
            with self._changed:
                self._begun -= 1
                del self._running[job]
                if job in self._again:
                    self._again.discard(job)
                    self._queue.setdefault(job)
                if self.is_stopping:
                    self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Nothing new is begun; the first error is the one that is raised."""
        with self._changed:
            self._failure = self._failure or error


class _Beat:
    """What a daemon calls again and again, when next, and the alarm for what is due earlier."""

    def __init__(self, job: Key, every_seconds: float, alarm: Alarm, monotonic: Callable[[], float]) -> None:
        self.job = job
        self.alarm = alarm
        self._every_seconds = every_seconds
        self._monotonic = monotonic
        self._next = self._taken_up = monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long ago its time had come and was taken up."""
        return self._monotonic() - self._taken_up

    def is_due(self) -> bool:
        """Whether its time has come; then the next one is so much later."""
        if self._monotonic() < self._next:
            return False
        self._taken_up = self._monotonic()
        self._next = self._taken_up + self._every_seconds
        return True

    def seconds_left(self) -> float:
        """The seconds until its time comes."""
        return max(self._next - self._monotonic(), 0.0)
