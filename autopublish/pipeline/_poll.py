"""The verb poll: from a feed's document to deliveries, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import urlsplit

from autopublish import alerts
from autopublish.articles import Candidate, Identified, candidates, identify, may_be_cut, next_feed_state
from autopublish.errors import FeedError, FeedUnreachable
from autopublish.feeds.fetch import Fetched, fetch
from autopublish.models import Cause, Delivery, Document, Feed, Novelty, State, Validators
from autopublish.pipeline import _cut
from autopublish.pipeline._clock import ClockWatch
from autopublish.pipeline._links import Links
from autopublish.pipeline._parts import Journal, Parts, Polled
from autopublish.store import Decision, Known

log = logging.getLogger(__name__)

#: Marks of polls without news are written together: so many, or what there is at the end of a round.
MARKS_TOGETHER = 50
#: Waits after 429 or 503 without a usable Retry-After, by failures in a row: 1, 2, 4 ... 60 minutes.
FIRST_WAIT = timedelta(minutes=1)
MOST_WAIT = timedelta(hours=1)
#: What a feed that is gone asks of its operator.
GONE = "the site says that this feed is gone for good (410), so it is not asked again; name its new address under `url`"
#: A permanent redirect is believed after so many polls over so long.
MOVED_POLLS = 3
MOVED_FOR = timedelta(hours=24)


class Poller:
    """Polls feeds; `flush` writes the marks of those that showed nothing new."""

    def __init__(self, parts: Parts, journal: Journal, links: Links, watch: ClockWatch) -> None:
        self._parts = parts
        self._watch = watch
        self._journal = journal
        self._links = links
        self._marks: list[Feed] = []
        #: What a person must hear of the polls that left them.
        self._notices: list[Cause] = []
        self._hosts: dict[str, datetime] = {}
        #: What is HELD for a dead link, by feed.
        self._dead: Mapping[str, Sequence[Delivery]] = {}
        self._lock = Lock()

    def begin_round(self) -> None:
        """Read which hosts told us to wait, and which links were dead."""
        self._hosts = self._parts.store.hosts_waiting(self._parts.clock())
        self._dead = self._parts.store.dead_links()

    def poll(self, feed: Feed) -> Polled:
        """Poll one feed unless it, or its host, told us to wait; whatever goes wrong stays inside this feed."""
        now = self._parts.clock()
        polled = self._told_to_wait(feed, now) or self._poll(feed, now)
        self._journal.add_poll(polled)
        return polled

    def flush(self) -> None:
        """Write the marks of polls without news."""
        with self._lock:
            marks, self._marks = self._marks, []
            notices, self._notices = self._notices, []
        if marks:
            self._parts.store.save_feeds(marks, notices)

    def _told_to_wait(self, feed: Feed, now: datetime) -> Polled | None:
        name = feed.settings.name
        if feed.gone:
            return Polled(feed=name, status="gone", reason=GONE, told_before=True)
        with self._lock:
            host_until = self._hosts.get(host_of(feed), now)
        until = max(feed.not_before or now, host_until)
        if until > now:
            return Polled(
                feed=name, status="waiting", reason=f"told to wait until {until:%Y-%m-%d %H:%M} UTC", told_before=True
            )
        return None

    def _poll(self, feed: Feed, now: datetime) -> Polled:
        try:
            fetched = fetch(feed, self._parts.client, now)
            # What is new would be dated by a clock of which two servers say that it is wrong.
            now = self._watch.true_time(now, fetched.server_offset)
            if fetched.body is None:
                return self._unchanged(feed, fetched, now)
            return self._read(feed, fetched, now)
        except FeedError as error:
            return self._failed(feed, error, now)

    def _read(self, feed: Feed, fetched: Fetched, now: datetime) -> Polled:
        """Without the items that were in the last document, unless something hangs on the document as a whole."""
        dead = self._dead.get(feed.id, ())
        document = _parsed(fetched, known=b"" if dead else _cut.known_items(feed))
        if document.cut and not _cut.is_read_alike(feed, document, fetched.url):
            document = _parsed(fetched)
        if not document.items and not document.cut:
            return self._empty(feed, now)
        if not document.items and document.partial is None:
            return self._unchanged(feed, fetched, now, _cut.remembered(feed, document, fetched.url, ()))
        polled = self._save(feed, fetched, document, dead, now)
        # What was cut out may bear on what was read: then all of it is read.
        return polled or self._save_whole(feed, fetched, now)

    def _save_whole(self, feed: Feed, fetched: Fetched, now: datetime) -> Polled:
        polled = self._save(feed, fetched, _parsed(fetched), (), now)
        if polled is None:
            raise AssertionError("a document that was read whole leaves nothing open")
        return polled

    # --- nothing to save ---------------------------------------------------------------------------------------------

    def _unchanged(self, feed: Feed, fetched: Fetched, now: datetime, items: bytes | None = None) -> Polled:
        """Nothing new: the document that was saved last, or another one with `items` of that and nothing else."""
        moved, note = after_move(feed, fetched, now)
        mark = replace(
            moved,
            validators=fetched.validators,
            body_hash=fetched.body_hash,
            item_digests=feed.item_digests if items is None else items,
            first_try=feed.first_try or now,
            last_try=now,
            last_good=now,
            last_full=now if fetched.full else feed.last_full,
            not_before=None,
            failures=0,
            last_error=None,
        )
        self._mark(mark, moved_notice(feed, mark))
        if items is None:
            self._look_at_dead_links(feed, self._dead.get(feed.id, ()), None)
        status = "not modified" if fetched.status == 304 else "nothing new"
        return Polled(feed=feed.settings.name, status=status, reason=note)

    def _empty(self, feed: Feed, now: datetime) -> Polled:
        """Success, and what is known stays; without validators, and the time of the last good poll does not move."""
        tried = replace(feed, first_try=feed.first_try or now, last_try=now, validators=Validators(), body_hash=None)
        self._mark(replace(tried, not_before=None, failures=0, last_error=None))
        # A try that neither failed nor was good was empty as well.
        was_empty = feed.last_try is not None and feed.failures == 0 and feed.last_try != feed.last_good
        reason = "the feed shows no article at the moment"
        return Polled(feed=feed.settings.name, status="empty", reason=reason, told_before=was_empty)

    def _failed(self, feed: Feed, error: FeedError, now: datetime) -> Polled:
        status = error.status if isinstance(error, FeedUnreachable) else None
        failures = feed.failures + 1
        mark = replace(
            feed,
            first_try=feed.first_try or now,
            last_try=now,
            failures=failures,
            last_error=str(error),
            gone=status == 410,
        )
        if status in (429, 503):
            asked = error.wait if isinstance(error, FeedUnreachable) else None
            until = now + (asked or min(FIRST_WAIT * (1 << min(failures - 1, 10)), MOST_WAIT))
            mark = replace(mark, not_before=until)
            with self._lock:
                self._hosts[host_of(feed)] = max(until, self._hosts.get(host_of(feed), until))
            self._parts.store.host_told_to_wait(host_of(feed), until)
        self._parts.store.save_feeds((mark,), _wait_notice(mark, now))
        reason = GONE if mark.gone else str(error)
        log.warning("feed not read: feed=%s reason=%s", feed.settings.name, error)
        return Polled(
            feed=feed.settings.name,
            status="gone" if mark.gone else "failed",
            reason=reason,
            told_before=feed.failures > 0 and feed.last_error == str(error),
        )

    def _mark(self, feed: Feed, notices: Sequence[Cause] = ()) -> None:
        with self._lock:
            self._marks.append(feed)
            self._notices += notices
            full = len(self._marks) >= MARKS_TOGETHER
        if full:
            self.flush()

    # --- news --------------------------------------------------------------------------------------------------------

    def _save(
        self, feed: Feed, fetched: Fetched, document: Document, dead: Sequence[Delivery], now: datetime
    ) -> Polled | None:
        """None, and nothing is saved, if items that were cut out may bear on those that were read."""
        # Imported here: a run without news must not pay for posts.
        from autopublish.pipeline._route import route

        found = candidates(document, feed)
        accounts = self._parts.accounts()
        identified: list[Identified] = []
        notes: list[str] = []

        def decide(known: Known) -> Decision | None:
            if document.cut and known.feed.item_digests != feed.item_digests:
                return None
            known, seen = _identified(found, known, document.cut, now, notes)
            if seen.unsure:
                return None
            identified.append(seen)
            after = _after(known.feed, seen, fetched, document, now)
            after = replace(
                after, item_digests=_cut.remembered(feed, document, fetched.url, may_be_cut(found, seen, after))
            )
            if seen.seen or seen.cut:
                after, note = after_move(after, fetched, now)
                notes.extend([note] if note else [])
            notices = (*moved_notice(known.feed, after), *_partial_notice(feed, document))
            return replace(route(seen, known, accounts, after, now), notices=notices)

        aliases = dict.fromkeys(alias for candidate in found for alias in candidate.aliases)
        decision = self._parts.store.save_poll(feed.id, aliases, decide)
        if decision is None:
            return None
        self._tell_changes(decision)
        self._look_at_dead_links(feed, dead, frozenset(seen.article.id for seen in identified[-1].seen))
        return _told(feed, document, identified[-1], notes)

    def _tell_changes(self, decision: Decision) -> None:
        articles = {article.id: article for article, _ in (*decision.new, *decision.seen)}
        before = {was.id: was.state for was, _ in decision.changes}
        woken = set()
        for delivery in (*decision.deliveries, *(row for _, row in decision.changes)):
            self._journal.add_change(before.get(delivery.id), delivery, articles[delivery.article])
            if delivery.state is State.READY:
                woken.add(delivery.account)
        for account in sorted(woken):
            self._parts.wake("drain", account)

    def _look_at_dead_links(self, feed: Feed, dead: Sequence[Delivery], shown: frozenset[str] | None) -> None:
        """What is HELD for a dead link goes on when the link answers while the feed still shows it.

        `shown`: the articles of the document; None if it is the one that was read last.
        """
        for delivery in dead:
            article = self._parts.store.article(delivery.article)
            if shown is not None and delivery.article not in shown:
                row = replace(delivery, reason="dead link: the feed no longer shows it", changed=self._parts.clock())
                self._parts.store.change(delivery, row)
            elif self._links.status(article, feed) == 200:
                row = replace(delivery, state=State.READY, reason=None, changed=self._parts.clock())
                if self._parts.store.change(delivery, row, why="the link answers again"):
                    self._journal.add_change(delivery.state, row, article)
                    self._parts.wake("drain", row.account)


# --- pure parts ------------------------------------------------------------------------------------------------------


def after_move(feed: Feed, fetched: Fetched, now: datetime) -> tuple[Feed, str | None]:
    """The feed after a good poll that showed what we know: a permanent redirect is learnt after three polls in a day.

    One answer proves little: hosts answer 301 for maintenance pages and captive portals, too. Gives the words to tell.
    """
    target = fetched.permanent_url
    if target is None or target == feed.address:
        stays = feed if feed.moved_to is None else replace(feed, moved_to=None, moved_since=None, moved_polls=0)
        return stays, None
    if target != feed.moved_to:
        return replace(feed, moved_to=target, moved_since=now, moved_polls=1), None
    polls, since = feed.moved_polls + 1, feed.moved_since or now
    if polls < MOVED_POLLS or now - since < MOVED_FOR:
        return replace(feed, moved_polls=polls), None
    learnt = replace(feed, learnt_url=target, moved_to=None, moved_since=None, moved_polls=0)
    return learnt, f"has moved for good to {target} and is read there from now on; name it under `url`"


def moved_notice(feed: Feed, after: Feed) -> tuple[Cause, ...]:
    """What a person must hear of a feed whose new address was learnt in this poll."""
    if after.learnt_url is None or after.learnt_url == feed.learnt_url:
        return ()
    return (alerts.moved_feed(feed.id, feed.settings.name, after.learnt_url),)


def _partial_notice(feed: Feed, document: Document) -> tuple[Cause, ...]:
    if document.partial is None:
        return ()
    return (alerts.partial_feed(feed.id, feed.settings.name, document.partial),)


def _wait_notice(feed: Feed, now: datetime) -> tuple[Cause, ...]:
    """What a person must hear of a feed whose site asked for a pause of more than a day."""
    if feed.not_before is None or feed.not_before - now <= alerts.LONG_WAIT_OF_FEED:
        return ()
    name, why = f"the feed {feed.settings.name}", feed.last_error or "its site said so"
    return (alerts.told_to_wait(feed.id, name, feed.not_before, why),)


def _parsed(fetched: Fetched, known: bytes = b"") -> Document:
    # Imported here: a run without news must not pay for the parser.
    from autopublish.feeds.parse import parse

    return parse(fetched.body or b"", url=fetched.url, content_type=fetched.content_type, known=known)


def _identified(
    found: Sequence[Candidate], known: Known, cut: int, now: datetime, notes: list[str]
) -> tuple[Known, Identified]:
    """What the document comes to, and what is known: nothing of the feed if a changed URL shows none of its history."""
    seen = identify(found, known.articles, known.feed, now, cut=cut, traced=known.traced)
    feed = known.feed
    shared = any(not one.further for one in seen.seen)
    if not feed.url_changed or shared or feed.baseline_at is None:
        return known, seen
    notes.append("the new address shows nothing that was known: it counts as a new feed")
    first_try = feed.first_try or now
    feed = replace(feed, baseline_at=None, first_try=first_try, last_good=None, newest=None)
    return replace(known, feed=feed), identify(found, known.articles, feed, now)


def _after(feed: Feed, identified: Identified, fetched: Fetched, document: Document, now: datetime) -> Feed:
    """The feed after a good poll; what was not read whole leaves nothing that could hide the rest."""
    after = replace(
        next_feed_state(feed, identified, now),
        first_try=feed.first_try or now,
        last_try=now,
        not_before=None,
        failures=0,
        last_error=None,
        url_changed=False,
    )
    if document.partial is not None:
        return replace(after, validators=Validators(), body_hash=None)
    return replace(
        after,
        validators=fetched.validators,
        body_hash=fetched.body_hash,
        last_full=now if fetched.full else feed.last_full,
    )


def _told(feed: Feed, document: Document, identified: Identified, noted: Sequence[str]) -> Polled:
    name = feed.settings.name
    novelties = [found.novelty for found in identified.found] + [
        seen.novelty for seen in identified.seen if seen.novelty is not None
    ]
    new = sum(novelty is not Novelty.BASELINE for novelty in novelties)
    notes = [*noted]
    if identified.first_poll:
        notes.append(_first_poll_in_words(len(identified.found), new))
    moved = sum(found.novelty is Novelty.MOVED for found in identified.found)
    if moved:
        notes.append(
            f"{moved} articles that were not known are older than the news: the site may have moved. They are held; "
            "see `autopublish deliveries list`, then `autopublish deliveries cancel --reason moved`, or `approve`"
        )
    if identified.gap:
        notes.append("articles may have come and gone between two polls: poll more often, or let the feed show more")
    if identified.skipped:
        notes.append(f"{identified.skipped} entries without guid, link and title cannot be told apart: skipped")
    if document.partial is not None:
        notes.append(document.partial)
    status = "first poll" if identified.first_poll else ("new" if new else "nothing new")
    return Polled(feed=name, status=status, new=new, reason="; ".join(notes) or None)


def _first_poll_in_words(known: int, chosen: int) -> str:
    if known == 0:
        return "first poll: every article was known from other feeds"
    if chosen == known:
        return f"first poll: all {known} articles are taken"
    recorded = f"{known - chosen} article{'s' * (known - chosen != 1)} recorded as known"
    if chosen:
        return f"first poll: {recorded}, {chosen} taken; new ones are posted from now on"
    return (
        f"first poll: {recorded}, none posted; new ones are posted from now on "
        "(`first_run: newest 3`, or `all`, lets some through in the first poll of a new store)"
    )


def host_of(feed: Feed) -> str:
    return urlsplit(feed.address).netloc.lower()
