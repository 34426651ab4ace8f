"""The pipeline: the two verbs for an engine, recovery, and preview."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from autopublish.errors import ConfigError, StoreError
from autopublish.models import AccountState, Feed, State
from autopublish.pipeline._parts import Journal, Parts, Polled, Trouble
from autopublish.pipeline._poll import Poller

log = logging.getLogger(__name__)


class Pipeline:
    """Polls feeds and drains accounts; `journal` holds what came of it."""

    def __init__(self, parts: Parts, *, stopping: Callable[[], bool] = lambda: False) -> None:
        self._parts = parts
        self._stopping = stopping
        self.journal = Journal()
        self._poller = Poller(parts, self.journal)
        self._feeds: dict[str, Feed] = {}
        self._hosts: dict[str, datetime] = {}

    # --- verbs -------------------------------------------------------------------------------------------------------

    def begin_round(self) -> tuple[str, ...]:
        """Read the feeds and who told us to wait; gives the feeds' ids in their order."""
        self._feeds = {feed.id: feed for feed in self._parts.store.feeds()}
        self._hosts = self._parts.store.hosts_waiting(self._parts.clock())
        return tuple(self._feeds)

    def poll(self, feed: str) -> None:
        """Poll one feed of the round."""
        known = self._feeds[feed]
        try:
            self._poller.poll(known, hosts=self._hosts)
        except (ConfigError, StoreError):
            raise
        except Exception as error:
            # A bug must not stop the other feeds; it is told as what it is.
            log.exception("poll failed: feed=%s", known.settings.name)
            reason = f"the program failed on this feed: {type(error).__name__}: {error}"
            self.journal.add_poll(Polled(feed=known.settings.name, status="failed", reason=reason))

    def end_round(self) -> None:
        """Write the marks of polls that showed nothing new."""
        self._poller.flush()

    def drain(self, account: str) -> None:
        """Look up what is unknown and send what is due on one account."""
        from autopublish.pipeline._drain import Drainer

        try:
            Drainer(self._parts, self.journal, stopping=self._stopping).drain(account)
        except (ConfigError, StoreError):
            raise
        except Exception as error:
            log.exception("drain failed: account=%s", account)
            reason = f"the program failed on this account: {type(error).__name__}: {error}"
            self.journal.add_trouble(Trouble(account=account, reason=reason))

    def recover(self) -> int:
        """Settle what a dead process left in the middle of a call; gives how many there were."""
        left = self._parts.store.left_sending()
        if left:
            from autopublish.pipeline._drain import Drainer

            drainer = Drainer(self._parts, self.journal, stopping=self._stopping)
            for delivery, attempt in left:
                drainer.recover(delivery, attempt)
        return len(left)

    # --- what there is to do -----------------------------------------------------------------------------------------

    def accounts_with_work(self) -> tuple[str, ...]:
        """The accounts that have something due now, or are blocked while deliveries wait."""
        now = self._parts.clock()
        standings = self._parts.store.standings()
        names = set()
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
