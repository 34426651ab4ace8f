"""The store's verbs: each one a transaction that takes and returns values of `models`."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from autopublish.alerts import of_delivery, safe_mode
from autopublish.errors import ConfigError, Problem, StoreError, StoreTooNew
from autopublish.models import (
    Account,
    Alert,
    AlertKind,
    Alias,
    Article,
    Attempt,
    Cause,
    Delivery,
    Evidence,
    Feed,
    FeedSettings,
    Kept,
    Standing,
    State,
    Stop,
)
from autopublish.redaction import redact
from autopublish.store import _alerts, _credentials, _lock, _marker, _switch, _times
from autopublish.store._codec import (
    alert_of,
    article_of,
    article_values,
    attempt_end,
    attempt_of,
    attempt_values,
    delivery_of,
    delivery_values,
    feed_of,
    feed_values,
    micros,
    standing_of,
    standing_values,
    time_of,
    to_json,
)
from autopublish.store._marker import Marker
from autopublish.store._measure import Measures, measure
from autopublish.store._owners import Owner, own
from autopublish.store._sqlite import Database, Row, Transaction
from autopublish.store._statements import migrations, newest_version
from autopublish.store._times import Times

if TYPE_CHECKING:
    from autopublish.deliveries import Ruling, Settled

#: Tells events of one microsecond apart, in their order.
_numbers = itertools.count()

#: Who is written down as the actor of what the program does by itself.
MACHINE = "autopublish"
#: A process that goes on for long counts a further generation so often, before it writes what may lead to a post.
GENERATION_SECONDS = 60.0
#: Starts that count towards a crash loop lie no further apart.
CRASHES_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: who did what, and why."""

    at: datetime
    subject: str
    subject_id: str
    actor: str
    what: str
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows when a poll is decided, inside its transaction."""

    #: The feed as it is now.
    feed: Feed
    #: The articles that the document's aliases are bound to.
    articles: Mapping[Alias, Article]
    standings: Mapping[str, Standing]
    #: The deliveries of an article by its id.
    deliveries: Callable[[str], Sequence[Delivery]]
    #: The articles that left a trace.
    traced: Callable[[str], Sequence[Article]] = lambda _trace: ()
    #: The store was put back from a copy, and what the feed shows may have been posted since that was made.
    is_restored: bool = False
    #: The stops of categories.
    stops: Sequence[Stop] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a poll saves, all of it or nothing."""

    feed: Feed
    #: New articles with their aliases.
    new: tuple[tuple[Article, tuple[Alias, ...]], ...] = ()
    #: Known articles that changed, or got further aliases.
    seen: tuple[tuple[Article, tuple[Alias, ...]], ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    #: Deliveries before and after.
    changes: tuple[tuple[Delivery, Delivery], ...] = ()
    #: Ids of new or changed articles with the traces that they leave.
    traces: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: What a person must hear of the poll beside what its feed is now.
    notices: tuple[Cause, ...] = ()


#: More are not counted.
_MOST_FALLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The start of a process that holds one of the store's locks."""

    #: How many of those before began of late and did not end in order; 0 if the last one did.
    falls: int
    hold: _lock.Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an account has to do, and when the first of it falls due."""

    account: str
    state: State
    count: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many deliveries of an account stand where."""

    account: str
    state: State
    reason: str | None
    count: int


def path_of(url: str) -> Path:
    """The file of a `sqlite:///` URL."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        problem = Problem(file=url, message="the store must be a URL as sqlite:///autopublish.db", key="store")
        raise ConfigError(problem)
    return Path(url.removeprefix(prefix))


def open_store(url: str, *, read_only: bool = False) -> Store:
    """The store at `url`, made and migrated if need be; a read-only one must exist.

    Raises:
        StoreTooNew: a newer version of the program made it; it is left as it is.
        StoreError: it cannot be opened, read or written.
    """
    path = path_of(url)
    if read_only and not path.is_file():
        raise StoreError(f"there is no store at {path} yet: `autopublish run` makes it")
    if not read_only:
        _make_folder(path)
    database = Database(path, read_only=read_only)
    try:
        _migrate(database, read_only=read_only)
    except BaseException:
        database.close()
        raise
    return Store(database)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be made: {error.strerror}: {error.filename}") from error


def _migrate(database: Database, *, read_only: bool) -> None:
    # Before its version: another process may be making the store at this moment.
    had_tables = not database.is_empty()
    version, newest = database.version(), newest_version()
    if version > newest:
        raise StoreTooNew(
            f"the store {database.path} was made by a newer version of autopublish (its form is {version}, this "
            f"version knows {newest}): install that version again. Nothing was changed"
        )
    if version == newest:
        _check_form(database)
        return
    if version == 0 and had_tables:
        raise StoreError(f"{database.path} is a database of another program: check `store:` in the configuration")
    if read_only:
        raise StoreError(f"the store {database.path} has an older form: `autopublish run` brings it up to date")
    if version > 0:
        _check_nobody_works(database.path)
        from autopublish.store._copies import copy

        copy(database.path, database.path.with_name(f"{database.path.name}.before-{newest:03d}"), replacing=True)
    for step in migrations():
        if step.number > version:
            database.migrate(step)


def _check_nobody_works(path: Path) -> None:
    """A process that knows the old form must not meet the new one."""
    if at_work := _lock.living(_folder_of(path)):
        raise StoreError(
            f"the store {path} must be brought up to date, and {'; '.join(at_work)} is at work on it: end that, or "
            "restart the daemon with this version of the program, then try again. Nothing was changed"
        )


def _check_form(database: Database) -> None:
    """A store whose steps were others than ours would fail somewhere in the middle: it is refused at the door."""
    known = {step.name: step.checksum for step in migrations()}
    if database.checksums() != known:
        raise StoreError(
            f"the store {database.path} was made by another build of autopublish, whose tables differ: install that "
            "one again, or name another file under `store:`. Nothing was changed"
        )


def _folder_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.d")


class Store:
    """The truth about feeds, articles, accounts and deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: When the generation rose last, by `time.monotonic`.
        self._risen: float | None = None
        self._rising = Lock()

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._database.path

    @property
    def folder(self) -> Path:
        """The folder beside the store that holds locks and pictures."""
        return _folder_of(self.path)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    @contextmanager
    def only_run(self, now: datetime) -> Iterator[Start]:
        """Hold the lock of the one run that may work on this store.

        Raises:
            StoreBusy: another run holds it.
        """
        with _lock.hold(self.folder, now) as held:
            yield Start(falls=self._count_falls(held.fallen, now), hold=held)

    @contextmanager
    def only_daemon(self, now: datetime) -> Iterator[Start]:
        """Hold the lock of the one daemon that may work on this store.

        Raises:
            StoreBusy: another daemon holds it.
        """
        with _lock.hold(self.folder, now, name="daemon", busy="another daemon is at work") as held:
            yield Start(falls=self._count_falls(held.fallen, now), hold=held)

    def _count_falls(self, fallen: datetime | None, now: datetime) -> int:
        """How many processes of late did not end in order; 0, and nothing is written, if the one before did."""
        if fallen is None:
            return 0
        with self._database.write() as tx:
            row = tx.row("meta_get", name="falls")
            known = [datetime.fromisoformat(one) for one in json.loads(row["value"])] if row else []
            late = [time for time in (*known, fallen) if abs(now - time) <= CRASHES_WITHIN][-_MOST_FALLS:]
            tx.run("meta_set", name="falls", value=json.dumps([time.isoformat() for time in late]))
        return len(late)

    def own(self, kind: str, now: datetime) -> AbstractContextManager[Owner]:
        """A process of this kind, as `run`, works on the store: it may take leases on feeds and accounts."""
        return own(self._database, self.folder, kind, now)

    # --- put back from a copy ----------------------------------------------------------------------------------------

    def is_trusted(self) -> bool:
        """Whether the store fits the marker beside it, or a person took it on that it does not; a new one gets its own.

        Raises:
            StoreError: the marker cannot be read or written.
        """
        instance = _marker.instance_id()
        with self._database.read() as tx:
            notes = _care_notes(tx)
        if _marker.doubt(_marker.read(self.folder), _stored(notes), instance) is not None:
            return False
        if "restored" in notes or "crashed" in notes:
            return False
        if _stored(notes) is None:
            self._begin_marker(instance)
        return True

    def distrust(
        self,
        why: str | None,
        now: datetime,
        *,
        doubted: Callable[[Delivery, datetime], Delivery | None],
        stopped: Callable[[Standing, str], Standing],
    ) -> str | None:
        """The store may not know what was posted last: for the reason given, else for that which the marker gives.

        From then on, until `trust`, every account is as `stopped` makes it, and what would go by itself is as `doubted`
        makes it (None: as it is). Gives the reason if it is new.
        """
        with self._database.write() as tx:
            # Read again: another process may have written both meanwhile.
            notes, marker, instance = _care_notes(tx), _marker.read(self.folder), _marker.instance_id()
            stored = _stored(notes)
            found = why or _marker.doubt(marker, stored, instance)
            if words := found or notes.get("restored") or notes.get("crashed"):
                for standing in _standings(tx).values():
                    _save_standing(tx, standing, stopped(standing, words), MACHINE, now)
            if found is None:
                return None
            _alerts.found(tx, safe_mode(found), now)
            tx.run("meta_set", name="restored", value=found)
            for was in [delivery_of(row) for row in tx.rows("deliveries_going")]:
                if (row := doubted(was, now)) is not None:
                    _change(tx, was, row, actor=MACHINE, why=found, now=now)
            highest = max(one.generation for one in (marker, stored, Marker(generation=0, instance="")) if one)
            after = Marker(generation=highest + 1, instance=instance)
            _keep_stored(tx, after)
            tx.run("meta_set", name="restored_at", value=str(micros(now)))
            _write_event(tx, _event("store", str(self.path), "SAFE_MODE", found, now))
        # Only now: as long as they differ, the doubt is found again.
        _marker.write(self.folder, after)
        return found

    def restored(self) -> str | None:
        """Why the store may not know what was posted last; None: it does, or a person took that on."""
        return self.note("restored")

    def trust(
        self,
        now: datetime,
        *,
        actor: str,
        released: Callable[[Delivery, datetime], Delivery | None],
        started: Callable[[Standing, datetime], Standing],
    ) -> tuple[tuple[Delivery, ...], tuple[str, ...]]:
        """A person takes it on that the store may not know what was posted last: accounts are as `started` makes them.

        Nothing stops everything any more, either. Stops of categories stay.
        Gives what was held for that and goes on, as `released` makes it (None: it stays held), and the names of the
        feeds that were not read since: what their next poll finds is held, too.
        """
        self._keep_step()
        with self._database.write() as tx:
            for standing in _standings(tx).values():
                _save_standing(tx, standing, started(standing, now), actor, now)
            rows = [delivery_of(row) for row in tx.rows("deliveries_restored")]
            moved = [(was, row) for was in rows if (row := released(was, now)) is not None]
            gone = [row for was, row in moved if _change(tx, was, row, actor=actor, why="go", now=now)]
            unread = [row for row in tx.rows("feeds_all") if _is_restored(tx, row, anyhow=True)]
            tx.run("meta_set", name="restored_feeds", value=json.dumps([row["id"] for row in unread]))
            for name in ("restored", "crashed", "falls"):
                tx.run("meta_forget", name=name)
            # SAFE_MODE tells no more of what stays held.
            left = {row.id for row in rows} - {row.id for row in gone}
            for cause in {of_delivery(row) for row in rows if row.id in left}:
                if cause is not None:
                    _alerts.found(tx, cause, now)
            if (stop := _switch.everything(tx)) is not None:
                _switch.end(tx, stop)
                _write_event(tx, _switched(stop, "goes on", actor, None, now))
            tx.run("alerts_clear_kind", kind=AlertKind.SAFE_MODE.value, subject="", now=micros(now))
        return tuple(gone), tuple(row["name"] for row in unread if row["name"])

    def demand_in_place(self) -> None:
        """The store is still the file that was opened.

        Raises:
            StoreLost: somebody deleted, moved or replaced it.
        """
        self._database.demand_in_place()

    # --- the program that falls, the clock that is wrong -------------------------------------------------------------

    def stop_all(
        self, why: str, now: datetime, *, stopped: Callable[[Standing, str], Standing], note: str | None = None
    ) -> tuple[str, ...]:
        """Accounts are as `stopped` makes them, and a person hears of it; gives the names of those that changed.

        With a `note`, it holds the reason until `trust`, and what is stopped by it is not started by anything else.
        """
        with self._database.write() as tx:
            moved = [(was, stopped(was, why)) for was in _standings(tx).values()]
            changed = [(was, standing) for was, standing in moved if standing != was]
            for was, standing in changed:
                _save_standing(tx, was, standing, MACHINE, now)
            if changed or note:
                _alerts.found(tx, safe_mode(why), now)
                _write_event(tx, _event("store", str(self.path), "SAFE_MODE", why, now))
            if note:
                tx.run("meta_set", name=note, value=why)
        return tuple(was.account for was, _ in changed)

    def start_some(self, now: datetime, *, started: Callable[[Standing, datetime], Standing]) -> tuple[str, ...]:
        """Accounts are as `started` makes them; gives the names of those that changed.

        Once none is in SAFE_MODE, and none will be at once, nobody needs to hear of it any more.
        """
        with self._database.write() as tx:
            changed = []
            for was in _standings(tx).values():
                if (standing := started(was, now)) != was:
                    _save_standing(tx, was, standing, MACHINE, now)
                    changed.append(was.account)
            tx.run("alerts_clear_safe_mode", now=micros(now))
        return tuple(changed)

    def times(self, account: str | None = None) -> Times:
        """What the store knows of the clock, with what an account was asked for, if one is named."""
        with self._database.read() as tx:
            return _times.times(tx, account)

    def noted_ahead(self) -> datetime | None:
        """The latest time that was kept because it lay ahead; None: none was."""
        return _times.time_in(self.note(_times.LATEST))

    def keep_latest(self, latest: datetime) -> None:
        """Keep that the store has seen a time, however the marks of it are written over."""
        self.keep_note(_times.LATEST, latest.isoformat())

    def keep_awake_since(self, now: datetime) -> None:
        """Keep that the program looks again from now on, after nobody had looked for long."""
        self.keep_note(_times.AWAKE_SINCE, now.isoformat())

    def accept_clock(self) -> None:
        """A person takes the clock for right, whatever servers say."""
        self.keep_note(_times.ACCEPTED, "yes")

    def forget_accepted(self) -> None:
        """Servers agree with the clock again: what a person said of it is over."""
        with self._database.write() as tx:
            tx.run("meta_forget", name=_times.ACCEPTED)

    def set_right(self, now: datetime, *, righted: Callable[[Delivery, datetime], Delivery]) -> None:
        """No time in the store lies ahead of a clock that is right; what may go by itself is as `righted` makes it."""
        with self._database.write() as tx:
            for was, row in _times.set_right(tx, now, righted):
                _change(tx, was, row, actor=MACHINE, why="written by a clock that was wrong", now=now)
            _write_event(tx, _event("store", str(self.path), "set right", "times that lay ahead of the clock", now))

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file by a quick look at all of it; empty if it is sound."""
        return self._database.problems("quick_check")

    def tally(self, statements: Iterable[str]) -> dict[str, dict[str, int]]:
        """What statements that count give, by their names."""
        with self._database.read() as tx:
            return {name: dict(tx.rows(name)[0]) for name in statements}

    def measure(self) -> Measures:
        """Counts and times of all tables at one moment."""
        with self._database.read() as tx:
            return measure(tx)

    def let_go(self) -> None:
        """This thread holds no connection any more; a thread that is at its end calls it."""
        self._database.let_go()

    def slim(self, before: datetime, budget_seconds: float) -> int:
        """What was over before a time holds no bodies any more; gives how many rows were slimmed in the time given.

        Alerts that ended before it are gone.
        """
        from autopublish.store._slim import slim

        with self._database.write() as tx:
            tx.run("alerts_forget", before=micros(before))
        return slim(self._database, before, budget_seconds)

    def _begin_marker(self, instance: str) -> None:
        first = Marker(generation=1, instance=instance, is_ahead=True)
        with self._database.write() as tx:
            if _stored(_care_notes(tx)) is not None:
                return  # another process began meanwhile, and may have gone on
            _marker.write(self.folder, first)
            _keep_stored(tx, first)
        self._confirm(first)

    def _keep_step(self) -> None:
        """Before what may lead to a post: the store is still the file that was opened, and the generation rises.

        A store that does not fit its marker is left to `distrust`.
        """
        self._database.demand_in_place()
        with self._rising:
            if self._risen is not None and time.monotonic() - self._risen < GENERATION_SECONDS:
                return
            instance, after = _marker.instance_id(), None
            with self._database.write() as tx:
                stored = _stored(_care_notes(tx))
                if stored is not None and _marker.doubt(_marker.read(self.folder), stored, instance) is None:
                    after = Marker(
                        generation=stored.generation + 1, instance=instance or stored.instance, is_ahead=True
                    )
                    _marker.write(self.folder, after)
                    _keep_stored(tx, after)
            if after is not None:
                self._confirm(after)
            self._risen = time.monotonic()

    def _confirm(self, ahead: Marker) -> None:
        """The store has taken over what the marker said; another process may have gone on since."""
        # Nobody else may write it between our look and our word: the store would be newer than its marker.
        with self._database.write():
            if _marker.read(self.folder) == ahead:
                _marker.write(self.folder, replace(ahead, is_ahead=False))

    # --- configuration -----------------------------------------------------------------------------------------------

    def digest(self) -> str | None:
        """The digest of the last valid configuration that was adopted."""
        return self.note("config")

    def note(self, name: str) -> str | None:
        """A value that the program keeps of itself."""
        with self._database.read() as tx:
            row = tx.row("meta_get", name=name)
        return str(row["value"]) if row else None

    def keep_note(self, name: str, value: str) -> None:
        """Keep a value of the program itself."""
        with self._database.write() as tx:
            tx.run("meta_set", name=name, value=value)

    def adopt(
        self, feeds: Sequence[FeedSettings], accounts: Sequence[Account], *, digest: str, now: datetime
    ) -> tuple[Event, ...]:
        """Take over a valid configuration; gives what is worth telling.

        A feed is known by its name, else by its URL where no name claims it any more. What waits for an account that
        is not configured any more is HELD.
        """
        with self._database.write() as tx:
            told = [*_adopt_feeds(tx, feeds, now), *_adopt_accounts(tx, accounts, now)]
            for row in tx.rows("deliveries_orphaned"):
                was = delivery_of(row)
                words = f"account {was.account} removed"
                if was.state is State.READY:
                    after = replace(was, state=State.HELD, reason="account removed", changed=now)
                else:
                    after = replace(was, state=State.NEEDS_REVIEW, reason=f"{words}, outcome unknown", changed=now)
                _change(tx, was, after, actor=MACHINE, why=None, now=now)
                told.append(_event("delivery", was.id, after.state.value, words, now))
            tx.run("meta_set", name="config", value=digest)
            for statement in ("alerts_clear_accounts", "alerts_clear_feeds", "alerts_clear_safe_mode"):
                tx.run(statement, now=micros(now))
        return tuple(told)

    # --- feeds -------------------------------------------------------------------------------------------------------

    def feeds(self) -> tuple[Feed, ...]:
        """The configured feeds in the configuration's order."""
        with self._database.read() as tx:
            return tuple(feed_of(row) for row in tx.rows("feeds_configured"))

    def feed_ids(self) -> tuple[str, ...]:
        """The ids of the configured feeds in the configuration's order."""
        with self._database.read() as tx:
            return tuple(row["id"] for row in tx.rows("feed_ids"))

    def contact(self) -> str | None:
        """Where the admin of a site finds the operator: the configuration says it for all feeds alike."""
        with self._database.read() as tx:
            row = tx.row("feed_first")
            return None if row is None else feed_of(row).settings.contact

    def feed(self, key: str) -> Feed:
        """One feed by its id, configured or not."""
        with self._database.read() as tx:
            row = tx.row("feed_by_id", id=key)
        if row is None:
            raise StoreError(f"the feed {key} is not in the store")
        return feed_of(row)

    def hosts_waiting(self, now: datetime) -> dict[str, datetime]:
        """The hosts that told us to wait, and until when."""
        with self._database.read() as tx:
            rows = tx.rows("hosts_waiting", now=micros(now))
        return {row["host"]: until for row in rows if (until := time_of(row["not_before"])) is not None}

    def save_feeds(self, feeds: Iterable[Feed], notices: Iterable[Cause] = ()) -> None:
        """Write what polls without news left, and what there is to tell of them, in one transaction."""
        feeds = tuple(feeds)
        with self._database.write() as tx:
            for feed in feeds:
                tx.run("feed_polled", **feed_values(feed))
            _alerts.feeds_polled(tx, feeds, notices)

    def host_told_to_wait(self, host: str, until: datetime) -> None:
        """No feed on this host is asked before `until`."""
        with self._database.write() as tx:
            tx.run("host_wait", host=host, not_before=micros(until))

    def save_poll(
        self, feed: str, aliases: Iterable[Alias], decide: Callable[[Known], Decision | None]
    ) -> Decision | None:
        """Save articles, aliases, deliveries and validators in one transaction; `decide` is pure and sees it.

        Where it decides nothing (None), nothing is written.
        """
        self._keep_step()
        with self._database.write() as tx:
            row = tx.row("feed_by_id", id=feed)
            if row is None:
                raise StoreError(f"the feed {feed} is not in the store any more")
            names = _Names(tx, row)
            known = Known(
                feed=feed_of(row),
                articles=_known(tx, aliases, names),
                standings=_standings(tx),
                deliveries=lambda article: _deliveries_of(tx, article),
                traced=lambda trace: _traced(tx, trace, names),
                is_restored=_is_restored(tx, row),
                stops=_switch.categories(tx),
            )
            decision = decide(known)
            if decision is None:
                return None
            _save_articles(tx, decision, names)
            for delivery in decision.deliveries:
                tx.run("delivery_add", **delivery_values(delivery))
                _alerts.delivery_changed(tx, None, delivery, delivery.changed)
            for was, row_now in decision.changes:
                _change(tx, was, row_now, actor=MACHINE, why="routed again", now=row_now.changed)
            tx.run("feed_polled", **feed_values(decision.feed))
            _alerts.feeds_polled(tx, (decision.feed,), decision.notices)
        return decision

    # --- articles ----------------------------------------------------------------------------------------------------

    def article(self, key: str) -> Article:
        """One article by its id."""
        with self._database.read() as tx:
            row = tx.row("article_by_id", id=key)
            if row is None:
                raise StoreError(f"the article {key} is not in the store")
            return article_of(row, _Names(tx).name)

    def articles_like(self, text: str, *, most: int = 10) -> tuple[Article, ...]:
        """Articles whose link holds `text`, newest first."""
        plain = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        with self._database.read() as tx:
            rows = tx.rows("articles_like", text=text, pattern=f"%{plain}%", most=most)
            names = _Names(tx)
            return tuple(article_of(row, names.name) for row in rows)

    def article_by_alias(self, alias: Alias) -> Article | None:
        """The article that an alias is bound to."""
        with self._database.read() as tx:
            return _known(tx, (alias,), _Names(tx)).get(alias)

    def newest_articles(self, most: int) -> tuple[Article, ...]:
        """The newest articles."""
        with self._database.read() as tx:
            names = _Names(tx)
            return tuple(article_of(row, names.name) for row in tx.rows("articles_newest", most=most))

    def count_articles(self) -> int:
        """How many articles are known."""
        with self._database.read() as tx:
            row = tx.row("articles_count")
        return int(row["n"]) if row else 0

    # --- accounts ----------------------------------------------------------------------------------------------------

    def standings(self) -> dict[str, Standing]:
        """What is known of each configured account, in the configuration's order."""
        with self._database.read() as tx:
            return _standings(tx)

    def standing(self, account: str) -> Standing:
        """What is known of one account."""
        with self._database.read() as tx:
            row = tx.row("account_by_name", name=account)
        if row is None:
            raise StoreError(f"the account {account} is not in the store")
        return standing_of(row)

    def save_standing(self, was: Standing, standing: Standing, *, now: datetime, actor: str = MACHINE) -> None:
        """Write what is known of an account now; a change of its state is an event."""
        with self._database.write() as tx:
            _save_standing(tx, was, standing, actor, now)

    def rule(
        self, account: str, decide: Callable[[Standing, Sequence[Delivery]], Ruling], *, actor: str, now: datetime
    ) -> Standing:
        """Write a person's decision about an account in one transaction; gives the account as it stands then.

        `decide` is pure and sees the account with its deliveries that are not final; what it raises changes nothing.
        """
        self._keep_step()
        with self._database.write() as tx:
            row = tx.row("account_by_name", name=account)
            if row is None:
                raise StoreError(f"the account {account} is not in the store")
            was = standing_of(row)
            rows = tuple(delivery_of(one) for one in tx.rows("deliveries_not_final", account=account))
            ruling = decide(was, rows)
            _save_standing(tx, was, ruling.standing, actor, now, why=ruling.why)
            for before, after in ruling.changes:
                _change(tx, before, after, actor=actor, why=ruling.why, now=now)
        return ruling.standing

    # --- credentials -------------------------------------------------------------------------------------------------

    def kept(self, account: str) -> Kept | None:
        """What is kept of an account's login, sealed; None: nothing."""
        with self._database.read() as tx:
            return _credentials.get(tx, account)

    def renewals(self, now: datetime) -> tuple[str, ...]:
        """The accounts that may send and whose credentials are to be renewed by now."""
        with self._database.read() as tx:
            return _credentials.due(tx, now)

    def keep_login(self, kept: Kept, *, actor: str) -> None:
        """What a person's login gave is kept, in the place of what was kept before."""
        with self._database.write() as tx:
            _credentials.keep(tx, kept)
            _write_event(tx, replace(_event("account", kept.account, "logged in", None, kept.obtained), actor=actor))

    def change_kept(self, was: Kept, kept: Kept) -> bool:
        """Whether it is kept in the place of `was`; if somebody else changed that, nothing is done."""
        with self._database.write() as tx:
            return _credentials.change(tx, was, kept)

    # --- the big switch ----------------------------------------------------------------------------------------------

    def stop(self) -> Stop | None:
        """The stop of everything; None: there is none."""
        with self._database.read() as tx:
            return _switch.everything(tx)

    def stopped_categories(self) -> tuple[Stop, ...]:
        """The stops of categories, the oldest first."""
        with self._database.read() as tx:
            return _switch.categories(tx)

    def stop_everything(self, stop: Stop) -> Stop | None:
        """Nothing is sent on any account until `trust`; gives the earlier stop if there was one, which stays."""
        self._keep_step()
        with self._database.write() as tx:
            if (there := _switch.everything(tx)) is not None:
                return there
            _switch.add(tx, stop)
            _write_event(tx, _switched(stop, "stopped", stop.who, stop.why, stop.since))
        return None

    def stop_category(
        self, stop: Stop, key: str, *, held: Callable[[Delivery, Article], Delivery | None]
    ) -> tuple[Stop | None, tuple[Delivery, ...]]:
        """The category is stopped, and what waits is as `held` makes it (None: as it is).

        `key` is what the category is known by. Gives the earlier stop if there was one, which stays as it is, and what
        is held now.
        """
        self._keep_step()
        with self._database.write() as tx:
            if (there := _switch.category(tx, key)) is not None:
                return there, ()
            _switch.add(tx, stop, key)
            _write_event(tx, _switched(stop, "stopped", stop.who, stop.why, stop.since))
            article = _Articles(tx)
            changes = [(was, row) for was in _switch.going(tx) if (row := held(was, article(was.article))) is not None]
            why = f" ({stop.why})" if stop.why else ""
            for was, row in changes:
                _change(tx, was, row, actor=stop.who, why=f"{row.reason}{why}", now=stop.since)
        return None, tuple(row for _, row in changes)

    def go_category(
        self,
        key: str,
        *,
        reason: Callable[[Stop], str],
        released: Callable[[Delivery, Article, Sequence[Stop], Standing | None], Delivery],
        actor: str,
        now: datetime,
    ) -> tuple[Stop | None, tuple[Delivery, ...]]:
        """The category is not stopped any more; what was held for `reason` of its stop is as `released` makes it.

        That is given the stops that are left, and the account as it stands (None: it is not configured). Gives the stop
        that was there, if there was one, and what was held for it, as it is now.
        """
        self._keep_step()
        with self._database.write() as tx:
            stop = _switch.category(tx, key)
            if stop is None:
                return None, ()
            _switch.end(tx, stop, key)
            _write_event(tx, _switched(stop, "goes on", actor, None, now))
            left, article, standings = _switch.categories(tx), _Articles(tx), _standings(tx)
            changes = [
                (was, released(was, article(was.article), left, standings.get(was.account)))
                for was in _switch.held_for(tx, reason(stop))
            ]
            for was, row in changes:
                _change(tx, was, row, actor=actor, why=row.reason or "go", now=now)
        return stop, tuple(row for _, row in changes)

    # --- deliveries --------------------------------------------------------------------------------------------------

    def work(self) -> tuple[Work, ...]:
        """What each account has to do."""
        with self._database.read() as tx:
            rows = tx.rows("accounts_with_work")
        return tuple(
            Work(
                account=row["account"],
                state=State(row["state"]),
                count=row["n"],
                at=at,
            )
            for row in rows
            if (at := time_of(row["at"])) is not None
        )

    def counts(self) -> tuple[Count, ...]:
        """How many deliveries stand where."""
        with self._database.read() as tx:
            rows = tx.rows("deliveries_count")
        return tuple(
            Count(account=row["account"], state=State(row["state"]), reason=row["reason"], count=row["n"])
            for row in rows
        )

    def ready(self, account: str, now: datetime, *, most: int = 1_000_000) -> tuple[Delivery, ...]:
        """The due deliveries of an account in their order."""
        with self._database.read() as tx:
            rows = tx.rows("deliveries_ready", account=account, now=micros(now), most=most)
        return tuple(delivery_of(row) for row in rows)

    def unknown(self, account: str, now: datetime) -> tuple[Delivery, ...]:
        """The deliveries of an account that are to be looked up by now."""
        with self._database.read() as tx:
            rows = tx.rows("deliveries_unknown", account=account, now=micros(now))
        return tuple(delivery_of(row) for row in rows)

    def left_sending(self) -> tuple[tuple[Delivery, Attempt], ...]:
        """What a dead process left in the middle of a call, with the open attempt of each."""
        found = []
        with self._database.read() as tx:
            for row in tx.rows("deliveries_left_sending"):
                attempt = tx.row("attempt_open", delivery=row["id"])
                if attempt is None:
                    raise StoreError(f"delivery {row['id'][:8]} is SENDING without an attempt: the store is damaged")
                found.append((delivery_of(row), attempt_of(attempt)))
        return tuple(found)

    def dead_links(self) -> dict[str, tuple[Delivery, ...]]:
        """What is HELD because an article's link was dead, by the id of the feed that showed the article first."""
        found: dict[str, tuple[Delivery, ...]] = {}
        with self._database.read() as tx:
            for row in tx.rows("deliveries_dead_link"):
                found[row["feed"]] = (*found.get(row["feed"], ()), delivery_of(row))
        return found

    def in_state(self, state: State, *, most: int = 1000) -> tuple[Delivery, ...]:
        """Deliveries of one state, oldest article first."""
        with self._database.read() as tx:
            return tuple(delivery_of(row) for row in tx.rows("deliveries_in_state", state=state.value, most=most))

    def newest_deliveries(self, most: int) -> tuple[Delivery, ...]:
        """The deliveries that changed last."""
        with self._database.read() as tx:
            return tuple(delivery_of(row) for row in tx.rows("deliveries_newest", most=most))

    def open_articles(self) -> frozenset[str]:
        """The ids of the articles with a delivery that is not final."""
        with self._database.read() as tx:
            return frozenset(row["article"] for row in tx.rows("articles_open"))

    def deliveries_of(self, article: str) -> tuple[Delivery, ...]:
        """The deliveries of one article."""
        with self._database.read() as tx:
            return _deliveries_of(tx, article)

    def delivery(self, key: str) -> Delivery:
        """One delivery by its id."""
        with self._database.read() as tx:
            return _delivery(tx, key)

    def by_prefix(self, prefix: str) -> tuple[Delivery, ...]:
        """The deliveries whose id begins with these hex digits; three at most."""
        with self._database.read() as tx:
            rows = tx.rows("deliveries_by_prefix", low=prefix, high=prefix + "g")
        return tuple(delivery_of(row) for row in rows)

    def attempts(self, delivery: str) -> tuple[Attempt, ...]:
        """The attempts of a delivery, first one first."""
        with self._database.read() as tx:
            return tuple(attempt_of(row) for row in tx.rows("attempts_of_delivery", delivery=delivery))

    def attempt(self, key: str) -> Attempt:
        """One attempt by its id."""
        with self._database.read() as tx:
            row = tx.row("attempt_by_id", id=key)
        if row is None:
            raise StoreError(f"the attempt {key} is not in the store")
        return attempt_of(row)

    def counted(self, account: str, since: datetime) -> tuple[datetime, ...]:
        """When the attempts began, after `since`, that count in the account's rate windows."""
        with self._database.read() as tx:
            rows = tx.rows("attempts_counted", account=account, since=micros(since))
        return tuple(start for row in rows if (start := time_of(row["started"])) is not None)

    def paid(self, account: str, since: datetime) -> tuple[tuple[datetime, int], ...]:
        """When the attempts began, after `since`, that count and cost something, and their millionths of a dollar."""
        with self._database.read() as tx:
            rows = tx.rows("attempts_paid", account=account, since=micros(since))
        return tuple((start, row["microdollars"]) for row in rows if (start := time_of(row["started"])) is not None)

    def change(self, was: Delivery, delivery: Delivery, *, actor: str = MACHINE, why: str | None = None) -> bool:
        """Write a delivery as it stands now; False if somebody else changed it meanwhile, and nothing is written."""
        return bool(self.change_all(((was, delivery),), actor=actor, why=why))

    def change_all(
        self, changes: Iterable[tuple[Delivery, Delivery]], *, actor: str = MACHINE, why: str | None = None
    ) -> tuple[Delivery, ...]:
        """Write deliveries as they stand now in one transaction; gives those that nobody changed meanwhile."""
        self._keep_step()
        with self._database.write() as tx:
            return tuple(row for was, row in changes if _change(tx, was, row, actor=actor, why=why, now=row.changed))

    def add_again(self, first: Delivery, row: Delivery, *, actor: str) -> bool:
        """Add a further delivery of what is posted; False, and nothing is written, if somebody else just did."""
        self._keep_step()
        with self._database.write() as tx:
            if tx.row("delivery_by_id", id=row.id) is not None:
                return False
            tx.run("delivery_add", **delivery_values(row))
            for key, what in ((first.id, f"wanted again: {row.id[:8]}"), (row.id, row.state.value)):
                _write_event(tx, replace(_event("delivery", key, what, row.reason, row.created), actor=actor))
        return True

    def intend(self, was: Delivery, delivery: Delivery, attempt: Attempt, *, fingerprint: str | None = None) -> bool:
        """Make the intent to call durable: SENDING with its frozen attempt.

        False, and nothing is written, if the delivery was changed meanwhile, everything is stopped, its account may not
        send, or was confirmed with other credentials than those of `fingerprint` (None: any).
        """
        self._keep_step()
        with self._database.write() as tx:
            if _switch.everything(tx) is not None:
                return False
            row = tx.row("account_by_name", name=was.account)
            if row is None or row["state"] != "ACTIVE" or fingerprint not in (None, row["fingerprint"]):
                return False
            if not _change(tx, was, delivery, actor=MACHINE, why=None, now=delivery.changed):
                return False
            tx.run("attempt_add", **attempt_values(attempt))
        return True

    def settle(self, was: Delivery, standing: Standing, settled: Settled, *, why: str | None = None) -> Delivery:
        """Write what an outcome or a look means, in one transaction; gives the delivery as the store holds it.

        What somebody decided meanwhile stands, unless the post was found: presence is proved, whatever was believed.
        """
        with self._database.write() as tx:
            if settled.attempt is not None:
                tx.run("attempt_end", **attempt_end(settled.attempt))
            row = settled.delivery
            _save_standing(tx, standing, settled.standing, MACHINE, row.changed)
            if _change(tx, was, row, actor=MACHINE, why=why, now=row.changed):
                return row
            there = _delivery(tx, row.id)
            if row.state is State.POSTED and there.state is not State.POSTED:
                why = f"found on the account, although it was {there.state} meanwhile"
                _change(tx, there, row, actor=MACHINE, why=why, now=row.changed)
                return row
            return there

    # --- alerts ------------------------------------------------------------------------------------------------------

    def alerts(self) -> tuple[Alert, ...]:
        """What was found that a person must hear of, and of which not all is told, the oldest first."""
        with self._database.read() as tx:
            apart = _alerts.FLAPS_WITHIN // timedelta(microseconds=1)
            return tuple(alert_of(row) for row in tx.rows("alerts_live", apart=apart))

    def has_urgent(self) -> bool:
        """Whether something was found that a person must hear of at once, and has not."""
        with self._database.read() as tx:
            return tx.row("alerts_urgent") is not None

    def find(self, cause: Cause, now: datetime) -> None:
        """There is an alert of a cause that no other verb of the store finds."""
        with self._database.write() as tx:
            _alerts.found(tx, cause, now)

    def clear(self, kind: AlertKind, subject: str, now: datetime) -> None:
        """There is no such cause any more, whatever its detail was."""
        with self._database.write() as tx:
            tx.run("alerts_clear_kind", kind=kind.value, subject=subject, now=micros(now))

    def keep_told(self, told: Iterable[tuple[Alert, bool]], now: datetime) -> None:
        """These alerts were told at their `told`; with True they have ended, unless their cause came back meanwhile."""
        with self._database.write() as tx:
            for alert, has_ended in told:
                tx.run("alert_told", id=alert.id, told=micros(alert.told), tellings=alert.tellings)
                if has_ended:
                    tx.run("alert_end", id=alert.id, ended=micros(now), was_over=int(alert.over is not None))
                    tx.run("alert_back", id=alert.id)

    def look_for_silence(self, now: datetime) -> None:
        """There is an alert of each feed and account that is silent against its own habit, and of no other."""
        with self._database.write() as tx:
            _alerts.silence(tx, now)

    # --- history -----------------------------------------------------------------------------------------------------

    def events(self, subject_id: str) -> tuple[Event, ...]:
        """What happened to one subject, first one first."""
        with self._database.read() as tx:
            rows = tx.rows("events_of", subject_id=subject_id)
        return tuple(
            Event(
                at=at,
                subject=row["subject"],
                subject_id=row["subject_id"],
                actor=row["actor"],
                what=row["what"],
                why=row["why"],
            )
            for row in rows
            if (at := time_of(row["at"])) is not None
        )


# --- parts of the verbs, inside their transactions -------------------------------------------------------------------


def _event(subject: str, subject_id: str, what: str, why: str | None, now: datetime) -> Event:
    return Event(at=now, subject=subject, subject_id=subject_id, actor=MACHINE, what=what, why=why)


def _switched(stop: Stop, what: str, actor: str, why: str | None, now: datetime) -> Event:
    return Event(at=now, subject="switch", subject_id=stop.category or "everything", actor=actor, what=what, why=why)


def _write_event(tx: Transaction, event: Event) -> None:
    at = micros(event.at)
    tx.run(
        "event_add",
        id=f"{at:016x}{next(_numbers) & 0xFFFFFFFF:08x}{secrets.token_hex(4)}",
        at=at,
        subject=event.subject,
        subject_id=event.subject_id,
        actor=event.actor,
        what=event.what,
        why=event.why and redact(event.why),
    )


class _Names:
    """Names of feeds by id and back, looked up when first asked for: a store may have thousands."""

    def __init__(self, tx: Transaction, *feeds: Row) -> None:
        self._tx = tx
        #: Of `feeds`, which were read already, and of what was asked for.
        self._by_id: dict[str, str] = {row["id"]: row["name"] for row in feeds if row["name"]}
        self._by_name: dict[str, str] = {name: key for key, name in self._by_id.items()}

    def name(self, key: str) -> str:
        """The feed's name; its id once no name claims it."""
        if key not in self._by_id:
            row = self._tx.row("feed_by_id", id=key)
            self._by_id[key] = (row["name"] if row else None) or key
        return self._by_id[key]

    def id(self, name: str) -> str:
        """The id of the feed of this name; what is no name is an id already."""
        if name not in self._by_name:
            row = self._tx.row("feed_by_name", name=name)
            self._by_name[name] = row["id"] if row else name
        return self._by_name[name]


class _Articles:
    """Articles by id, each read once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._names = _Names(tx)
        self._known: dict[str, Article] = {}

    def __call__(self, key: str) -> Article:
        if key not in self._known:
            row = self._tx.row("article_by_id", id=key)
            if row is None:
                raise StoreError(f"the article {key} is not in the store")
            self._known[key] = article_of(row, self._names.name)
        return self._known[key]


def _care_notes(tx: Transaction) -> dict[str, str]:
    return {row["name"]: row["value"] for row in tx.rows("meta_care")}


def _stored(notes: Mapping[str, str]) -> Marker | None:
    """How far the store says that it has come; None: it was never at work."""
    if "generation" not in notes:
        return None
    return Marker(generation=int(notes["generation"]), instance=notes.get("instance", ""))


def _keep_stored(tx: Transaction, marker: Marker) -> None:
    tx.run("meta_set", name="generation", value=str(marker.generation))
    tx.run("meta_set", name="instance", value=marker.instance)


def _is_restored(tx: Transaction, feed: Row, *, anyhow: bool = False) -> bool:
    """Whether what a feed shows may have been posted since the copy was made that was put back.

    Until a person says `go`, and after that until the feed was read once; `anyhow`: as if it had not been said.
    """
    notes = _care_notes(tx)
    if "restored" in notes and not anyhow:
        return True
    unread = "restored" in notes or feed["id"] in json.loads(notes.get("restored_feeds", "[]"))
    return unread and (feed["last_good"] is None or feed["last_good"] < int(notes["restored_at"]))


def _standings(tx: Transaction) -> dict[str, Standing]:
    return {row["name"]: standing_of(row) for row in tx.rows("accounts_all") if row["configured"]}


def _delivery(tx: Transaction, key: str) -> Delivery:
    row = tx.row("delivery_by_id", id=key)
    if row is None:
        raise StoreError(f"the delivery {key} is not in the store")
    return delivery_of(row)


def _deliveries_of(tx: Transaction, article: str) -> tuple[Delivery, ...]:
    return tuple(delivery_of(row) for row in tx.rows("deliveries_of_article", article=article))


def _known(tx: Transaction, aliases: Iterable[Alias], names: _Names) -> dict[Alias, Article]:
    known: dict[Alias, Article] = {}
    for alias in aliases:
        row = tx.row("alias_article", kind=alias.kind.value, scope=alias.scope, digest=alias.digest)
        if row is not None:
            known[alias] = article_of(row, names.name)
    return known


def _traced(tx: Transaction, trace: str, names: _Names) -> tuple[Article, ...]:
    return tuple(article_of(row, names.name) for row in tx.rows("trace_articles", name=trace))


def _save_articles(tx: Transaction, decision: Decision, names: _Names) -> None:
    for article, aliases in decision.new:
        tx.run(
            "article_add",
            **article_values(article, names.id),
            feed=article.feed,
            origin=article.origin,
            first_seen=micros(article.first_seen),
        )
        _bind(tx, article, aliases)
    for article, aliases in decision.seen:
        tx.run("article_change", **article_values(article, names.id))
        _bind(tx, article, aliases)
    for key, traces in decision.traces:
        for trace in traces:
            tx.run("trace_add", name=trace, article=key)


def _bind(tx: Transaction, article: Article, aliases: Iterable[Alias]) -> None:
    for alias in aliases:
        tx.run("alias_add", kind=alias.kind.value, scope=alias.scope, digest=alias.digest, article=article.id)


#: What belongs to an account's state: whoever changes that decides these, too.
_OF_STATE = frozenset(("state", "reason", "active_since", "refusals", "probe_at", "probes"))


def _save_standing(
    tx: Transaction, was: Standing, standing: Standing, actor: str, now: datetime, *, why: str | None = None
) -> None:
    if standing == was:
        return
    row = tx.row("account_by_name", name=standing.account)
    there = standing_of(row) if row is not None else was
    standing = _merged(was, standing, there)
    tx.run("account_change", **standing_values(standing))
    _alerts.account_changed(tx, there, standing, now)
    if standing.state is not there.state:
        event = _event("account", standing.account, f"{there.state} -> {standing.state}", why or standing.reason, now)
        _write_event(tx, replace(event, actor=actor))


def _merged(was: Standing, standing: Standing, there: Standing) -> Standing:
    """`there` with what changed between `was` and `standing`: what somebody else wrote meanwhile stands.

    If that was to pause, block or resume the account, it decides the whole state.
    """
    names = {field.name for field in fields(Standing)}
    if there.state is not was.state or there.active_since != was.active_since:
        names -= _OF_STATE
    ours = {name: value for name in names if (value := getattr(standing, name)) != getattr(was, name)}
    return replace(there, **ours)


def _change(tx: Transaction, was: Delivery, row: Delivery, *, actor: str, why: str | None, now: datetime) -> bool:
    values = delivery_values(row)
    if tx.row("delivery_change", **values, was_changed=micros(was.changed), was_state=was.state.value) is None:
        return False
    _alerts.delivery_changed(tx, was, row, now)
    if row.state is not was.state:
        event = _event("delivery", row.id, f"{was.state} -> {row.state}", why or row.reason, now)
        _write_event(tx, replace(event, actor=actor))
    return True


def _adopt_feeds(tx: Transaction, feeds: Sequence[FeedSettings], now: datetime) -> list[Event]:
    told: list[Event] = []
    rows = tx.rows("feeds_all")
    named = {row["name"]: row for row in rows if row["name"]}
    wanted = {feed.name for feed in feeds}
    unclaimed = {row["url"]: row for row in rows if row["name"] not in wanted}
    tx.run("feeds_release")
    for position, feed in enumerate(feeds):
        values = {"name": feed.name, "position": position, "url": feed.url, "settings": to_json(feed)}
        row = named.get(feed.name) or unclaimed.pop(feed.url, None)
        if row is None:
            tx.run("feed_add", id=secrets.token_hex(8), **values)
            continue
        tx.run("feed_claim", id=row["id"], **values)
        if row["name"] != feed.name:
            told.append(_event("feed", row["id"], "named", f"{feed.name} takes over the history of {feed.url}", now))
        if row["url"] != feed.url:
            tx.run("feed_forget_url", id=row["id"])
            told.append(_event("feed", row["id"], "moved", f"{feed.name} is read from {feed.url} now", now))
    for event in told:
        _write_event(tx, event)
    return told


def _let_go(tx: Transaction, account: str, words: str, now: datetime) -> None:
    """Nothing that was meant for the old account goes to the new one; what may be live there, a person looks at."""
    for row in tx.rows("deliveries_unfinished", account=account):
        was = delivery_of(row)
        after = replace(was, state=State.HELD, reason="account removed", changed=now)
        if was.state is not State.READY or was.unclosed:
            after = replace(after, state=State.NEEDS_REVIEW, reason=words, unclosed=True)
        if was.state is State.SENDING and (attempt := tx.row("attempt_open", delivery=was.id)) is not None:
            ended = replace(attempt_of(attempt), finished=now, outcome=Evidence.UNKNOWN, evidence=words)
            tx.run("attempt_end", **attempt_end(ended))
            after = replace(after, frozen=ended.id)
        _change(tx, was, after, actor=MACHINE, why=words, now=now)


def _adopt_accounts(tx: Transaction, accounts: Sequence[Account], now: datetime) -> list[Event]:
    told: list[Event] = []
    known = {row["name"]: row for row in tx.rows("accounts_all")}
    tx.run("accounts_release")
    for position, account in enumerate(accounts):
        tx.run("account_claim", name=account.name, platform=account.platform, position=position, now=micros(now))
        row = known.get(account.name)
        if row is not None and row["platform"] != account.platform:
            tx.run("account_renew", name=account.name, platform=account.platform, now=micros(now))
            words = f"{account.name} is on {account.platform} now, a new account"
            told.append(_event("account", account.name, "renewed", words, now))
            _let_go(tx, account.name, words, now)
    for event in told:
        _write_event(tx, event)
    return told
