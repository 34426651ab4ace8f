"""The only place where the concrete parts meet: configuration, store, network, platforms, pipeline, engine.

`build(path)` gives an `App`; the command line calls one of its methods for each command. The store remembers the digest
of the last valid configuration with what a poll needs, so that a run with an unchanged file and no news loads neither
YAML nor pydantic.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from threading import Condition, Lock
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from autopublish import __version__, alerts
from autopublish.articles import alias_of_link, normalise_link
from autopublish.config import Config, digest_of, fill_secrets, load, resolve_key, resolve_secrets
from autopublish.disk import LITTLE_BYTES, free_bytes
from autopublish.engines.local import Key, LocalEngine
from autopublish.errors import (
    ChannelError,
    ConfigError,
    ExtraMissing,
    FeedError,
    FeedUnreachable,
    Problem,
    SecretError,
    StoreBusy,
    StoreError,
    StoreLocked,
)
from autopublish.health import LAST_TICK, Health, problems, tick_of
from autopublish.models import (
    Account,
    AccountState,
    AlertKind,
    Article,
    Credentials,
    Delivery,
    FeedSettings,
    Kept,
    Standing,
    Stop,
)
from autopublish.net import Client
from autopublish.pipeline import (
    Changed,
    Connection,
    Parts,
    Pipeline,
    Polled,
    Previewed,
    Trouble,
    posts_of_article,
    posts_of_feed,
)
from autopublish.store import Event, Owner, Store, open_store, path_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from autopublish.login import Person
    from autopublish.login import Way as LoginWay
    from autopublish.media import Pictures
    from autopublish.models import Identity
    from autopublish.pipeline._trial import Trial
    from autopublish.platforms._base import Platform
    from autopublish.telling import Leases, Phrases, Teller, Tried, Ways
    from autopublish.vault import Vault


_STORE_LINE = re.compile(rb"^store:[ \t]*[\"']?(sqlite:///[^\s\"'#]+)", re.MULTILINE)
#: The store's note that the configuration names a monitor, to be called by each run in its turn.
_MONITORED = "monitored"
#: How often a run that stays looks whether somebody is to be told of something.
TELL_EVERY = timedelta(minutes=1)
#: How often is looked for what nothing tells of: silence, an old copy, a full disk.
LOOK_EVERY = timedelta(hours=1)
DEFAULT_STORE = "sqlite:///autopublish.db"
#: So many starts within 10 minutes are a loop if each before did not end in order.
CRASH_LOOP = 5
#: A site as people write it, with what may follow.
_SITE = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:[/?]\S*)?")

_Found = TypeVar("_Found")


def now_utc() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Feeds(StrEnum):
    """Which feeds a run polls."""

    #: Every feed that did not tell us to wait.
    ALL = "all"
    #: Those that are due by their `every`.
    DUE = "due"


class End(StrEnum):
    """When a run ends."""

    #: When nothing is left that can be done now.
    AT_ONCE = "at once"
    #: When nothing is left that goes on without a person: it waits for back-offs, rate windows and looks.
    WHEN_QUIET = "when quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run did."""

    polled: Sequence[Polled]
    #: Deliveries whose state changed, oldest article first.
    changed: Sequence[Changed]
    troubles: Sequence[Trouble]
    #: Deliveries that a dead process had left in the middle of a call.
    recovered: int
    #: All configured accounts as they stand now.
    standings: Mapping[str, Standing]
    #: What is worth telling about a changed configuration.
    told: Sequence[str]
    #: It was interrupted while it stayed: what it began has ended, and the next run goes on.
    stopped: bool = False
    #: The operator's, if the configuration had to be read.
    timezone: str | None = None
    #: Somebody stopped everything: what waits was not sent.
    stop: Stop | None = None
    #: No run told of that stop before.
    stop_is_news: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What `go` came to."""

    #: They were in SAFE_MODE.
    accounts: Sequence[str]
    #: The stop of everything that there was; None: there was none.
    stop: Stop | None
    #: So many deliveries are looked for before they are sent.
    released: int
    #: So many stay HELD, since their networks cannot tell.
    held: int
    #: Feeds that were not read since: what their next poll finds is held, too.
    unread: Sequence[str]
    #: The clock is taken for right, although servers disagree or the store has seen a later time.
    is_clock_right: bool


def build(
    path: Path | str,
    *,
    clock: Callable[[], datetime] = now_utc,
    wait: Callable[[Condition, float], object] = Condition.wait,
) -> App:
    """The program for one configuration file, with its store made and migrated if need be.

    `wait` waits so many seconds for the condition to change; a clock that is moved by hand needs another one.

    Raises:
        ConfigError: the file is wrong.
        StoreError: the store cannot be used.
    """
    path = Path(path)
    store = _remembered(path, _mark_of(path, digest_of(path)))
    if store is not None:
        return App(path, store, config=None, clock=clock, wait=wait)
    config = load(path)
    return App(path, open_store(config.store), config=config, clock=clock, wait=wait)


def build_to_stop(path: Path | str, *, clock: Callable[[], datetime] = now_utc) -> tuple[App, ConfigError | None]:
    """As `build`; with a wrong file, the program for the store that it seems to name: who must stop can do so.

    Gives what is wrong with the file, too.

    Raises:
        ConfigError: the file is wrong, and there is no store where it seems to name one.
        StoreError: the store cannot be used.
    """
    path = Path(path)
    try:
        return build(path, clock=clock), None
    except ConfigError as error:
        place = _guessed_store(path) if path.is_file() else None
        if place is None:
            raise
        return App(path, open_store(f"sqlite:///{place}"), config=None, clock=clock), error


def look(path: Path | str, *, clock: Callable[[], datetime] = now_utc) -> App:
    """The program for commands that only read; nothing is written anywhere.

    Raises:
        StoreError: there is no store yet.
    """
    config = load(Path(path))
    return App(Path(path), open_store(config.store, read_only=True), config=config, clock=clock)


def _mark_of(path: Path, digest: str) -> str:
    """What the store remembers of a file: its digest and its folder, from which its paths start."""
    return hashlib.sha256(f"{digest}\0{path.resolve().parent}".encode(errors="surrogateescape")).hexdigest()


def _remembered(path: Path, mark: str) -> Store | None:
    """The store that remembers this very file; where it lies is guessed, and the mark proves the guess."""
    place = _guessed_store(path)
    if place is None:
        return None
    try:
        glimpse = open_store(f"sqlite:///{place}", read_only=True)
        try:
            is_ours = glimpse.digest() == mark
        finally:
            glimpse.close()
        return open_store(f"sqlite:///{place}") if is_ours else None
    except StoreError:
        return None  # said in words when the configuration has been read


def _guessed_store(path: Path) -> Path | None:
    """Where a file that is not read as YAML seems to have its store; None: there is none."""
    found = _STORE_LINE.search(path.read_bytes())
    url = found.group(1).decode(errors="replace") if found else DEFAULT_STORE
    place = path.resolve().parent / url.removeprefix("sqlite:///")
    return place if place.is_file() and place.stat().st_size else None


class App:
    """One configuration, one store, and the verbs of the command line."""

    def __init__(
        self,
        path: Path,
        store: Store,
        *,
        config: Config | None,
        clock: Callable[[], datetime],
        wait: Callable[[Condition, float], object] = Condition.wait,
    ) -> None:
        self.path = path
        self.store = store
        self._config = config
        self._loading = Lock()
        self._clock = clock
        self._wait = wait
        #: With what the configuration said; each is used by the one thread that drains its account.
        self._connections: dict[str, tuple[Account, Connection]] = {}

    def close(self) -> None:
        """Close the store and every connection."""
        self.store.close()
        if "client" in self.__dict__:
            self.client.close()

    # --- parts -------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The configuration, read when first needed."""
        with self._loading:
            if self._config is None:
                config = load(self.path)
                if _mark_of(self.path, config.digest) != self.store.digest():
                    words = "was changed while the program was at work: run it again"
                    raise ConfigError(Problem(file=str(self.path), message=words))
                self._config = config
            return self._config

    @cached_property
    def accounts(self) -> Mapping[str, Account]:
        """The configured accounts by name, in the configuration's order."""
        return {account.name: account for account in self.config.accounts}

    @cached_property
    def client(self) -> Client:
        """The one way to other machines."""
        return Client(user_agent=user_agent(self._config.contact if self._config else self.store.contact()))

    @cached_property
    def pictures(self) -> Pictures:
        """The pictures of articles, kept beside the store."""
        from autopublish.media import Pictures

        return Pictures(self.store.folder / "pictures", self.client)

    def describe(self, account: Account) -> Platform:
        """The account's platform without its secrets."""
        return describe(account, self.client)

    def connect(self, account: Account) -> Connection:
        """The account's platform with its secrets: those of the file, and of a login what the file leaves out.

        Raises:
            SecretError: a secret is missing, empty or a sample, or nobody is logged in.
        """
        settings, material, kept = _with_login(account, self.config, self.store.kept(account.name))
        fingerprint = self._fingerprint(material)
        configured, known = self._connections.get(account.name, (None, None))
        is_same = known is not None and known.fingerprint == fingerprint and configured == account
        if known is not None and is_same and _sealed(known.kept) == _sealed(kept):
            if known.kept != kept:
                known = replace(known, kept=kept)
                self._connections[account.name] = (account, known)
            return known  # with its session: one login a process
        platform = describe(replace(account, settings=settings), self.client)
        connection = Connection(platform=platform, fingerprint=fingerprint, kept=kept)
        self._connections[account.name] = (account, connection)
        return connection

    def seal(self, account: str, credentials: Credentials) -> str:
        """The credentials as only the key of the configuration opens them.

        Raises:
            SecretError: there is no key.
        """
        return vault_of(self.config).seal(account, credentials.values)

    def _fingerprint(self, material: bytes) -> str:
        """A digest that tells whether secrets changed and nothing else: salted, and slow to guess from."""
        return hashlib.scrypt(material, salt=self._salt, n=2**10, r=8, p=1, dklen=16).hex()

    @cached_property
    def _salt(self) -> bytes:
        salt = self.store.note("salt")
        if salt is None:
            salt = secrets.token_hex(16)
            self.store.keep_note("salt", salt)
        return bytes.fromhex(salt)

    # --- run ---------------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        watch: Callable[[str], None] | None = None,
        feeds: Feeds = Feeds.ALL,
        end: End = End.AT_ONCE,
    ) -> RunReport:
        """Poll the feeds, drain what is due, look at what is unknown, then stop, or stay until all is quiet.

        `watch` is called with each line that a person who waits may want to see, from any thread.

        Raises:
            StoreBusy: another run is at work.
        """
        with self.store.only_run(self._clock()) as start, self.store.own("run", self._clock()) as owner:
            told = self.watch_falls(start.falls)
            self._check_store()
            is_new = self._is_new()
            told = (*told, *self._adopt(), *self._watch_store())
            engine = LocalEngine(clock=self._clock, wait=self._wait)
            pipeline = self._pipeline(engine, owner)
            if watch is not None:
                pipeline.journal.watch = watch
            engine.handlers.update(poll=pipeline.poll, drain=pipeline.drain)
            recovered = pipeline.recover()
            if is_new:
                pipeline.check_secrets()
            stopped, said = False, list[str]()
            try:
                _work_once(pipeline, engine, feeds)
                if end is End.WHEN_QUIET:
                    engine.handlers["tell"] = lambda _: said.extend(self._tell_people(owner))
                    _work_until_over(pipeline, engine, self._clock)
            except KeyboardInterrupt:
                # Who stays may be sent away at any time, and says what it did.
                if end is End.AT_ONCE:
                    raise
                stopped = True
            self._tidy()
            told = (*told, *self._copy_store(), *said, *self._tell_people(owner))
            return replace(self._report(pipeline, told, recovered), stopped=stopped)

    # --- the store's care --------------------------------------------------------------------------------------------

    def _check_store(self) -> None:
        """The store was looked through once today, before anything is sent.

        Raises:
            StoreError: it is damaged.
        """
        now = self.now()
        if self.store.note("checked") != f"{now:%Y-%m-%d}":
            from autopublish.store import care

            care.check_daily(self.store, now)

    def _watch_store(self) -> tuple[str, ...]:
        """Every account is in SAFE_MODE while the store may not know what was posted; gives what is new of that."""
        if self.store.is_trusted():
            return ()
        from autopublish import deliveries

        why = self.store.distrust(None, self.now(), doubted=deliveries.doubted, stopped=deliveries.stopped)
        if why is None:
            return ()
        return (
            (
                f"{why}. Every account is in SAFE_MODE, and nothing is sent: what the feeds show now is held. Look at "
                "the accounts, then `autopublish go` lets them go on"
            ),
        )

    def watch_falls(self, falls: int) -> tuple[str, ...]:
        """Every account is in SAFE_MODE if so many processes of late did not end in order; gives what is new."""
        if falls < CRASH_LOOP - 1 or self.store.note("crashed") is not None:
            return ()
        from autopublish import deliveries

        why = f"the program began {CRASH_LOOP} times within 10 minutes, and each time before it did not end in order"
        self.store.stop_all(why, self.now(), stopped=deliveries.stopped, note="crashed")
        return (
            (
                f"{why}: it was killed, or failed as its log says. Every account is in SAFE_MODE: feeds are read, and "
                "nothing is sent. Mend that, look at the accounts, then `autopublish go` lets them go on"
            ),
        )

    def _copy_store(self) -> tuple[str, ...]:
        """The day has its copy of the store; gives why not."""
        now = self.now()
        if self.store.note("copied") == f"{now:%Y-%m-%d}":
            return ()
        from autopublish.store import care

        words = care.keep_daily(self.store, now)
        return (words,) if words else ()

    # --- alerts ------------------------------------------------------------------------------------------------------

    def teller(
        self, leases: Leases, say: Callable[[str], None], stopping: Callable[[], bool] = lambda: False
    ) -> Teller:
        """What tells people of alerts, by the channels of the configuration in force."""
        from autopublish.telling import Teller

        return Teller(self.store, clock=self._clock, ways=self.ways, leases=leases, say=say, stopping=stopping)

    def ways(self) -> Ways:
        """The channels of the configuration in force."""
        from autopublish.ways import ways_of

        return ways_of(self.config, self.client, self._private)

    def _private(self, account: Account) -> Platform:
        """The platform of an account for alerts, apart from what drains it.

        Raises:
            ChannelError: it is stopped, or its credentials belong to another one.
            DeliveryError: whose they are cannot be asked.
            SecretError: a secret is missing, empty or a sample.
        """
        standing = self.store.standings().get(account.name)
        if standing is not None and standing.state in (AccountState.PAUSED, AccountState.AUTH_BLOCKED):
            raise ChannelError(f"{account.name} is {standing.state.value}: {standing.reason or 'no reason is known'}")
        kept = self.store.kept(account.name)
        platform = private_platform(account, self.config, self.client, kept)
        if standing is not None and standing.identity is not None:
            _, material, _ = _with_login(account, self.config, kept)
            # What is for a few people must not appear on whatever account other credentials belong to.
            if standing.fingerprint != self._fingerprint(material) and platform.whoami().id != standing.identity.id:
                raise ChannelError(f"{account.name}: the credentials belong to another account than before")
        return platform

    def _tell_people(self, owner: Owner) -> Sequence[str]:
        """What is due was told; gives what the operator must know of it."""
        said: list[str] = []
        self._look_around_hourly()
        # A run that has nothing to tell and nobody to call does not even load what would do it.
        if self.store.note(_MONITORED) or self.store.alerts():
            self.teller(owner, said.append).round()
        return said

    def _look_around_hourly(self) -> None:
        now, looked = self.now(), self.store.note("looked around")
        if looked is None or not timedelta(0) <= now - datetime.fromisoformat(looked) < LOOK_EVERY:
            # A run is proof that the file is right, whatever a daemon found before it.
            self.store.clear(AlertKind.CONFIGURATION, "", now)
            self.look_around()

    def look_around(self) -> None:
        """What no feed and no account tells of is found or over: silence, an old copy, a full disk."""
        from autopublish.store import care

        now, store = self.now(), self.store
        store.look_for_silence(now)
        since = min((feed.first_try for feed in store.feeds() if feed.first_try is not None), default=None)
        size = sum(file.stat().st_size for file in (store.path, Path(f"{store.path}-wal")) if file.exists())
        free = free_bytes(store.path.parent)
        causes = {
            AlertKind.COPY: alerts.old_copy(care.newest_copy(store.folder), since, now),
            AlertKind.DISK: alerts.full_disk(str(store.path), free=free, least=LITTLE_BYTES, store=size),
        }
        for kind, cause in causes.items():
            if cause is None:
                store.clear(kind, "", now)
            else:
                store.find(cause, now)
        store.keep_note("looked around", now.isoformat())

    def phrases(self) -> Phrases:
        """Alerts in words, by what the store says now."""
        from autopublish.telling import Phrases

        return Phrases(self.store)

    def try_channels(self, only: str | None = None) -> tuple[Tried, ...]:
        """What became of a notice that says that it is a test, in each channel or in one; the monitor counts as one.

        Raises:
            ConfigError: there is no such channel.
        """
        from autopublish.telling import tell_one, trial_notice

        ways = self.ways()
        kinds = (*ways.channels, *(("ping",) if ways.monitor is not None else ()))
        if only is not None and only not in kinds:
            message = f'there is no channel "{only}"; it has {", ".join(kinds) or "none"}'
            raise ConfigError(Problem(file=str(self.path), key="alerts", message=message))
        notice = trial_notice(ways.file, self.now())
        return tuple(tell_one(ways, kind, notice) for kind in ([only] if only else kinds))

    def go(self, *, who: str) -> Gone:
        """Everything is not stopped any more, and no account is in SAFE_MODE; what was held for that goes on if it can.

        What waited has not become stale meanwhile, and is looked for before it is sent. Categories and accounts that
        were stopped by name stay stopped.

        Raises:
            NotAllowed: nothing is stopped, in SAFE_MODE, or held for that.
        """
        from autopublish import deliveries
        from autopublish.pipeline._parts import resolution_of

        stopped = [one for one in self.store.standings().values() if one.state is AccountState.SAFE_MODE]
        stop = self.store.stop()
        is_ahead = (noted := self.store.noted_ahead()) is not None and noted > self.now()
        kept = self.store.restored() or self.store.note("crashed")
        # Found after `go` was said, by the first poll of a feed that was not read since.
        is_held = any(one.reason == deliveries.RESTORED for one in self.store.counts())
        if not (stopped or stop or kept or is_ahead or is_held):
            raise deliveries.NotAllowed("everything goes on already: there is no stop, and nothing is in SAFE_MODE")
        known = {name: resolution_of(one, self.describe(one)) for name, one in self.accounts.items()}
        if is_ahead:
            self.store.set_right(self.now(), righted=deliveries.righted)
        is_doubted = any(deliveries.is_stopped_for_clock(one) for one in stopped)
        if is_doubted:
            self.store.accept_clock()
        rows, unread = self.store.trust(
            self.now(),
            actor=who,
            released=lambda row, now: deliveries.released(row, known.get(row.account), now),
            started=deliveries.started,
        )
        held = sum(one.count for one in self.store.counts() if one.reason == deliveries.RESTORED)
        accounts = tuple(one.account for one in stopped)
        return Gone(
            accounts=accounts,
            stop=stop,
            released=len(rows),
            held=held,
            unread=unread,
            is_clock_right=is_doubted or is_ahead,
        )

    # --- daemon ------------------------------------------------------------------------------------------------------

    def begin(self, engine: LocalEngine, owner: Owner) -> tuple[Pipeline, Sequence[str]]:
        """The pipeline of a process that stays, once its configuration is in force and what a dead one left is settled.

        Gives what is worth telling, too.

        Raises:
            ConfigError: the file was changed at this moment.
            StoreError: the store is damaged.
        """
        _ = self.config  # what stays has it read, and never from the file of another moment
        self._check_store()
        is_new = self._is_new()
        told = (*self._adopt(), *self._watch_store())
        pipeline = self._pipeline(engine, owner)
        pipeline.recover()
        owner.give_all_back()
        if is_new:
            pipeline.check_secrets()
        return pipeline, told

    def reload(self) -> Sequence[str]:
        """The configuration is the one in the file now; what runs keeps what it began with. Gives what is to be told.

        Raises:
            ConfigError: the file is wrong, or names another store; the old configuration is in force.
        """
        config = load(self.path)
        if path_of(config.store).resolve() != self.store.path.resolve():
            words = "another store is taken by a daemon that is started anew, not by one that is at work"
            raise ConfigError(Problem(file=str(self.path), key="store", message=words))
        with self._loading:
            self._config = config
        # Before anything works on them: an account that is new is in SAFE_MODE as all others are.
        told = (*self._adopt(), *self._watch_store())
        self.__dict__["accounts"] = {account.name: account for account in config.accounts}
        # With its connection, the secrets of an account that is gone are let go.
        for name in self._connections.keys() - self.accounts.keys():
            self._connections.pop(name, None)
        self.client.user_agent = user_agent(config.contact)
        return told

    def watch(self) -> Sequence[str]:
        """Who stays may go on with the store as it lies there now, in SAFE_MODE if need be; gives what is new of that.

        Raises:
            StoreLost: it was deleted, moved or replaced.
        """
        self.store.demand_in_place()
        return self._watch_store()

    def care(self) -> Sequence[str]:
        """What is to be done once a day is done today, and it is known how the disk is; gives what is worth telling.

        Raises:
            StoreError: the store is damaged.
        """
        self._check_store()
        self._tidy()
        told = (*self._watch_store(), *self._copy_store())
        self.look_around()
        return told

    def _tidy(self) -> None:
        """No picture is left that only finished articles used."""
        if "pictures" in self.__dict__:
            self.pictures.forget(self.store.open_articles())

    # --- the big switch ----------------------------------------------------------------------------------------------

    def stop(self, *, who: str, why: str | None) -> Stop | None:
        """Nothing is sent on any account until `go`, by no process; gives the earlier stop if there was one."""
        return self.store.stop_everything(Stop(who=who, since=self.now(), why=why))

    def stop_category(self, category: str, *, who: str, why: str | None) -> tuple[Stop | None, Sequence[Delivery]]:
        """Nothing of a category is sent; gives the earlier stop if there was one, and what is HELD now."""
        from autopublish.pipeline._switch import stop_category

        return stop_category(self.store, Stop(who=who, since=self.now(), why=why, category=category))

    def go_category(self, category: str, *, who: str) -> tuple[Stop | None, Sequence[Delivery]]:
        """What was held for the stop of a category goes on; gives that stop, if there was one, and what was held."""
        from autopublish.pipeline._switch import go_category

        return go_category(self.store, category, actor=who, now=self.now())

    def stops(self) -> tuple[Stop, ...]:
        """What a person stopped: everything, and categories."""
        stop, stopped = self.store.stop(), self.store.stopped_categories()
        return stopped if stop is None else (stop, *stopped)

    def near_categories(self, category: str) -> Sequence[str] | None:
        """None if an article of late has the category, else those that are spelt nearly so."""
        from autopublish.pipeline._switch import near_categories

        return near_categories(self.store, category)

    def _is_news(self, stop: Stop | None) -> bool:
        """Whether no run told of this stop before; after that one did."""
        if stop is None or self.store.note("stop told") == stop.since.isoformat():
            return False
        self.store.keep_note("stop told", stop.since.isoformat())
        return True

    # --- a person's decisions about accounts -------------------------------------------------------------------------

    def pause(self, account: str, *, who: str, why: str | None) -> Standing:
        """The account sends nothing more, a run that is at work included, until a person resumes it.

        Raises:
            NotAllowed: it is PAUSED already, or in SAFE_MODE.
        """
        from autopublish import deliveries

        return self.store.rule(
            account, lambda standing, _: deliveries.pause(standing, who, why), actor=who, now=self.now()
        )

    def resume(self, account: str, *, who: str, accepted: str | None) -> Standing:
        """The account is ACTIVE again, as the identity that its network named; a refusal leaves it as it was.

        `accepted` is the name or id of the identity that may take the place of the pinned one.

        Raises:
            NotAllowed: nothing stops it, it is in SAFE_MODE, or the identity is not the pinned one.
            SecretError: a secret is missing, empty or a sample.
            DeliveryError: the network did not say who is logged in.
        """
        from autopublish.deliveries import NotAllowed
        from autopublish.pipeline._resume import resume

        configured = self.accounts.get(account)
        if (why := self.store.restored() or self.store.note("crashed")) is not None:
            raise NotAllowed(f"{why}: look at its network, then `autopublish go` lets all accounts go on")
        if configured is None or configured.platform != self.store.standing(account).platform:
            words = "the configuration says something else of it now: `autopublish run` takes that over first"
            raise NotAllowed(words)
        with self._owning() as parts:
            return resume(parts, configured, actor=who, accepted=accepted)

    def login(self, account: str, person: Person, way: LoginWay, *, who: str, accepted: str | None) -> Identity:
        """What the person's login gave is kept, sealed, and the account goes on with it; gives who is logged in.

        `accepted` is the name or id of the identity that may take the place of the pinned one.

        Raises:
            NotAllowed: the platform has no login, the file names the secrets, or the identity is not the pinned one.
            LoginError: the person or the network refused.
            SecretError: there is no key to seal it with, or another secret is missing.
            DeliveryError: the network did not say who is logged in; nothing is kept.
        """
        from autopublish.login import log_in
        from autopublish.login.keeping import demand_login, take_over
        from autopublish.platforms._http import Http

        configured = self._configured(account)
        login = demand_login(configured, self.describe(configured))
        vault_of(self.config)  # before a person does anything for it
        settings, _ = resolve_secrets(configured, base=self.config.path.parent)
        given = log_in(login, settings, Http(self.client, allow_private=configured.allow_private), person, way)
        platform = describe(replace(configured, settings=fill_secrets(settings, given.values)), self.client)
        return take_over(self._parts(), configured, platform, given, actor=who, accepted=accepted)

    def withdraw(self, row: Delivery, *, who: str) -> bool:
        """The post is taken away and its delivery CANCELLED; False: somebody else changed that meanwhile.

        Raises:
            NotAllowed: it is not POSTED, its account is not configured, or no program may delete there.
            SecretError: a secret is missing, empty or a sample.
            DeliveryError: the network did not delete it; nothing was changed.
        """
        from autopublish.pipeline._withdraw import withdraw

        configured = self._configured(row.account)
        with self._owning() as parts:
            return withdraw(parts, configured, row, actor=who)

    @contextmanager
    def trial(self, account: str, *, wait: Callable[[timedelta], None]) -> Iterator[Trial]:
        """A test post for the account, on which nobody else works meanwhile.

        Raises:
            NotAllowed: the account is stopped or at work, or another identity is logged in.
            SecretError: a secret is missing, empty or a sample.
            DeliveryError: the network did not say who is logged in.
            ComposeError: no post can be made for it.
        """
        from autopublish.deliveries import NotAllowed
        from autopublish.pipeline._trial import prepare

        configured, standing = self._configured(account), self.store.standings().get(account)
        if (stop := self.store.stop()) is not None:
            raise NotAllowed(f"everything was stopped by {stop.who}: `autopublish go` ends that")
        if standing is not None and standing.state in (AccountState.PAUSED, AccountState.SAFE_MODE):
            raise NotAllowed(f"it is {standing.state}: {standing.reason or 'no reason is known'}")
        with self._owning() as parts:
            if (holder := parts.leases.take("drain", (account,)).get(account)) is not None:
                raise NotAllowed(f"{holder} is at work on it: try again in a moment")
            site = next((feed.url for feed in self.config.feeds if feed.url.startswith("http")), None)
            yield prepare(parts, configured, site=site, wait=wait)

    def _configured(self, account: str) -> Account:
        from autopublish.deliveries import NotAllowed

        configured = self.accounts.get(account)
        if configured is None:
            raise NotAllowed(f"the configuration names no account {account}: put it back first")
        return configured

    @contextmanager
    def _owning(self) -> Iterator[Parts]:
        """The parts for a command that asks networks: what it holds, no other process works on."""
        with self.store.own("accounts", self._clock()) as owner:
            yield replace(self._parts(), leases=owner)

    # --- questions ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time by the program's clock."""
        return self._clock()

    def health(self) -> Health:
        """Whether the program does its work; a file or a store that cannot be read is a problem, too."""
        tick = None
        try:
            # The file as it is now, whatever a process that stays has in force.
            if self._config is None or digest_of(self.path) != self._config.digest:
                load(self.path)
            tick = tick_of(self.store.note(LAST_TICK))
            found = problems(self.store.feeds(), self.store.standings().values(), tick=tick, now=self.now())
        except (ConfigError, StoreError, ValueError) as error:
            found = (str(error),)
        return Health(tick=tick, problems=found)

    def metrics(self) -> bytes:
        """The figures of the store in the text format of Prometheus.

        Raises:
            ExtraMissing: the extra `metrics` is not installed.
            StoreError: the store cannot be read.
        """
        try:
            from autopublish.metrics import exposition
        except ModuleNotFoundError as error:
            if error.name != "prometheus_client":
                raise
            raise ExtraMissing("metrics", "prometheus-client") from error
        return exposition(self.store.measure(), self.health())

    def paced_until(self, account: str) -> datetime | None:
        """Until when the rate windows of an account keep it from sending; None: they do not."""
        from autopublish.pipeline._due import paced_until

        configured = self.accounts.get(account)
        return paced_until(self.store, configured, self.now()) if configured else None

    def find_article(self, text: str) -> Sequence[Article]:
        """The article with this address in any of its forms, else all whose address holds the text, or has the id."""
        link = normalise_link(text)
        if link is not None:
            article = self.store.article_by_alias(alias_of_link(link))
            if article is not None:
                return (article,)
        return self.store.articles_like(text)

    def dates_ahead(self) -> dict[str, timedelta]:
        """By feed, how far its newest dates lie ahead of the time that they were first seen.

        A plugin that writes local time as UTC looks like this; such articles count as published when first seen.
        """
        ahead: dict[str, timedelta] = {}
        for article in self.store.newest_articles(20):
            if article.stated is not None and (by := article.stated - article.first_seen) > timedelta(minutes=10):
                ahead[article.feeds[0]] = max(by, ahead.get(article.feeds[0], by))
        return ahead

    def explain(self, article: Article) -> dict[str, Delivery | str]:
        """For each account its delivery of the article, or in words why there is none; former accounts come last."""
        rows = {row.account: row for row in self.store.deliveries_of(article.id)}
        standings = self.store.standings()
        answers = {
            name: rows.get(name) or _why_none(article, account, standings.get(name))
            for name, account in self.accounts.items()
        }
        return answers | {name: row for name, row in rows.items() if name not in answers}

    def _report(self, pipeline: Pipeline, told: Sequence[str], recovered: int) -> RunReport:
        journal, stop = pipeline.journal, self.store.stop()
        order = {name: place for place, name in enumerate(pipeline.feed_names())}
        return RunReport(
            polled=sorted(journal.polled, key=lambda polled: order.get(polled.feed, 0)),
            changed=sorted(
                (one for one in journal.changed.values() if one.was is not one.delivery.state),
                key=lambda one: (one.article.published, one.article.id, one.delivery.account),
            ),
            troubles=sorted(journal.troubles.values(), key=lambda trouble: trouble.account),
            recovered=recovered,
            standings=self.store.standings(),
            told=told,
            timezone=self._config.timezone if self._config else None,
            stop=stop,
            stop_is_news=self._is_news(stop),
        )

    def _adopt(self) -> Sequence[str]:
        """Take over the configuration if it was read because it is not the one that the store remembers."""
        if self._config is None or not self._is_new():
            return ()
        config = self._config
        mark = _mark_of(self.path, config.digest)
        self._keep_plan(config)
        events = self.store.adopt(config.feeds, config.accounts, digest=mark, now=self._clock())
        return _told(events)

    def _keep_plan(self, config: Config) -> None:
        """The store remembers which channels there are, and what could not be told is tried at once by them."""
        from autopublish.telling import FAILED, PLAN
        from autopublish.ways import plan_of

        self.store.keep_note(PLAN, plan_of(config.alerts).note())
        self.store.keep_note(_MONITORED, "yes" if config.alerts.every else "")
        if self.store.note(FAILED):
            self.store.keep_note(FAILED, "")

    def _is_new(self) -> bool:
        """Whether the configuration was read, and is not the one that the store remembers."""
        return self._config is not None and _mark_of(self.path, self._config.digest) != self.store.digest()

    def _pipeline(self, engine: LocalEngine, owner: Owner) -> Pipeline:
        """The pipeline that this engine wakes, for what is the owner's."""
        parts = replace(self._parts(), wake=engine.wake, leases=owner)
        return Pipeline(parts, stopping=lambda: engine.is_stopping)

    def _parts(self) -> Parts:
        return Parts(
            store=self.store,
            client=self.client,
            clock=self._clock,
            accounts=lambda: self.accounts,
            describe=self.describe,
            connect=self.connect,
            pictures=lambda: self.pictures,
            seal=self.seal,
        )


