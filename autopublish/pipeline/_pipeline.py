"""The pipeline: the two verbs for an engine, and recovery. Knows no engine, configuration file or command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from autopublish.errors import ConfigError, StoreError
from autopublish.models import AccountState, Feed, State
from autopublish.pipeline._due import goes_on_at, is_due, paced_until
from autopublish.pipeline._links import Links
from autopublish.pipeline._parts import Journal, Parts, Polled, Trouble, tell_bug
from autopublish.pipeline._poll import Poller

if TYPE_CHECKING:
    from autopublish.pipeline._drain import Drainer

log = logging.getLogger(__name__)


class Pipeline:
    """Polls feeds and drains accounts; `journal` holds what came of it."""

    def __init__(self, parts: Parts, *, stopping: Callable[[], bool] = lambda: False) -> None:
        self._parts = parts
        self._stopping = stopping
        self.journal = Journal()
        self._links = Links(parts)
        self._poller = Poller(parts, self.journal, self._links)
        self._feeds: dict[str, Feed] = {}
        #: Accounts on which the program itself failed: they do not go on by themselves.
        self._broken: set[str] = set()

    # --- verbs -------------------------------------------------------------------------------------------------------

    def begin_round(self) -> tuple[str, ...]:
        """Read the feeds and who told us to wait; gives the feeds' ids in their order."""
        self._feeds = {feed.id: feed for feed in self._parts.store.feeds()}
        self._poller.begin_round()
        self._links.begin_round()
        return tuple(self._feeds)

    def feed_names(self) -> tuple[str, ...]:
        """The feeds of the round in their order."""
        return tuple(feed.settings.name for feed in self._feeds.values())

    def begin_due_round(self) -> tuple[str, ...]:
        """As `begin_round`, but only the feeds that are due by their `every`; the others are noted as `not due`."""
        self.begin_round()
        now, due = self._parts.clock(), []
        for key, feed in self._feeds.items():
            # One that is gone costs nothing, and is told in each run.
            if feed.gone or is_due(feed, now):
                due.append(key)
            else:
                self.journal.add_poll(Polled(feed=feed.settings.name, status="not due"))
        return tuple(due)

    def poll(self, feed: str) -> None:
        """Poll one feed of the round."""
        known = self._feeds[feed]
        try:
            self._poller.poll(known)
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - told and contained
            # A bug must not stop the other feeds; it is told as what it is.
            tell_bug(log, f"poll failed: feed={known.settings.name}", error)
            reason = f"the program failed on this feed ({type(error).__name__}): please report it"
            self.journal.add_poll(Polled(feed=known.settings.name, status="failed", reason=reason))

    def end_round(self) -> None:
        """Write the marks of polls that showed nothing new."""
        self._poller.flush()

    def drain(self, account: str) -> None:
        """Look up what is unknown and send what is due on one account."""
        try:
            self._drainer.drain(account)
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - told and contained
            tell_bug(log, f"drain failed: account={account}", error)
            reason = f"the program failed on this account ({type(error).__name__}): please report it"
            self.journal.add_trouble(Trouble(account=account, reason=reason))
            self._broken.add(account)

    def drain_and_go_on(self, account: str) -> None:
        """Drain one account, and have it woken when the next of it falls due that goes by itself."""
        self.journal.end_wait(account)
        self.drain(account)
        self._wake_later((account,))

    def recover(self) -> int:
        """Settle what a dead process left in the middle of a call; gives how many there were."""
        left = self._parts.store.left_sending()
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

        return Drainer(self._parts, self.journal, self._links, stopping=self._stopping)

    # --- what there is to do -----------------------------------------------------------------------------------------

    def wake_waiting(self) -> tuple[str, ...]:
        """Have every account woken when it goes on by itself, by what a person decided meanwhile too; gives these."""
        self._links.begin_round()
        return self._wake_later(sorted({work.account for work in self._parts.store.work()} - self._broken))

    def _wake_later(self, names: Sequence[str]) -> tuple[str, ...]:
        now, store, woken = self._parts.clock(), self._parts.store, []
        works, standings = store.work(), store.standings()
        for name in names:
            standing = standings.get(name)
            if standing is None or name in self._broken:
                continue
            own = [work for work in works if work.account == name]
            at = goes_on_at(own, standing, partial(self._paced_until, name, now), now)
            if at is not None:
                self._parts.wake("drain", name, at)
                woken.append(name)
        return tuple(woken)

    def _paced_until(self, name: str, now: datetime) -> datetime | None:
        account = self._parts.accounts().get(name)
        return paced_until(self._parts.store, account, now) if account else None

    def accounts_with_work(self) -> tuple[str, ...]:
        """The accounts that have something due now, or are blocked while deliveries wait."""
        now = self._parts.clock()
        standings = self._parts.store.standings()
        # A blocked account is asked again whether its credentials work now, whatever waits for it.
        names = {name for name, one in standings.items() if one.state is AccountState.AUTH_BLOCKED}
        for work in self._parts.store.work():
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
