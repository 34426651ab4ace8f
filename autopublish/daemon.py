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
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from autopublish import alerts
from autopublish.app import App, build, tell_of_store
from autopublish.config import digest_of
from autopublish.engines.local import CLOCKS, Clocks, LocalEngine
from autopublish.errors import AutopublishError, ConfigError, StoreError, StoreLocked, StoreLost
from autopublish.health import LAST_TICK
from autopublish.models import AccountState, AlertKind, State, Stop
from autopublish.pipeline import Changed, Polled, Trouble, tell_bug
from autopublish.store import Owner, Start

if TYPE_CHECKING:
    from autopublish.listener import Listener

log = logging.getLogger(__name__)

#: What ends it, and what makes it read its configuration.
_ENDS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_ENDS, signal.SIGHUP)
#: What finds the work that no wake-up told of.
_RECONCILE = ("reconcile", "")
#: What may wait for one network after the other.
_CLOCK = ("clock", "")
#: What may take minutes where a store is large.
_CARE = ("care", "")
#: So many failures in so short a time are no matter of one feed or account: the service manager begins anew.
_MOST_FAILURES = 5
_FAILURES_WITHIN_SECONDS = 600.0
#: What tells people of what was found.
_TELL = ("tell", "")
#: Without a watchdog nothing but a signal wakes the main thread.
_LONG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take."""

    #: How often everything is looked at.
    minute: timedelta = timedelta(seconds=60)
    #: Once the engine has not begun such a look for so long, the service manager is told no more that all is well;
    pulse: timedelta = timedelta(seconds=65)
    #: nor once none has ended for so long: it may have to wait for the store.
    silence: timedelta = timedelta(minutes=5)
    #: Nor if every thread hangs in one call for so long.
    stuck: timedelta = timedelta(hours=1)
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

    def __init__(
        self, path: Path, *, tell: Callable[[str], None], limits: Limits = Limits(), clocks: Clocks = CLOCKS
    ) -> None:
        self._path = path
        self._tell = tell
        self._limits = limits
        self._clocks = clocks
        self._notify = Notifier(os.environ)

    def run(self) -> bool:
        """Stay until SIGTERM or SIGINT; whether it ended because it was asked to.

        To be called from the main thread, before there is another one; the signals reach nobody else from then on, and
        the process is to end after it. Where it raises, signals are as they were.

        Raises:
            StoreBusy: another daemon is at work on the store.
            ConfigError: the file is wrong.
            StoreError: the store cannot be used.
        """
        # Taken one by one by this thread, so that none comes in the middle of something.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            return self._work()
        except AutopublishError:
            # Nothing was begun, or all of it has ended: a signal may end whoever called it.
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise

    def _work(self) -> bool:
        app = build(self._path, clock=self._clocks.now)
        try:
            with app.store.only_daemon(app.now()) as start, app.store.own("daemon", app.now()) as owner:
                work = _Work(app, owner, start, self._tell, self._limits, self._clocks, self._notify)
                in_order = work.until_asked_to_end()
                if not in_order:
                    work.tell_of_store()
                return in_order
        finally:
            app.close()


class _Work:
    """One life of the daemon."""

    def __init__(
        self,
        app: App,
        owner: Owner,
        start: Start,
        tell: Callable[[str], None],
        limits: Limits,
        clocks: Clocks,
        notify: Notifier,
    ) -> None:
        self._app = app
        self._tell = _safely(tell)
        self._limits = limits
        self._notify = notify
        self._monotonic = clocks.monotonic
        self._engine = LocalEngine(clock=app.now, wait=clocks.wait, monotonic=clocks.monotonic, alarm=clocks.alarm)
        self._start = start
        for words in app.watch_falls(start.falls):
            self._tell(words)
        self._pipeline, told = app.begin(self._engine, owner)
        #: Of the file as it was looked at last; None: it could not be read.
        self._digest: str | None = app.config.digest
        self._news = News(self._tell)
        self._listener: Listener | None = None
        self._failures: deque[float] = deque(maxlen=_MOST_FAILURES)
        self._failed_at: float | None = None
        #: The accounts that were not ACTIVE when everything was looked at last.
        self._stopped: set[str] = set()
        self._asked_to_reload = Event()
        self._ended = Event()
        #: By the clock that does not jump, when everything was looked at last.
        self._looked = self._cared = self._monotonic()
        for words in told:
            self._tell(words)
        self._engine.handlers.update(
            poll=self._contained("poll", self._pipeline.poll_and_go_on),
            drain=self._contained("drain", self._pipeline.drain_and_go_on),
            reconcile=self._contained("reconcile", self._reconcile),
            clock=self._contained("clock", self._judge_clock),
            care=self._contained("care", self._care),
            tell=self._contained("tell", self._tell_people),
        )
        #: What tells people of alerts.
        self._teller = app.teller(owner, self._tell, lambda: self._engine.is_stopping)
        #: What is wrong with the store itself, where no alert can be written.
        self._store_fails: StoreError | None = None
        #: How often each verb of the program failed in a row for no known reason.
        self._bugs: Counter[str] = Counter()
        # A start is proof that the file is right.
        app.store.clear(AlertKind.CONFIGURATION, "", app.now())

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
        except AutopublishError:
            pass  # told in words when it was raised
        except BaseException as error:  # noqa: BLE001 - the process ends because of it, and the main thread says so
            self._start.hold.falls = True
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
            self._start.hold.end()
            os._exit(0)
        if self._listener is not None:
            self._listener.close()
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
        for words in self._app.watch():
            self._tell(words)
        self._look_at_file()
        self._listen()
        self._news.tell_stop(self._app.store.stop())
        # Before what is woken writes over it.
        self._pipeline.look_back_at_ticks()
        self._pipeline.wake_all()
        self._engine.wake(*_CLOCK)
        self._app.store.keep_note(LAST_TICK, self._app.now().isoformat())
        self._forget_what_is_over()
        self._engine.wake(*_TELL)
        self._looked = self._monotonic()
        self._notify(self._status())
        if self._looked - self._cared >= self._limits.care.total_seconds():
            self._cared = self._looked
            self._pipeline.forgive()
            self._engine.wake(*_CARE)

    def _judge_clock(self, _: str) -> None:
        self._pipeline.judge_clock()

    def _listen(self) -> None:
        """It is listened where the configuration says."""
        address = self._app.config.listen
        if address is not None and self._listener is None:
            # What listens nowhere does not pay for it.
            from autopublish.listener import Listener

            self._listener = Listener(self._app, tell=self._tell)
        if self._listener is not None:
            self._listener.listen(address)

    def _forget_what_is_over(self) -> None:
        """What comes again after it was mended is told again."""
        stopped = {name for name, one in self._app.store.standings().items() if one.state is not AccountState.ACTIVE}
        for name in self._stopped - stopped:
            self._news.forget(f"account {name}")
        self._stopped = stopped
        if self._failed_at is not None and self._monotonic() - self._failed_at > _FAILURES_WITHIN_SECONDS:
            self._news.forget("failure")

    def _care(self, _: str) -> None:
        for words in self._app.care():
            self._tell(words)
        if not self._bugs:
            self._app.store.clear(AlertKind.PROGRAM, "", self._app.now())

    # --- alerts ------------------------------------------------------------------------------------------------------

    def _tell_people(self, _: str) -> None:
        """What is due was told; where the store itself fails, that was."""
        if self._store_fails is not None:
            self.tell_of_store()
        self._teller.round()
        self._store_fails = None

    def tell_of_store(self) -> None:
        """People have heard, once an hour at most, that the store cannot be used, if that is so."""
        if self._store_fails is not None:
            tell_of_store(self._app.path, self._store_fails, clock=self._app.now)

    def _find_in_file(self, error: ConfigError) -> None:
        """There is an alert of the file."""
        cause = alerts.broken_file([str(problem) for problem in error.problems])
        self._app.store.find(cause, self._app.now())
        self._engine.wake(*_TELL)

    def _feed_watchdog(self) -> None:
        """The service manager is told that all is well, if that is so."""
        limits, engine = self._limits, self._engine
        silences = (
            (engine.silent_seconds, limits.pulse),
            (self._monotonic() - self._looked, limits.silence),
            (engine.held_up_seconds, limits.stuck),
        )
        if all(seconds < most.total_seconds() for seconds, most in silences):
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
            if self._news.tell_once("configuration", f"{words}\nThe configuration of before stays in force"):
                self._find_in_file(error)

    def _reload(self) -> None:
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            told = self._app.reload()
            self._pipeline.check_secrets()
        finally:
            self._notify("READY=1")
        self._news.forget("configuration")
        self._app.store.clear(AlertKind.CONFIGURATION, "", self._app.now())
        self._teller.forget_failures()
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

    def _contained(self, verb: str, handler: Callable[[str], None]) -> Callable[[str], None]:
        """The handler, whose failure ends nothing but this call, unless failures come one after the other."""

        def call(key: str) -> None:
            try:
                handler(key)
                self._bugs.pop(verb, None)
                if verb != "tell" and self._app.store.has_urgent():
                    self._engine.wake(*_TELL)
            except Exception as error:
                self._failed(verb, error)
                if isinstance(error, StoreLost):
                    raise
                if self._fails_again_and_again():
                    self._tell(f"{_MOST_FAILURES} failures in a few minutes: ending, to be started anew")
                    raise
            self._tell_news()

        return call

    def _failed(self, verb: str, error: Exception) -> None:
        self._failed_at = self._monotonic()
        # A store that others hold is waited for: all that was begun meanwhile fails at once, and nothing is wrong here.
        if not isinstance(error, StoreLocked):
            self._failures.append(self._monotonic())
        if isinstance(error, StoreError) and not isinstance(error, StoreLocked):
            self._store_fails = error
            self._engine.wake(*_TELL)
        if isinstance(error, AutopublishError):
            self._news.tell_once("failure", str(error))
        else:
            self._find_bug(verb, error)
            tell_bug(log, "the daemon failed", error)
            self._news.tell_once("failure", f"the program failed ({type(error).__name__}): please report it")

    def _find_bug(self, verb: str, error: Exception) -> None:
        """There is an alert of what failed so often in a row that it will not mend itself."""
        self._bugs[verb] += 1
        if self._bugs[verb] >= _MOST_FAILURES:
            with contextlib.suppress(StoreError):  # told by what meets it next
                self._app.store.find(alerts.broken_program(verb, type(error).__name__), self._app.now())

    def _fails_again_and_again(self) -> bool:
        many = len(self._failures) == _MOST_FAILURES
        return many and self._failures[-1] - self._failures[0] < _FAILURES_WITHIN_SECONDS


class News:
    """Tells what its operator should read, and nothing twice in a row of one subject."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def tell_once(self, subject: str, words: str) -> bool:
        """The words are told unless they were the last that were told of the subject; whether they were told now."""
        if self._told.get(subject) == words:
            return False
        self._told[subject] = words
        self._tell(words)
        return True

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
            if not polled.reason:
                self.forget(f"reason {polled.feed}")
            elif not polled.told_before:
                self.tell_once(f"reason {polled.feed}", f"{polled.feed}: {polled.reason}")

    def tell_change(self, changed: Changed) -> None:
        """What became of a delivery."""
        delivery, article = changed.delivery, changed.article
        if delivery.state in (changed.was, State.READY, State.SENDING):
            return
        if delivery.state is State.POSTED:
            self.forget(f"account {delivery.account}")
        about = delivery.receipt.url if delivery.receipt and delivery.receipt.url else delivery.reason
        words = f"{delivery.account}: {delivery.state.value.lower().replace('_', ' ')}: {article.title or article.link}"
        self._tell(f"{words} ({about})" if about else words)

    def tell_stop(self, stop: Stop | None) -> None:
        """That somebody stopped everything, or that it goes on."""
        if stop is not None:
            why = f" ({stop.why})" if stop.why else ""
            since = f"{stop.since:%Y-%m-%d %H:%M:%S} UTC"
            self.tell_once("stop", f"stopped by {stop.who} since {since}{why}. Nothing is sent until `autopublish go`")
        elif self._told.pop("stop", None) is not None:
            self._tell("not stopped any more: what waits is sent")

    def tell_trouble(self, trouble: Trouble) -> None:
        """What an account cannot do without a person."""
        if trouble.failed:
            self.tell_once(f"account {trouble.account}", f"{trouble.account}: {trouble.reason}")