def _work_once(pipeline: Pipeline, engine: LocalEngine, feeds: Feeds) -> None:
    """One round: every account with work, and the feeds."""
    chosen = pipeline.begin_due_round() if feeds is Feeds.DUE else pipeline.begin_round()
    # Accounts first: a slow feed must not delay what waits already.
    jobs = [("drain", account) for account in pipeline.accounts_with_work()]
    try:
        engine.run_until_quiet([*jobs, *(("poll", feed) for feed in chosen)])
    finally:
        pipeline.end_round()


def _work_until_over(pipeline: Pipeline, engine: LocalEngine, clock: Callable[[], datetime]) -> None:
    """Work on what falls due by itself until nothing does; it may take hours, and people hear of what is found."""
    told: datetime | None = None

    def when_quiet() -> None:
        nonlocal told
        # What a person stopped or cancelled meanwhile is not waited for.
        engine.keep_later({("drain", account) for account in pipeline.wake_waiting()})
        if engine.later:
            pipeline.journal.watch(_waits_for(engine.later))
            # In a thread of its own: an interrupt, which reaches this one, must find it waiting.
            if told is None or not timedelta(0) <= clock() - told < TELL_EVERY:
                told = clock()
                engine.wake("tell", "")

    engine.handlers["drain"] = pipeline.drain_and_go_on
    engine.run_until_over(when_quiet)


