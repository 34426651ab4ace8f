"""The daemon: around `App` and an engine, what a process needs that stays: signals, service manager, reload.

The store holds the truth and the engine wakes the verbs; here it is decided when the process begins, looks again and
ends. It knows no feed, account or platform.

    start      no other daemon; what a dead process left is recovered; READY=1
    minute     the file is looked at, everything that is due is woken, `last_tick` is kept, news are told
    end        nothing new is begun; what runs may end; then its connections are cut and it is recorded as unknown
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

from autopublish.app import App, build
from autopublish.config import digest_of
from autopublish.engines.local import LocalEngine
from autopublish.errors import AutopublishError, ConfigError, StoreError
from autopublish.models import State
from autopublish.pipeline import Changed, Polled, Trouble, tell_bug
from autopublish.store import Owner

log = logging.getLogger(__name__)

#: What ends it, and what makes it read its configuration.
_ENDS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_ENDS, signal.SIGHUP)
#: Under this name the store says when the daemon looked at everything last, as ISO 8601 in UTC.
LAST_TICK = "last_tick"
#: What finds the work that no wake-up told of.
_RECONCILE = ("reconcile", "")
#: What may take minutes where a store is large.
_CARE = ("care", "")
#: So many failures in so short a time are no matter of one feed or account: the service manager begins anew.
_MOST_FAILURES = 5
_FAILURES_WITHIN_SECONDS = 600.0
#: Without a watchdog nothing but a signal wakes the main thread.
_LONG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take."""

    #: How often everything is looked at.
    minute: timedelta = timedelta(seconds=60)
    #: Without such a look for so long, the service manager is told no more that all is well.
    silence: timedelta = timedelta(minutes=2)
    #: How often is asked whether the store is to be looked through and copied, and what is not needed any more.
    care: timedelta = timedelta(hours=1)
    #: What runs when the daemon is asked to end may go on for so long,
    grace: timedelta = timedelta(seconds=25)
    #: and for so long be recorded once its connections are cut.
    last: timedelta = timedelta(seconds=3)


class Notifier:
    """Tells the service manager how the process is; without one nobody is told.

    Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is no file: https://man7.org/linux/man-pages/man7/unix.7.html
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = _watchdog_of(environment)

    @property
    def every_seconds(self) -> float | None:
        """How often the watchdog is to be told, half of what it waits; None: it is not."""
        return self._watchdog

    def __call__(self, *lines: str) -> None:
        """The lines are told; a service manager that does not listen is no reason to stop."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(1)
                sender.sendto("\n".join(lines).encode(), self._address)


def _watchdog_of(environment: Mapping[str, str]) -> float | None:
    micros, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not micros.isdecimal() or int(micros) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(micros) / 2_000_000


def _safely(tell: Callable[[str], None]) -> Callable[[str], None]:
    """The same; that nobody reads it any more (a closed terminal, a full disk) is no reason to stop."""

    def told(words: str) -> None:
        with contextlib.suppress(OSError):
            tell(words)

    return told


class Daemon:
    """Works on one configuration until it is asked to end.

    `tell` is called with each line that its operator should read, from any thread.
    """

    def __init__(self, path: Path, *, tell: Callable[[str], None], limits: Limits = Limits()) -> None:
        self._path = path
        self._tell = tell
        self._limits = limits
        self._notify = Notifier(os.environ)

    def run(self) -> bool:
        """Stay until SIGTERM or SIGINT; whether it ended because it was asked to.

        To be called from the main thread, before there is another one; the signals reach nobody else from then on, and
        the process is to end after it.

        Raises:
            StoreBusy: another daemon is at work on the store.
            ConfigError: the file is wrong.
            StoreError: the store cannot be used.
        """
        # Taken one by one by this thread, so that none comes in the middle of something.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        app = build(self._path)
        try:
            with app.store.only_daemon(app.now()), app.store.own("daemon", app.now()) as owner:
                return _Work(app, owner, self._tell, self._limits, self._notify).until_asked_to_end()
        finally:
            app.close()


