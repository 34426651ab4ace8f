"""The local engine: one machine, one pool of threads, and for each key one call at a time.

A key woken while it is being worked on is called once more afterwards. A stuck account or feed holds one thread and
delays no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition

#: Verbs that may be broken off anywhere and only be repeated.
REPEATABLE = frozenset({"poll"})
#: Slow hosts and networks are waited for in so many threads; more only cost (the interpreter lock is handed over).
THREADS = 8

Key = tuple[str, str]


class LocalEngine:
    """Calls `handlers[verb](key)` for each key that was woken, until all is quiet."""

    def __init__(self, *, threads: int = THREADS) -> None:
        #: What is called for each verb.
        self.handlers: dict[str, Callable[[str], None]] = {}
        self._threads = threads
        self._queue: deque[Key] = deque()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        #: How many handlers are at work now.
        self._begun = 0
        self._failure: BaseException | None = None
        # Re-entrant: an interrupt may come while this very thread holds it.
        self._changed = Condition()

    @property
    def is_stopping(self) -> bool:
        """Whether a handler raised or the program was interrupted: nothing new is begun."""
        return self._failure is not None

    def wake(self, verb: str, key: str) -> None:
        """Ask for one call; several before it begins are one."""
        with self._changed:
            job = (verb, key)
            if job in self._running:
                self._again.add(job)
            elif job not in self._queue:
                self._queue.append(job)
                self._changed.notify()

    def run_until_quiet(self, jobs: Iterable[Key] = ()) -> None:
        """Work until nothing is woken and nothing runs.

        Raises:
            BaseException: the first that a handler raised; what was running then has ended, the rest was not begun.
        """
        for verb, key in jobs:
            self.wake(verb, key)
        # One job after the other needs no thread, and an idle run pays for none. Not so for what must not be broken
        # off: an interrupt is raised in this thread, wherever it is.
        while len(self._queue) == 1 and self._queue[0][0] in REPEATABLE:
            self._work(self._queue.popleft())
            if self._failure is not None:
                raise self._failure
        if self._queue:
            self._run_in_threads()

    def _run_in_threads(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._threads, thread_name_prefix="autopublish") as pool:
            try:
                self._hand_out(pool.submit)
            except BaseException as error:  # noqa: BLE001 - kept, and raised once what runs has ended
                # An interrupt reaches this thread alone: begin nothing more, let what runs end and be recorded.
                self._fail(error)
        # The pool does not join a thread at whose start it was interrupted: we wait for what it began ourselves.
        with self._changed:
            self._changed.wait_for(lambda: self._begun == 0)
        if self._failure is not None:
            raise self._failure

    def _hand_out(self, submit: Callable[[Callable[[Key], None], Key], object]) -> None:
        with self._changed:
            while True:
                while self._queue and len(self._running) < self._threads and self._failure is None:
                    job = self._queue.popleft()
                    self._running.add(job)
                    submit(self._work, job)
                if not self._running:
                    return
                self._changed.wait()

    def _work(self, job: Key) -> None:
        with self._changed:
            if self._failure is not None:
                self._running.discard(job)
                self._changed.notify_all()
                return
            self._running.add(job)
            self._begun += 1
        verb, key = job
        try:
            self.handlers[verb](key)
        except BaseException as error:  # noqa: BLE001 - kept for the thread that waits, which raises it
            self._fail(error)
        finally:
            with self._changed:
                self._begun -= 1
                self._running.discard(job)
                if job in self._again:
                    self._again.discard(job)
                    self._queue.append(job)
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Nothing new is begun; the first error is the one that is raised."""
        with self._changed:
            self._failure = self._failure or error