def _waits_for(later: Mapping[Key, datetime]) -> str:
    """What is waited for, and until when."""
    (_, account), until = min(later.items(), key=lambda one: one[1])
    others = f" ({len(later) - 1} more later)" if len(later) > 1 else ""
    return f"{account}: waits until {until:%Y-%m-%d %H:%M:%S} UTC{others}; Ctrl-C ends this, nothing is lost"


def _told(events: Sequence[Event]) -> tuple[str, ...]:
    """What a changed configuration did, in words; deliveries that wait for a person for one reason are one line."""
    stopped = Counter((event.why, event.what) for event in events if event.subject == "delivery")
    words = [event.why or event.what for event in events if event.subject != "delivery"]
    for (why, state), count in stopped.items():
        what = "delivery that waited is" if count == 1 else "deliveries that waited are"
        words.append(f"{why}: {count} {what} {state}; see `autopublish deliveries list --state {state.lower()}`")
    return tuple(words)


def _why_none(article: Article, account: Account, standing: Standing | None) -> str:
    if not account.takes_articles:
        return "not posted: the account takes no articles (`feeds: none`)"
    if article.baseline:
        return "not posted: it was there already when the feed was polled for the first time (see `first_run`)"
    if standing is None:
        return "not posted: the account is new in the configuration; `autopublish run` takes it over"
    if standing.created > article.first_seen:
        return "not posted: the account was added after this article was first seen"
    return "not posted: no poll has routed it to this account"


