"""Telling: what was found reaches a person, by the first channel that takes it, and a monitor hears that all is well.

    due        of the alerts that have not ended, what `alerts.telling` says is to be told now
    notice     one for all of it: a line for each that says what is the matter and what to do
    channels   in the order of the configuration, until one takes it; if none does, again after 1, 5, 15, 60 minutes
    told       written after that: a process that dies in between tells it again
    ping       while what the program is for goes on, and alerts reach somebody

Knows no kind of channel: `Ways` says which there are. What is not told stays in the store, where `status` shows it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from autopublish import alerts
from autopublish.alerts import Telling
from autopublish.channels import Channel, Notice, Told
from autopublish.errors import ChannelError, ConfigError, SecretError
from autopublish.health import LAST_TICK, MOST_BETWEEN_RUNS, MOST_BETWEEN_TICKS, age_in_words, tick_of
from autopublish.models import AccountState, Alert, AlertKind, Feed, Standing, State, Tell, Urgency
from autopublish.redaction import redact
from autopublish.store import Count, Store
from autopublish.text import shorten

log = logging.getLogger(__name__)

#: The store's notes: which channels the configuration has, when the monitor was called last, and what failed.
PLAN: Final = "alerting"
PINGED: Final = "pinged"
NOT_PINGED: Final = "monitor not called"
FAILED: Final = "alerts not told"
#: How long nobody is asked after all channels failed so often in a row.
WAITS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
#: A program that fails as a whole is told of so often at most.
WITHOUT_STORE_APART: Final = timedelta(hours=1)
#: Where nobody is to be told, what lasts not is forgotten after so long.
_UNHEARD: Final = timedelta(days=7)
#: Sites that ask for a pause are obeyed, and yet a program of which all do so for so long is of no use.
_MOST_WAITING: Final = timedelta(hours=6)
#: So many alerts stand in one notice.
_MOST: Final = 50
_TITLE_LENGTH: Final = 120
#: What is due within a tenth of its time counts as due: cron is never on the second.
_EARLY: Final = 0.1
_LEASE: Final = ("alerts",)
#: In which state what an alert counts waits.
_COUNTED: Final = {
    AlertKind.HELD: State.HELD,
    AlertKind.REVIEW: State.NEEDS_REVIEW,
    AlertKind.REJECTED: State.REJECTED,
}
_OF_FEEDS: Final = (AlertKind.FEED, AlertKind.QUIET_FEED, AlertKind.NOTICE)


class Leases(Protocol):
    """Which process tells, and no other one does."""

    def take(self, verb: str, subjects: Iterable[str], /) -> Mapping[str, str]:
        """Every subject is ours, except those given."""

    def give_back(self, verb: str, subjects: Iterable[str], /) -> None:
        """None of these is ours any more."""


class Monitor(Protocol):
    """What is called while all is well."""

    def check(self) -> None:
        """What it needs is there."""

    def well(self, counts: Mapping[str, int], /) -> None:
        """It knows that all is well."""

    def unwell(self, counts: Mapping[str, int], /) -> None:
        """It knows that people are to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The channels of a configuration; each is made when it is used, since its secrets are looked up then."""

    #: By kind, in the order in which they are tried. Raise SecretError and ChannelError.
    channels: Mapping[str, Callable[[], Channel]] = field(default_factory=dict)
    tell: Tell = Tell.FIRST
    #: Raises SecretError.
    monitor: Callable[[], Monitor] | None = None
    #: The configuration's path.
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the store remembers of the channels, so that a run that has nothing to tell need not read the file."""

    channels: tuple[str, ...] = ()
    #: How often the monitor is called; None: there is none.
    every: timedelta | None = None

    def note(self) -> str:
        """The plan as the store keeps it."""
        seconds = self.every.total_seconds() if self.every else None
        return json.dumps({"channels": self.channels, "every_seconds": seconds})

    @classmethod
    def of(cls, note: str | None) -> Plan:
        """The plan that the store keeps; nobody is told where it keeps none."""
        if not note:
            return cls()
        kept = json.loads(note)
        seconds = kept["every_seconds"]
        return cls(channels=tuple(kept["channels"]), every=timedelta(seconds=seconds) if seconds else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of a notice in one channel."""

    channel: str
    #: Why it was not taken; None: it was.
    failure: str | None = None


# --- words -----------------------------------------------------------------------------------------------------------


class Phrases:
    """Alerts in words, by what the store says at this moment."""

    def __init__(self, store: Store) -> None:
        self._feeds = {feed.id: feed.settings.name for feed in store.feeds()}
        self._counts = store.counts()

    def subject(self, alert: Alert) -> str:
        """The account or the feed's name; empty where it is about neither."""
        subject = alert.cause.subject
        return self._feeds.get(subject, subject) if alert.cause.kind in _OF_FEEDS else subject

    def words(self, alert: Alert) -> str:
        """What is the matter now, and what to do about it."""
        return alerts.in_words(alert.cause, count_of(alert, self._counts))

    def told(self, alert: Alert, what: Telling, now: datetime) -> Told:
        """The alert as a notice tells it."""
        since = age_in_words(max((alert.over or now) - alert.raised, timedelta(0)))
        match what:
            case Telling.REMINDER if alert.cause.kind is not AlertKind.EXPIRY:
                words = f"still, for {since}: {self.words(alert)}"
            case Telling.ALL_CLEAR:
                words = f"over, after {since}: {_briefly(alert)}"
            case _:
                words = self.words(alert)
        return Told(
            kind=alert.cause.kind.value,
            subject=self.subject(alert),
            words=redact(words),
            since=alert.raised,
            telling=what.value,
        )


def count_of(alert: Alert, counts: Sequence[Count]) -> int:
    """How many deliveries wait for what the alert is about."""
    cause, state = alert.cause, _COUNTED.get(alert.cause.kind)
    return sum(
        one.count
        for one in counts
        if one.account == cause.subject
        and one.state is state
        and (not cause.detail or (one.reason or "").partition(":")[0] == cause.detail)
    )


def _briefly(alert: Alert) -> str:
    """What was the matter, without what was to be done."""
    cause = alert.cause
    if cause.kind not in _COUNTED:
        return cause.words.partition(". ")[0]
    what = {AlertKind.HELD: "posts held", AlertKind.REVIEW: "posts in doubt", AlertKind.REJECTED: "posts refused"}
    return f"{cause.subject}: {what[cause.kind]} ({cause.words})"


def notice_of(identity: str, told: Sequence[Told], *, file: Path, now: datetime) -> Notice:
    """One notice of all this, the first of which is its title."""
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    # What is the matter; what to do about it stands below.
    first = " ".join(told[0].words.split()).partition(". ")[0]
    title = f"autopublish: {shorten(first, lambda kept: len(kept) <= _TITLE_LENGTH)}{more}"
    left = len(told) - _MOST
    paragraphs = [
        *(_ended(one.words) for one in told[:_MOST]),
        *([f"And {left} more: `autopublish alerts list` shows all of them."] if left > 0 else []),
        f"This comes from autopublish on {socket.gethostname()}, configuration {file}; see `autopublish status`.",
    ]
    return Notice(
        id=identity, at=now, title=redact(title), text=redact("\n\n".join(paragraphs)), alerts=tuple(told[:_MOST])
    )


def _ended(words: str) -> str:
    """The words as a sentence, or some."""
    return words if words.endswith((".", "?", "!", "…")) else f"{words}."


def trial_notice(file: Path, now: datetime) -> Notice:
    """A notice that says that it is none."""
    words = "this is a test: alerts reach you here. Nothing is wrong, and nothing is to be done"
    told = Told(kind="test", subject="", words=words, since=now, telling="test")
    return notice_of(_identity("test", now.isoformat(), os.urandom(8).hex()), (told,), file=file, now=now)


def _identity(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:32]


# --- channels --------------------------------------------------------------------------------------------------------


def tell_through(ways: Ways, notice: Notice, stopping: Callable[[], bool] = lambda: False) -> tuple[Tried, ...]:
    """What became of the notice in each channel that was tried: up to the first that took it, or in all."""
    tried: list[Tried] = []
    for kind in ways.channels:
        if stopping() or (ways.tell is Tell.FIRST and any(one.failure is None for one in tried)):
            break
        tried.append(tell_one(ways, kind, notice))
    return tuple(tried)


def tell_one(ways: Ways, kind: str, notice: Notice) -> Tried:
    """What became of the notice in this channel; `ping` is the monitor, which is called as if all were well."""
    try:
        # Held until its failure is in words: as long as it lives its secrets are looked for.
        channel = _made(ways, kind)
        try:
            if isinstance(channel, Channel):
                channel.tell(notice)
            else:
                channel.well({})
        except ChannelError as error:
            return Tried(channel=kind, failure=redact(str(error)))
    except (ChannelError, SecretError) as error:
        return Tried(channel=kind, failure=redact(str(error)))
    except Exception as error:  # noqa: BLE001 - a bug in one channel must not keep the others from telling it
        place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        # Without its text, which may hold anything.
        log.error(  # noqa: TRY400
            "channel failed: channel=%s error=%s traceback=%s", kind, type(error).__name__, place
        )
        return Tried(channel=kind, failure=f"the program failed ({type(error).__name__}): please report it")
    return Tried(channel=kind)


def _made(ways: Ways, kind: str) -> Channel | Monitor:
    """The channel, or the monitor under the name `ping`.

    Raises:
        SecretError: a secret is missing, empty or a sample.
    """
    return ways.channels[kind]() if kind in ways.channels or ways.monitor is None else ways.monitor()


def tell_without_store(ways: Ways, words: str, *, mark: Path, now: datetime) -> tuple[Tried, ...]:
    """People have heard that the store itself fails, unless they did within the last hour; `mark` remembers that.

    Nothing is kept but the time of a file: where not even that can be changed, it is told each time.
    """
    if not _is_due_by(mark, now):
        return ()
    told = Told(kind="store", subject="", words=redact(words), since=now, telling=Telling.FIRST.value)
    notice = notice_of(_identity("store", now.isoformat()), (told,), file=ways.file, now=now)
    tried = tell_through(ways, notice)
    if any(one.failure is None for one in tried):
        _keep_time(mark, now)
    return tried


def _marks(mark: Path) -> tuple[Path, ...]:
    """Beside the store, or where everyone may write if the store's disk takes nothing."""
    import tempfile  # an idle run has no use for it

    digest = sha256(str(mark).encode(errors="surrogateescape")).hexdigest()[:16]
    return (mark, Path(tempfile.gettempdir()) / f"autopublish-told-{os.getuid()}-{digest}")


def _is_due_by(mark: Path, now: datetime) -> bool:
    for path in _marks(mark):
        with suppress(OSError):
            told = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            if timedelta(0) <= now - told < WITHOUT_STORE_APART:
                return False
    return True


def _keep_time(mark: Path, now: datetime) -> None:
    for path in _marks(mark):
        with suppress(OSError):
            # A link that somebody else laid there is not followed.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.utime(handle, (now.timestamp(), now.timestamp()))
            finally:
                os.close(handle)
            return


# --- the teller ------------------------------------------------------------------------------------------------------


class Teller:
    """Tells what is due; several processes on one store tell nothing twice.

    `ways` is called only when something is to be told: it reads the configuration. `say` is told, once in a row, what
    keeps alerts from being told.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        ways: Callable[[], Ways],
        leases: Leases,
        say: Callable[[str], None],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ways = ways
        self._leases = leases
        self._say = say
        self._stopping = stopping
        self._said: dict[str, str] = {}

    def round(self) -> None:
        """What is due was told or waits for its next try, and the monitor was called if that was due.

        Raises:
            StoreError: the store cannot be used.
        """
        plan = Plan.of(self._store.note(PLAN))
        now = self._clock()
        if not (self._has_to_tell(plan, now) or self._is_ping_due(plan, now)):
            return
        if self._leases.take("tell", _LEASE):
            return
        try:
            # Another process may have told it before this one was let in.
            self._tell_due(plan, now)
            if self._is_ping_due(plan, now):
                self._ping(now)
        except ConfigError as error:
            # Changed at this moment: whoever takes it over tells it.
            log.info("alerts wait for the configuration: reason=%s", error)
        finally:
            self._leases.give_back("tell", _LEASE)

    def forget_failures(self) -> None:
        """What could not be told is tried at once: the channels are others now."""
        if self._store.note(FAILED):
            self._store.keep_note(FAILED, "")

    # --- alerts ------------------------------------------------------------------------------------------------------

    def _due(self, now: datetime) -> list[tuple[Alert, Telling]]:
        """What is to be told now, and what merely ends."""
        live = self._store.alerts()
        found = [(alert, what) for alert in live if (what := alerts.telling(alert, now)) is not None]
        if not any(_says_again_that_it_is_away(*one) for one in found):
            return found
        # For a network that stays away such a reminder is due in each round: what is posted is not counted for it.
        waits = {work.account for work in self._store.work()}
        return [one for one in found if not _says_again_that_it_is_away(*one) or one[0].cause.subject in waits]

    def _has_to_tell(self, plan: Plan, now: datetime) -> bool:
        due = self._due(now)
        if all(what is Telling.END for _, what in due):
            # What could not be told is over.
            self.forget_failures()
            return bool(due)
        if any(what is Telling.END for _, what in due) or self._unheard(due, plan, now):
            return True
        return bool(plan.channels) and self._may_try(now)

    def _unheard(self, due: Sequence[tuple[Alert, Telling]], plan: Plan, now: datetime) -> list[Alert]:
        """Notices that nobody is there to be told of."""
        if plan.channels:
            return []
        old = now - _UNHEARD
        return [alert for alert, _ in due if alert.cause.kind is AlertKind.NOTICE and alert.raised < old]

    def _may_try(self, now: datetime) -> bool:
        _, until = _failures_of(self._store.note(FAILED))
        # A clock that was set back must not make it wait for longer than it ever would.
        return until is None or now >= until or until - now > WAITS[-1]

    def _tell_due(self, plan: Plan, now: datetime) -> None:
        due = self._due(now)
        ends = [alert for alert, what in due if what is Telling.END] + self._unheard(due, plan, now)
        if ends:
            self._store.keep_told([(alert, True) for alert in ends], now)
        to_tell = sorted(((alert, what) for alert, what in due if what is not Telling.END), key=_first_things_first)
        if not (to_tell and plan.channels and self._may_try(now)):
            return
        phrases, ways = Phrases(self._store), self._ways()
        identity = _identity(*sorted(f"{alert.id} {alert.tellings} {what}" for alert, what in to_tell))
        told = [phrases.told(alert, what, now) for alert, what in to_tell]
        tried = tell_through(ways, notice_of(identity, told, file=ways.file, now=now), self._stopping)
        self._note(tried, now)
        if any(one.failure is None for one in tried):
            self._store.keep_told([_after(alert, what, now) for alert, what in to_tell], now)
            log.info("alerts told: alerts=%d", len(to_tell))

    def _note(self, tried: Sequence[Tried], now: datetime) -> None:
        """What failed is said once, and tried again later if nothing was taken."""
        for one in tried:
            if one.failure is None:
                self._said.pop(one.channel, None)
            elif self._said.get(one.channel) != one.failure:
                self._said[one.channel] = one.failure
                log.warning("alert not told: channel=%s reason=%s", one.channel, one.failure)
        if any(one.failure is None for one in tried):
            self.forget_failures()
        elif tried:
            failures, _ = _failures_of(self._store.note(FAILED))
            until = self._clock() + WAITS[min(failures, len(WAITS) - 1)]
            self._store.keep_note(FAILED, f"{failures + 1} {until.isoformat()}")
            if failures == 0:
                reasons = "; ".join(f"{one.channel}: {one.failure}" for one in tried)
                self._say(f"alerts cannot be told: {reasons}. They are kept and told later; `autopublish alerts list`")

    # --- the monitor -------------------------------------------------------------------------------------------------

    def _is_ping_due(self, plan: Plan, now: datetime) -> bool:
        if plan.every is None:
            return False
        pinged = _time_of(self._store.note(PINGED))
        return pinged is None or not timedelta(0) <= now - pinged < plan.every * (1 - _EARLY)

    def _ping(self, now: datetime) -> None:
        """The monitor was called, as unwell if alerts reach nobody, and not at all if the program is of no use."""
        store, tick = self._store, tick_of(self._store.note(LAST_TICK))
        failures, _ = _failures_of(store.note(FAILED))
        why = useless(store.feeds(), tick, now) or unable(store.standings().values())
        if why is not None and not failures:
            log.warning("monitor not called: reason=%s", why)
            return
        before = store.note(PINGED) or ""
        # First, since that is what is to be shown: the store can be written.
        store.keep_note(PINGED, now.isoformat())
        failure = self._call(is_well=not failures)
        if failure is not None:
            store.keep_note(PINGED, before)
        # Kept in the store: each run by cron is a process of its own, and what it says is mailed.
        if (failure or "") != (store.note(NOT_PINGED) or ""):
            store.keep_note(NOT_PINGED, failure or "")
            if failure is not None:
                self._say(f"the monitor was not called: {failure}")

    def _call(self, *, is_well: bool) -> str | None:
        """Why the monitor could not be called; None: it was, or it has no address for what is not well."""
        ways = self._ways()
        if ways.monitor is None:
            return None
        counts = Counter({state.value.lower(): 0 for state in State})
        for one in self._store.counts():
            counts[one.state.value.lower()] += one.count
        try:
            monitor = ways.monitor()
            try:
                (monitor.well if is_well else monitor.unwell)(counts)
            except ChannelError as error:
                return redact(str(error))
        except SecretError as error:
            return redact(str(error))
        return None


def useless(feeds: Sequence[Feed], tick: datetime | None, now: datetime) -> str | None:
    """Why the program is of no use at the moment, although it runs; None: it is of use.

    `tick` is the daemon's last one, None where there is no daemon.
    """
    if tick is not None and now - tick > MOST_BETWEEN_TICKS:
        return "the last tick is too long ago"
    asked = [feed for feed in feeds if not feed.gone]
    if not asked:
        return "there is no feed to ask"
    answered = [at for feed in asked if (at := _answered(feed)) is not None]
    # Who was told to wait does so; a site that is away (503) says that, too, and then nothing goes on.
    free = [feed for feed in asked if not (feed.not_before and feed.not_before > now)]
    if not free:
        is_long = not answered or now - max(answered) > _MOST_WAITING
        return "no feed has answered for long: all of them asked for a pause" if is_long else None
    most = max(MOST_BETWEEN_RUNS, 3 * min(feed.settings.every for feed in free))
    return None if answered and now - max(answered) <= most else "no feed has answered for too long"


def unable(standings: Iterable[Standing]) -> str | None:
    """Why nothing can be posted, whatever the feeds show; None: something can, or a person wants it so."""
    states = [one.state for one in standings]
    dead = (AccountState.AUTH_BLOCKED, AccountState.SAFE_MODE)
    return "no account may post" if states and all(state in dead for state in states) else None


def _answered(feed: Feed) -> datetime | None:
    """When the feed answered last; an empty one counts."""
    return feed.last_good if feed.failures else feed.last_try


def _says_again_that_it_is_away(alert: Alert, what: Telling) -> bool:
    """Whether nobody need hear it while nothing waits for that network."""
    return alert.cause.kind is AlertKind.AWAY and what is Telling.REMINDER


def _first_things_first(one: tuple[Alert, Telling]) -> tuple[bool, int, datetime]:
    alert, what = one
    order = (Telling.FIRST, Telling.REMINDER, Telling.ALL_CLEAR)
    return alert.cause.urgency is not Urgency.NOW or what is Telling.ALL_CLEAR, order.index(what), alert.raised


def _after(alert: Alert, what: Telling, now: datetime) -> tuple[Alert, bool]:
    """The alert once it was told, and whether there is nothing more to tell."""
    is_last = what is Telling.ALL_CLEAR or alert.cause.kind is AlertKind.NOTICE
    return replace(alert, told=now, tellings=alert.tellings + 1), is_last


def _failures_of(note: str | None) -> tuple[int, datetime | None]:
    """How often all channels failed in a row, and until when nobody is asked."""
    if not note:
        return 0, None
    failures, _, until = note.partition(" ")
    return int(failures), datetime.fromisoformat(until)


def _time_of(note: str | None) -> datetime | None:
    return datetime.fromisoformat(note) if note else None