class _Work:
    """One life of the daemon."""

    def __init__(self, app: App, owner: Owner, tell: Callable[[str], None], limits: Limits, notify: Notifier) -> None:
        self._app = app
        self._tell = _safely(tell)
        self._limits = limits
        self._notify = notify
        self._engine = LocalEngine(clock=app.now)
        self._pipeline, told = app.begin(self._engine, owner)
        #: Of the file as it was looked at last; None: it could not be read.
        self._digest: str | None = app.config.digest
        self._news = News(self._tell)
        self._failures: deque[float] = deque(maxlen=_MOST_FAILURES)
        self._asked_to_reload = Event()
        self._ended = Event()
        #: By `time.monotonic`, when everything was looked at last.
        self._looked = self._cared = time.monotonic()
        for words in told:
            self._tell(words)
        self._engine.handlers.update(
            poll=self._contained(self._pipeline.poll_and_go_on),
            drain=self._contained(self._pipeline.drain_and_go_on),
            reconcile=self._contained(self._reconcile),
            care=self._contained(self._care),
        )

    def until_asked_to_end(self) -> bool:
        """All is done that falls due, until a signal comes or the engine fails; whether it was a signal."""
        worker = Thread(target=self._run_engine, name="autopublish-engine", daemon=True)
        worker.start()
        self._notify("READY=1", self._status())
        self._tell(f"at work: {self._status().removeprefix('STATUS=')}")
        while not self._ended.is_set():
            got = signal.sigtimedwait(_SIGNALS, self._notify.every_seconds or _LONG_SECONDS)
            if got is not None and got.si_signo in _ENDS:
                break
            if got is not None:
                self._asked_to_reload.set()
                self._engine.wake(*_RECONCILE)
            self._feed_watchdog()
        failed = self._ended.is_set()
        self._end(worker)
        return not failed

    def _run_engine(self) -> None:
        try:
            self._engine.run_until_stopped(_RECONCILE, every_seconds=self._limits.minute.total_seconds())
        except BaseException as error:  # noqa: BLE001 - the process ends because of it, and the main thread says so
            tell_bug(log, "the engine failed", error)
        finally:
            self._ended.set()
            # The main thread waits for nothing but signals.
            os.kill(os.getpid(), signal.SIGTERM)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end(self, worker: Thread) -> None:
        """Nothing is begun any more, and what ran has ended and is recorded; or the process is gone."""
        self._notify("STOPPING=1")
        self._engine.stop()
        if not self._wait_for_end(self._limits.grace):
            self._tell("ending: what is still being sent is cut off now, and looked up at the next start")
            self._app.client.cut_off()
            self._wait_for_end(self._limits.last, interruptible=False)
        worker.join(1)
        if worker.is_alive():
            # A name that is being looked up, a disk that hangs: the next start finds it as after a crash.
            self._tell("ended in the middle of something; the next start looks it up")
            os._exit(0)
        with contextlib.suppress(StoreError):  # the next start says what is wrong with it
            # Whoever goes on with `run` has no daemon that could be stuck.
            self._app.store.keep_note(LAST_TICK, "")
        self._tell("ended; nothing is lost")

    def _wait_for_end(self, most: timedelta, *, interruptible: bool = True) -> bool:
        """Whether all has ended, after `most` or at the next signal at the latest."""
        until = time.monotonic() + most.total_seconds()
        while not self._ended.is_set() and (left := until - time.monotonic()) > 0:
            # The engine's end is told by a signal, too.
            got = signal.sigtimedwait(_ENDS, left)
            if got is not None and interruptible:
                break
        return self._ended.is_set()

    # --- each minute -------------------------------------------------------------------------------------------------

    def _reconcile(self, _: str) -> None:
        self._look_at_file()
        self._pipeline.wake_all()
        self._app.store.keep_note(LAST_TICK, self._app.now().isoformat())
        self._looked = time.monotonic()
        self._notify(self._status())
        if self._looked - self._cared >= self._limits.care.total_seconds():
            self._cared = self._looked
            self._pipeline.forgive()
            self._engine.wake(*_CARE)

    def _care(self, _: str) -> None:
        for words in self._app.care():
            self._tell(words)

    def _feed_watchdog(self) -> None:
        """The service manager is told that all is well, if that is so."""
        if time.monotonic() - self._looked < self._limits.silence.total_seconds():
            self._notify("WATCHDOG=1")

    def _look_at_file(self) -> None:
        """A changed file is taken over, and so is what a person asks for; a wrong one is told once."""
        asked = self._asked_to_reload.is_set()
        self._asked_to_reload.clear()
        if asked:
            self._news.forget("configuration")
        digest = None
        try:
            digest = digest_of(self._app.path)
            if asked or digest != self._digest:
                self._reload()
            # Kept once it is dealt with: what fails for another reason is tried again in a minute.
            self._digest = digest
        except ConfigError as error:
            self._digest = digest
            words = "\n".join(str(problem) for problem in error.problems)
            self._news.tell_once("configuration", f"{words}\nThe configuration of before stays in force")

    def _reload(self) -> None:
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            told = self._app.reload()
            self._pipeline.check_secrets()
        finally:
            self._notify("READY=1")
        self._news.forget("configuration")
        self._tell("the configuration was read again and is in force")
        for words in told:
            self._tell(words)

    def _tell_news(self) -> None:
        journal = self._pipeline.journal.take()
        for polled in journal.polled:
            self._news.tell_poll(polled)
        for changed in journal.changed.values():
            self._news.tell_change(changed)
        for trouble in journal.troubles.values():
            self._news.tell_trouble(trouble)

    def _status(self) -> str:
        feeds, accounts = len(self._app.config.feeds), len(self._app.config.accounts)
        return f"STATUS={feeds} feed{'s' * (feeds != 1)}, {accounts} account{'s' * (accounts != 1)}"

    # --- failures ----------------------------------------------------------------------------------------------------

    def _contained(self, handler: Callable[[str], None]) -> Callable[[str], None]:
        """The handler, whose failure ends nothing but this call, unless failures come one after the other."""

        def call(key: str) -> None:
            try:
                handler(key)
            except Exception as error:
                self._failed(error)
                if self._fails_again_and_again():
                    self._tell(f"{_MOST_FAILURES} failures in a few minutes: ending, to be started anew")
                    raise
            self._tell_news()

        return call

    def _failed(self, error: Exception) -> None:
        self._failures.append(time.monotonic())
        if isinstance(error, AutopublishError):
            self._news.tell_once("failure", str(error))
        else:
            tell_bug(log, "the daemon failed", error)
            self._news.tell_once("failure", f"the program failed ({type(error).__name__}): please report it")

    def _fails_again_and_again(self) -> bool:
        many = len(self._failures) == _MOST_FAILURES
        return many and self._failures[-1] - self._failures[0] < _FAILURES_WITHIN_SECONDS