def tell_of_store(path: Path, error: StoreError, *, clock: Callable[[], datetime] = now_utc) -> None:
    """People have heard, once an hour at most, that the store cannot be used; what others hold for a while is no news.

    Where the configuration cannot be read, or no channel takes it, nobody has.
    """
    from autopublish.telling import tell_without_store
    from autopublish.ways import ways_of

    if isinstance(error, StoreBusy | StoreLocked):
        return
    try:
        config = load(path)
    except ConfigError:
        return
    if not config.alerts.channels:
        return
    client = Client(user_agent=user_agent(config.contact))
    try:
        ways = ways_of(config, client, lambda account: private_platform(account, config, client))
        mark = path_of(config.store)
        tell_without_store(ways, str(error), mark=mark.with_name(f"{mark.name}.d") / "told", now=clock())
    finally:
        client.close()


def private_platform(account: Account, config: Config, client: Client, kept: Kept | None = None) -> Platform:
    """The account's platform with its secrets, those of the login that is kept among them, for one use.

    Raises:
        SecretError: a secret is missing, empty or a sample, or nobody is logged in.
    """
    settings, _, _ = _with_login(account, config, kept)
    return describe(replace(account, settings=settings), client)


def vault_of(config: Config) -> Vault:
    """What seals and opens what logins gave.

    Raises:
        SecretError: the configuration names no key, or one that is none.
    """
    from autopublish.vault import Vault

    return Vault(resolve_key(config))


