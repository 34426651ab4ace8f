"""The pipeline: the two verbs for an engine, and recovery. Knows no engine, configuration file or command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING

from autopublish.errors import ConfigError, StoreError
from autopublish.models import AccountState, Feed, Standing, State
from autopublish.pipeline._clock import LONG_PAUSE, ClockWatch
from autopublish.pipeline._due import due_at, goes_on_at, is_due, paced_until
from autopublish.pipeline._links import Links
from autopublish.pipeline._parts import Journal, Parts, Polled, Trouble, tell_bug
from autopublish.pipeline._poll import Poller, host_of

if TYPE_CHECKING:
    from autopublish.pipeline._drain import Drainer
    from autopublish.store import Work

log = logging.getLogger(__name__)


class Pipeline:
    """Polls feeds and drains accounts; `journal` holds what came of it."""

    def __init__(self, parts: Parts, *, stopping: Callable[[], bool] = lambda: False) -> None:
        self._parts = parts
        self._stopping = stopping
        self.journal = Journal()
        self._links = Links(parts)
        self._watch = ClockWatch(parts, self.journal)
        self._poller = Poller(parts, self.journal, self._links, self._watch)
        self._feeds: dict[str, Feed] = {}
        #: Accounts on which the program itself failed: they do not go on by themselves.
        self._broken: set[str] = set()
        #: One thread writes marks, so that whoever gives a feed back knows that its mark is written.
        self._marking = Lock()

    # --- verbs -------------------------------------------------------------------------------------------------------

    def begin_round(self) -> tuple[str, ...]:
        """Read the feeds and who told us to wait; gives the ids, in order, of those that no other process polls."""
        # Read once they are ours: another process may have polled them a moment before.
        known = self._parts.store.feed_ids()
        others = self._parts.leases.take("poll", known)
        self._begin_round()
        self._tell_busy(others)
        return tuple(key for key in known if key in self._feeds and key not in others)

    def _begin_round(self) -> None:
        self._feeds = {feed.id: feed for feed in self._parts.store.feeds()}
        self._watch.look_back(self._feeds.values())
        self._poller.begin_round()
        self._links.begin_round()

    def _tell_busy(self, others: Mapping[str, str]) -> None:
        for key in others:
            if key in self._feeds:
                polled = Polled(
                    feed=self._feeds[key].settings.name,
                    status="busy",
                    reason=f"{others[key]} is polling it",
                    told_before=True,
                )
                self.journal.add_poll(polled)

    def feed_names(self) -> tuple[str, ...]:
        """The feeds of the round in their order."""
        return tuple(feed.settings.name for feed in self._feeds.values())

    def begin_due_round(self) -> tuple[str, ...]:
        """As `begin_round`, but only the feeds that are due by their `every`; the others are noted as `not due`."""
        self._begin_round()
        now, due = self._parts.clock(), []
        for key, feed in self._feeds.items():
            # One that is gone costs nothing, and is told in each run.
            if feed.gone or is_due(feed, now):
                due.append(key)
            else:
                self.journal.add_poll(Polled(feed=feed.settings.name, status="not due"))
        others = self._parts.leases.take("poll", due)
        self._tell_busy(others)
        ours = tuple(key for key in due if key not in others)
        self._feeds.update((key, self._parts.store.feed(key)) for key in ours)
        return ours

    def poll(self, feed: str) -> None:
        """Poll one feed of the round."""
        known = self._feeds[feed]
        try:
            self._poller.poll(known)
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - told and contained
            # A bug must not stop the other feeds; it is told as what it is.
            tell_bug(log, "poll failed", error, feed=known.settings.name)
            reason = f"the program failed on this feed ({type(error).__name__}): please report it"
            self.journal.add_poll(Polled(feed=known.settings.name, status="failed", reason=reason))

    def end_round(self) -> None:
        """Write the marks of polls that showed nothing new; nothing is ours any more."""
        if "_drainer" in self.__dict__:
            with suppress(StoreError):  # raised already by what met it first; the next run looks it up
                self._drainer.write_kept()
        self._flush()
        self._watch.judge(self._ask_the_time)
        self._parts.leases.give_all_back()

    def look_back_at_ticks(self) -> None:
        """What the ticks and polls of before say of the clock is kept: before anything is written over it."""
        self._watch.look_back_at_ticks()

    def judge_clock(self) -> None:
        """Every account stops while two servers say that the clock is wrong, and goes on once two agree with it.

        It may take long: networks that are stopped are asked for the time, one after the other.
        """
        self._watch.judge(self._ask_of_stopped)

    def _ask_the_time(self, is_enough: Callable[[], bool]) -> None:
        self._drainer.ask_the_time(is_enough, of=(AccountState.ACTIVE, AccountState.SAFE_MODE))

    def _ask_of_stopped(self, is_enough: Callable[[], bool]) -> None:
        # What is drained meanwhile is left alone: one thread at a time uses an account's connection.
        self._drainer.ask_the_time(is_enough, of=(AccountState.SAFE_MODE,))

    def _flush(self) -> None:
        with self._marking:
            self._poller.flush()

    def poll_and_go_on(self, feed: str) -> None:
        """Poll one feed if it is due and no other process polls it, and have it woken when it is due again."""
        leases = self._parts.leases
        if leases.take("poll", (feed,)):
            return  # whether it is due then is looked at again within a minute
        try:
            at = self._poll_if_due(feed)
        finally:
            leases.give_back("poll", (feed,))
        if at is not None and at > self._parts.clock():
            self._parts.wake("poll", feed, at)

    def _poll_if_due(self, key: str) -> datetime | None:
        """When the feed, which is ours, is due next; None: no name claims it any more, or it is gone."""
        store = self._parts.store
        if key not in store.feed_ids():
            return None
        # Whoever woke it may have seen it as it was before the last poll.
        if self._polled_at(feed := store.feed(key)) <= self._parts.clock():
            self._feeds[key] = feed
            if feed.last_try is not None and self._parts.clock() - feed.last_try > LONG_PAUSE:
                # The machine may have slept, and woken us by this very feed.
                self._watch.look_back_at_ticks()
            self._poller.begin_round()
            self.poll(key)
            self._flush()
            feed = store.feed(key)
        return None if feed.gone else self._polled_at(feed)

    def _polled_at(self, feed: Feed) -> datetime:
        at = due_at(feed, self._parts.clock())
        return max(at, feed.not_before or at)

    def drain(self, account: str) -> None:
        """Look up what is unknown and send what is due on one account, unless another process does."""
        if self._is_ours(account):
            self._drain(account)

    def _is_ours(self, account: str) -> bool:
        holder = self._parts.leases.take("drain", (account,)).get(account)
        if holder is not None:
            reason = f"busy: {holder} is at work on it"
            self.journal.add_trouble(Trouble(account=account, reason=reason, failed=False, told_before=True))
        return holder is None

    def _drain(self, account: str) -> None:
        try:
            self._drainer.drain(account)
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - told and contained
            tell_bug(log, "drain failed", error, account=account)
            reason = f"the program failed on this account ({type(error).__name__}): please report it"
            self.journal.add_trouble(Trouble(account=account, reason=reason))
            self._broken.add(account)

    def drain_and_go_on(self, account: str) -> None:
        """As `drain`, and recover what a dead process left; the account is woken when the next of it falls due."""
        self.journal.end_wait(account)
        if self._is_ours(account):
            try:
                self._recover((account,))
                self._drain(account)
            finally:
                self._parts.leases.give_back("drain", (account,))
        self._wake_later((account,))

    def recover(self) -> int:
        """Settle what a dead process left in the middle of a call; gives how many there were.

        A call of a process that lives is its own: it holds the account, however long it stands still.
        """
        accounts = {delivery.account for delivery, _ in self._parts.store.left_sending()}
        others = self._parts.leases.take("drain", accounts)
        return self._recover(accounts - others.keys())

    def _recover(self, accounts: Collection[str]) -> int:
        """Of these accounts, which are ours."""
        # Read once they are: what another process ended meanwhile is not there any more.
        left = [one for one in self._parts.store.left_sending() if one[0].account in accounts] if accounts else []
        for delivery, attempt in left:
            self._drainer.recover_left_sending(delivery, attempt)
        return len(left)

    def check_secrets(self) -> None:
        """Block every account whose secrets cannot be had."""
        self._drainer.check_secrets()

    @cached_property
    def _drainer(self) -> Drainer:
        # Imported here: a run without news must not pay for platforms and posts.
        from autopublish.pipeline._drain import Drainer

        return Drainer(self._parts, self.journal, self._links, self._watch, stopping=self._stopping)

    # --- what there is to do -----------------------------------------------------------------------------------------

    def wake_all(self) -> None:
        """Have every feed and every account woken when it has something to do, by what the store says now.

        What a person decided meanwhile, and what another process left, is among it.
        """
        now, store, wake = self._parts.clock(), self._parts.store, self._parts.wake
        hosts = store.hosts_waiting(now)
        for feed in store.feeds():
            at = max(self._polled_at(feed), hosts.get(host_of(feed), now))
            if not feed.gone:
                wake("poll", feed.id, at if at > now else None)
        for account in self._looked_at_each_time(now):
            wake("drain", account)
        self.wake_waiting()

    def _looked_at_each_time(self, now: datetime) -> Iterable[str]:
        """The accounts whose standing may let something go on that no time tells."""
        standings = self._parts.store.standings()
        self._watch.note(standings.values())
        # Its credentials may have been mended.
        names = {name for name, one in standings.items() if one.state is AccountState.AUTH_BLOCKED}
        names.update(self._parts.store.renewals(now))
        for work in self._parts.store.work():
            standing = standings.get(work.account)
            stands = standing is None or standing.state is not AccountState.ACTIVE
            if work.state is State.SENDING or (work.state is State.VERIFYING and work.at <= now and stands):
                names.add(work.account)
        return sorted(names)

    def forgive(self) -> None:
        """Accounts on which the program failed may go on by themselves again."""
        self._broken.clear()

    def wake_waiting(self) -> tuple[str, ...]:
        """Have every account woken when it goes on by itself, by what a person decided meanwhile too; gives these."""
        self._links.begin_round()
        return self._wake_later(sorted({work.account for work in self._work()} - self._broken))

    def _wake_later(self, names: Sequence[str]) -> tuple[str, ...]:
        now, woken = self._parts.clock(), []
        standings = self._standings_of(names)
        works: dict[str, list[Work]] = {}
        for work in self._work() if standings else ():
            works.setdefault(work.account, []).append(work)
        for name in names:
            standing = standings.get(name)
            if standing is None or name in self._broken:
                continue
            at = goes_on_at(works.get(name, ()), standing, partial(self._paced_until, name, now), now)
            if at is not None:
                self._parts.wake("drain", name, at)
                woken.append(name)
        return tuple(woken)

    def _standings_of(self, names: Sequence[str]) -> Mapping[str, Standing]:
        """What is known of those of the accounts that are configured, and maybe of others."""
        if len(names) != 1:
            return self._parts.store.standings()
        # Asked after each drain: with a thousand accounts, reading all of them for one is most of the work.
        return {name: self._parts.store.standing(name) for name in names if name in self._parts.accounts()}

    def _work(self) -> tuple[Work, ...]:
        """What each account has to do; while everything is stopped, nothing is to be sent."""
        store = self._parts.store
        is_stopped = store.stop() is not None
        return tuple(work for work in store.work() if not (is_stopped and work.state is State.READY))

    def _paced_until(self, name: str, now: datetime) -> datetime | None:
        account = self._parts.accounts().get(name)
        return paced_until(self._parts.store, account, now) if account else None

    def accounts_with_work(self) -> tuple[str, ...]:
        """The accounts that have something due now, or are blocked while deliveries wait."""
        now = self._parts.clock()
        standings = self._parts.store.standings()
        self._watch.note(standings.values())
        # A blocked account is asked again whether its credentials work now, whatever waits for it.
        names = {name for name, one in standings.items() if one.state is AccountState.AUTH_BLOCKED}
        names.update(self._parts.store.renewals(now))
        for work in self._work():
            standing = standings.get(work.account)
            if standing is None:
                continue
            waits = standing.not_before is not None and now < standing.not_before
            if work.state is State.VERIFYING and work.at <= now:
                names.add(work.account)
            if (
                work.state is State.READY
                and work.at <= now
                and (not waits or standing.state is not AccountState.ACTIVE)
            ):
                names.add(work.account)
        return tuple(sorted(names))
