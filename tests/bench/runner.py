"""One run of the program on the bench, put together from the same parts as `autopublish run`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from autopublish.engines.local import LocalEngine
from autopublish.errors import SecretError
from autopublish.media import Pictures
from autopublish.models import Account, AccountState, FeedSettings
from autopublish.net import Client
from autopublish.pipeline import Connection, Parts, Pipeline
from autopublish.pipeline._parts import Journal
from autopublish.platforms._base import Platform
from autopublish.platforms._http import Http
from autopublish.store import Owner, Store, open_store
from tests.bench.adapters import Edge, adapter
from tests.bench.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How an account reaches its network; an empty token is a secret that cannot be had."""

    address: str
    token: str
    patience_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that one run works with; goes to child processes as it is."""

    store: Path
    clock: Path
    feeds: tuple[FeedSettings, ...]
    accounts: tuple[Account, ...]
    logins: Mapping[str, Login]
    threads: int = 8

    @property
    def digest(self) -> str:
        """Changes with the configuration."""
        return hashlib.sha256(repr((self.feeds, self.accounts)).encode()).hexdigest()


#: Makes the network of one account.
MakeHttp = Callable[[Client], Http]
#: Makes the adapter of an account on a network that is not the bench's own.
MakePlatform = Callable[[Http], Platform]


class _Connector:
    """Gives the accounts' adapters, with or without their secrets."""

    def __init__(
        self, setup: Setup, client: Client, edge: Edge | None, http: MakeHttp, others: Mapping[str, MakePlatform]
    ) -> None:
        self._setup = setup
        self._client = client
        self._edge = edge
        self._http = http
        self._others = others

    def describe(self, account: Account) -> Platform:
        return self._adapter(account, "")

    def connect(self, account: Account) -> Connection:
        token = self._setup.logins[account.name].token
        if not token:
            raise SecretError("env:TOKEN is not set")
        fingerprint = hashlib.sha256(token.encode()).hexdigest()
        return Connection(platform=self._adapter(account, token), fingerprint=fingerprint)

    def _adapter(self, account: Account, token: str) -> Platform:
        if account.platform in self._others:
            return self._others[account.platform](self._http(self._client))
        login = self._setup.logins[account.name]
        made = adapter(
            account.platform,
            self._http(self._client),
            address=login.address,
            token=token,
            patience_seconds=login.patience_seconds,
        )
        if self._edge is not None:
            made.edge = self._edge
        return made


def plain_http(client: Client) -> Http:
    """The network as every adapter has it."""
    return Http(client, allow_private=True)


def run(
    setup: Setup,
    *,
    edge: Edge | None = None,
    http: MakeHttp = plain_http,
    others: Mapping[str, MakePlatform] = MappingProxyType({}),
) -> Journal:
    """Poll what is due, drain what is due, look at what is unknown, then stop; gives what was told.

    `others` makes the adapters of platforms that are not the bench's own.

    Raises:
        StoreBusy: another run is at work.
    """
    clock = Clock(setup.clock)
    with (
        closing(open_store(f"sqlite:///{setup.store}")) as store,
        closing(Client(user_agent="autopublish-bench")) as client,
        store.only_run(clock()),
        store.own("run", clock()) as owner,
    ):
        is_new = store.digest() != setup.digest
        if is_new:
            store.adopt(setup.feeds, setup.accounts, digest=setup.digest, now=clock())
        assert store.is_trusted(), "whenever the run before was killed"
        connector = _Connector(setup, client, edge, http, others)
        return _run(setup, store, owner, client, clock, connector, is_new=is_new)


def _run(
    setup: Setup, store: Store, owner: Owner, client: Client, clock: Clock, connector: _Connector, *, is_new: bool
) -> Journal:
    engine = LocalEngine(threads=setup.threads)
    accounts = {account.name: account for account in setup.accounts}
    pictures = Pictures(store.folder / "pictures", client)
    parts = Parts(
        store=store,
        client=client,
        clock=clock,
        accounts=lambda: accounts,
        describe=connector.describe,
        connect=connector.connect,
        pictures=lambda: pictures,
        wake=engine.wake,
        leases=owner,
    )
    pipeline = Pipeline(parts, stopping=lambda: engine.is_stopping)
    engine.handlers.update(poll=pipeline.poll, drain=pipeline.drain)
    pipeline.recover()
    if is_new:
        pipeline.check_secrets()
    feeds = pipeline.begin_round()
    jobs = [("drain", account) for account in pipeline.accounts_with_work()]
    try:
        engine.run_until_quiet([*jobs, *(("poll", feed) for feed in feeds)])
    finally:
        pipeline.end_round()
    return pipeline.journal


def move_to_work(setup: Setup) -> bool:
    """The clock stands where the next thing falls due; False, and it stays, if nothing waits that goes by itself."""
    clock = Clock(setup.clock)
    with closing(open_store(f"sqlite:///{setup.store}")) as store:
        standings = store.standings()
        times = [
            max(work.at, standing.not_before or work.at)
            for work in store.work()
            if (standing := standings.get(work.account)) and standing.state is AccountState.ACTIVE
        ]
    if not times:
        return False
    # What is due and did not go waits for its rate window.
    clock.move_to(max(min(times), clock() + timedelta(seconds=1)))
    return True