def _with_login(account: Account, config: Config, kept: Kept | None) -> tuple[BaseModel, bytes, Kept | None]:
    """The account's settings with the values of all its secrets, what a fingerprint is made of, and what is used.

    A secret that the file names wins over what a login gave.

    Raises:
        SecretError: a secret is missing, empty or a sample; nobody is logged in; what is kept cannot be opened.
    """
    from autopublish import platforms

    settings, material = resolve_secrets(account, base=config.path.parent)
    login = platforms.load(account.platform).login
    missing = [name for name in login.gives if getattr(settings, name) is None] if login else []
    if not missing:
        return settings, material, None
    if kept is None or kept.platform != account.platform:
        raise SecretError(
            f"accounts.{account.name}: nobody is logged in: `autopublish accounts login {account.name}`, or name "
            f"{' and '.join(f'`{name}`' for name in missing)} in the file"
        )
    settings = fill_secrets(settings, vault_of(config).open(account.name, kept.sealed))
    # Not the values: tokens that were renewed are the same login.
    return settings, material + kept.login.encode(), kept


def kept_in(config: Config, account: str) -> Kept | None:
    """What the configuration's store keeps of the account's login; nothing is written, and there need be no store."""
    try:
        store = open_store(config.store, read_only=True)
    except StoreError:
        return None
    try:
        return store.kept(account)
    finally:
        store.close()