class News:
    """Tells what its operator should read, and nothing twice in a row of one subject."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def tell_once(self, subject: str, words: str) -> None:
        """The words are told unless they were the last that were told of the subject."""
        if self._told.get(subject) != words:
            self._told[subject] = words
            self._tell(words)

    def forget(self, subject: str) -> None:
        """What is told of the subject next is told, whatever was told last."""
        self._told.pop(subject, None)

    def tell_poll(self, polled: Polled) -> None:
        """A feed that cannot be read, that it can be again, and what its polls have to say."""
        subject = f"feed {polled.feed}"
        if polled.failed:
            self.tell_once(subject, f"{polled.feed}: cannot be read: {polled.reason}")
        elif polled.status not in ("waiting", "busy"):
            if self._told.pop(subject, None) is not None:
                self._tell(f"{polled.feed}: is read again")
            if polled.reason and not polled.told_before:
                self.tell_once(f"reason {polled.feed}", f"{polled.feed}: {polled.reason}")

    def tell_change(self, changed: Changed) -> None:
        """What became of a delivery."""
        delivery, article = changed.delivery, changed.article
        if delivery.state in (changed.was, State.READY, State.SENDING):
            return
        about = delivery.receipt.url if delivery.receipt and delivery.receipt.url else delivery.reason
        words = f"{delivery.account}: {delivery.state.value.lower().replace('_', ' ')}: {article.title or article.link}"
        self._tell(f"{words} ({about})" if about else words)

    def tell_trouble(self, trouble: Trouble) -> None:
        """What an account cannot do without a person."""
        if trouble.failed:
            self.tell_once(f"account {trouble.account}", f"{trouble.account}: {trouble.reason}")