def _sealed(kept: Kept | None) -> str | None:
    return kept.sealed if kept is not None else None


def _silently(_: str) -> None:
    """Nobody is told."""


def glance(
    path: Path,
    target: str | None,
    *,
    most: int,
    tell: Callable[[str], None] = _silently,
    unread: Callable[[FeedError], None] | None = None,
) -> tuple[Previewed, ...]:
    """What `preview` shows: the newest articles of the configured feeds, of one feed or of a site, or one article.

    By the configuration if there is one, else of the address alone, with an account on each platform. `tell` is told
    which feed was found where the address is that of a page. `unread` is given what is wrong with each of the
    configured feeds that cannot be read, and the others are shown; without it the first one ends it.

    Raises:
        ConfigError: the file is wrong, or `target` is neither a feed of it nor an address.
        FeedError: a feed cannot be read; names it.
    """
    config = load(path) if target is None or path.exists() else None
    client = Client(user_agent=user_agent(config.contact if config else None))
    try:
        glance = _Glance(config=config, client=client, now=now_utc(), most=most, tell=tell)
        return glance.of_all(unread) if target is None and unread is not None else glance.of(target)
    finally:
        client.close()


def feed_of(site: str, *, allow_private: bool, tell: Callable[[str], None] = _silently) -> FeedSettings:
    """The feed of a site, or the one whose address `site` is.

    Raises:
        ConfigError: `site` is no address.
        FeedError: no feed was found, or the site does not answer.
    """
    return _with_glance(lambda glance: glance.find_feed(address_of(site, ())), tell, allow_private=allow_private)


def newest_of(feed: FeedSettings, *, most: int) -> tuple[Previewed, ...]:
    """The newest articles of a feed that nobody has configured yet, as posts on each platform.

    Raises:
        FeedError: it cannot be read.
    """
    return _with_glance(lambda glance: glance.newest(feed), _silently, allow_private=feed.allow_private, most=most)


def _with_glance(
    ask: Callable[[_Glance], _Found], tell: Callable[[str], None], *, allow_private: bool, most: int = 1
) -> _Found:
    """What `ask` gives, by no configuration."""
    client = Client(user_agent=user_agent(None))
    try:
        return ask(
            _Glance(config=None, client=client, now=now_utc(), most=most, tell=tell, allow_private=allow_private)
        )
    finally:
        client.close()


def user_agent(contact: str | None) -> str:
    """Who asks, and where the admin of a site finds the operator if the configuration says so."""
    return f"autopublish/{__version__} (+{contact})" if contact else f"autopublish/{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glance:
    """One look at feeds, and at the posts that their articles would become."""

    config: Config | None
    client: Client
    now: datetime
    most: int
    tell: Callable[[str], None]
    #: Any site may be in the operator's own network.
    allow_private: bool = False

    @property
    def feeds(self) -> Sequence[FeedSettings]:
        """The configured ones."""
        return self.config.feeds if self.config else ()

    @property
    def accounts(self) -> Sequence[Account]:
        """The configured ones, else one on each platform."""
        return self.config.accounts if self.config else sample_accounts()

    def of(self, target: str | None) -> tuple[Previewed, ...]:
        """What is shown of `target`; None: of every configured feed."""
        named = [feed for feed in self.feeds if target in (None, feed.name)]
        if target is not None and not named:
            return self._at(address_of(target, self.feeds))
        return tuple(one for feed in named for one in self.newest(feed))

    def of_all(self, unread: Callable[[FeedError], None]) -> tuple[Previewed, ...]:
        """What is shown of every configured feed that can be read; the others are told."""
        shown: list[Previewed] = []
        for feed in self.feeds:
            try:
                shown += self.newest(feed)
            except FeedError as error:
                unread(error)
        return tuple(shown)

    def _at(self, address: str) -> tuple[Previewed, ...]:
        known = next((feed for feed in self.feeds if feed.url == address), None)
        if known is not None:
            return self.newest(known)
        if (shown := self._article(address, self.feeds)) is not None:
            return (shown,)
        found = self.find_feed(address)
        # A page of the site may be that of an article.
        shown = self._article(address, [found]) if found.url != address else None
        return self.newest(found) if shown is None else (shown,)

    def newest(self, feed: FeedSettings) -> tuple[Previewed, ...]:
        """The newest articles of one feed."""
        try:
            return posts_of_feed(
                feed,
                self.accounts,
                describe=describe,
                connect=self._connect if self.config else None,
                client=self.client,
                now=self.now,
                most=self.most,
            )
        except FeedError as error:
            raise FeedError(f"{feed.url}: {error}") from error

    def _article(self, address: str, feeds: Sequence[FeedSettings]) -> Previewed | None:
        return posts_of_article(
            address,
            feeds,
            self.accounts,
            describe=describe,
            connect=self._connect if self.config else None,
            client=self.client,
            now=self.now,
        )

    def _connect(self, account: Account, client: Client) -> Platform:
        assert self.config is not None
        return private_platform(account, self.config, client, kept_in(self.config, account.name))

    def find_feed(self, address: str) -> FeedSettings:
        """The feed at an address, or that of the site whose page it is."""
        url, is_private = address, self._may_be_private(address)
        if not address.lower().startswith("file:"):
            from autopublish.feeds.discover import find_feed

            try:
                url = find_feed(address, self.client, allow_private=is_private)
            except FeedUnreachable as error:
                raise FeedError(f"{address}: {error}") from error
        if url != address:
            self.tell(f"{address} is no feed; its feed is {url}")
        contact = self.config.contact if self.config else None
        return FeedSettings(name="preview", url=url, contact=contact, allow_private=is_private)

    def _may_be_private(self, address: str) -> bool:
        """Whether a configured feed of this host may be asked in the operator's own network."""
        host = urlsplit(address).netloc.lower()
        return self.allow_private or any(
            feed.allow_private and urlsplit(feed.url).netloc.lower() == host for feed in self.feeds
        )


def address_of(target: str, feeds: Sequence[FeedSettings]) -> str:
    """The address that is meant by `target`, which no feed is called: that of a file, or of a site without `https://`.

    Raises:
        ConfigError: it is none.
    """
    if target.lower().startswith(("http://", "https://", "file:")):
        return target
    if Path(target).is_file():
        return Path(target).absolute().as_uri()
    if _SITE.fullmatch(target):
        return f"https://{target}"
    from difflib import get_close_matches

    near = get_close_matches(target, [feed.name for feed in feeds], n=1)
    hint = f"did you mean {near[0]}?" if near else "an address begins with https://"
    raise ConfigError(Problem(file=target, message=f"no feed is called so, nor a file; {hint}"))


def sample_accounts() -> tuple[Account, ...]:
    """One account with the default template on each platform whose limits need no settings."""
    from autopublish import platforms
    from autopublish.posts import DEFAULT_TEMPLATE

    found = []
    for name in platforms.available():
        try:
            platform = platforms.load(name)
        except (ImportError, LookupError):
            continue  # told where an account uses it
        if hasattr(platform, "limits"):
            settings = platform.Settings.model_construct()
            found.append(Account(name=name, platform=name, template=DEFAULT_TEMPLATE, settings=settings))
    return tuple(found)


def describe(account: Account, client: Client) -> Platform:
    """An account's platform without its secrets: limits and traits."""
    from autopublish import platforms
    from autopublish.platforms._http import Http

    return platforms.load(account.platform)(account.settings, Http(client, allow_private=account.allow_private))
