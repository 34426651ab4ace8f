"""What the pipeline is given, and what it tells."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from autopublish.errors import AutopublishError, SecretError
from autopublish.models import Account, Article, Credentials, Delivery, Kept, Post, Resolution, State
from autopublish.net import Client
from autopublish.redaction import redact
from autopublish.store import Store

if TYPE_CHECKING:
    from autopublish.media import Pictures
    from autopublish.platforms._base import Platform

_Error = TypeVar("_Error", bound=AutopublishError)


class Wake(Protocol):
    """How an engine is asked for one call."""

    def __call__(self, verb: str, key: str, at: datetime | None = None, /) -> None:
        """Call the verb for the key now, or at a time."""


class Leases(Protocol):
    """Which feeds (verb `poll`) and accounts (verb `drain`) this process works on, and no other one does."""

    def take(self, verb: str, subjects: Iterable[str], /) -> Mapping[str, str]:
        """Every subject is ours, except those given: by subject, who has it."""

    def give_back(self, verb: str, subjects: Iterable[str], /) -> None:
        """None of these is ours any more."""

    def give_all_back(self) -> None:
        """Nothing is ours any more."""

    def holds(self, verb: str, subject: str, /) -> bool:
        """Whether it is still ours, whatever happened meanwhile."""


class Alone:
    """Leases where no other process can work on the store: everything is ours."""

    def take(self, _verb: str, _subjects: Iterable[str], /) -> Mapping[str, str]:
        """Nobody has any."""
        return {}

    def give_back(self, _verb: str, _subjects: Iterable[str], /) -> None:
        """Nobody waits for them."""

    def give_all_back(self) -> None:
        """Nobody waits for them."""

    def holds(self, _verb: str, _subject: str, /) -> bool:
        """It is."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An account's platform with its secrets, and a digest that tells whether they changed."""

    platform: Platform
    fingerprint: str
    #: What the store keeps of a login, if the platform works with it.
    kept: Kept | None = None


def no_seal(_account: str, _credentials: Credentials) -> str:
    """Where nothing is kept, nothing can be sealed.

    Raises:
        SecretError: always.
    """
    raise SecretError("there is no key to seal credentials with")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that the pipeline works with.

    What costs time to load comes as a callable, so that a run without news does not pay for it.
    """

    store: Store
    client: Client
    clock: Callable[[], datetime]
    #: The configured accounts by name.
    accounts: Callable[[], Mapping[str, Account]]
    #: The platform of an account without its secrets: limits and traits only.
    describe: Callable[[Account], Platform]
    #: The platform with its secrets. Raises SecretError.
    connect: Callable[[Account], Connection]
    pictures: Callable[[], Pictures]
    #: Seals an account's credentials for the store. Raises SecretError.
    seal: Callable[[str, Credentials], str] = no_seal
    #: Asks an engine to call a verb for a key, now or at a time: ("poll", feed id) or ("drain", account).
    wake: Wake = field(default=lambda _verb, _key, _at=None: None)
    leases: Leases = field(default_factory=Alone)


def resolution_of(account: Account, platform: Platform) -> Resolution:
    """How an unknown outcome is resolved on this account; its settle time may be the operator's."""
    return Resolution(
        key_window=platform.key_window,
        read_back=platform.read_back,
        settle=platform.settle if account.settle is None else account.settle,
    )


def without_secrets(error: _Error) -> _Error:
    """The same error, whose words hold no secret in use: they are kept and shown, and cut to fit before that."""
    if error.args:
        error.args = (redact(str(error.args[0])), *error.args[1:])
    return error


def tell_bug(log: logging.Logger, event: str, error: BaseException, **about: str) -> None:
    """Log an error that nobody expected with its place in the program.

    Without its text: that may hold anything, a header with a secret too.
    """
    place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    keys = {**about, "error": type(error).__name__, "traceback": place}
    template = " ".join(f"{key}=%s" for key in keys)
    log.error(f"{event}: {template}", *keys.values())


# --- what is told ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """How one poll went."""

    feed: str
    #: `new`, `nothing new`, `not modified`, `first poll`, `empty`, `waiting`, `busy`, `not due`, `gone`,
    #: `failed`.
    status: str
    #: New articles that are not baseline.
    new: int = 0
    reason: str | None = None
    #: The same was told by the poll before.
    told_before: bool = False

    @property
    def failed(self) -> bool:
        """Whether the feed could not be read."""
        return self.status in ("failed", "gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A delivery whose state changed, with its article and the post if one was composed."""

    delivery: Delivery
    article: Article
    post: Post | None = None
    #: Its state before; None if it is new.
    was: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An account that could not do its work, and what a person can do about it."""

    account: str
    reason: str
    #: It needs a person, and the run ends with exit code 1.
    failed: bool = True
    #: The same was told by the run before.
    told_before: bool = False


@dataclass(slots=True)
class Journal:
    """What happened since the pipeline was made; safe between threads."""

    #: Called with each line that a person who waits may want to see.
    watch: Callable[[str], None] = field(default=lambda _words: None)
    polled: list[Polled] = field(default_factory=list)
    changed: dict[str, Changed] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def add_poll(self, polled: Polled) -> None:
        """Note how a poll went."""
        with self._lock:
            self.polled.append(polled)
        self.watch(f"{polled.feed}: {polled.status}")

    def add_change(self, was: State | None, delivery: Delivery, article: Article, post: Post | None = None) -> None:
        """Note a delivery's new state; the first `was`, the last state and the last post known are kept."""
        with self._lock:
            before = self.changed.get(delivery.id)
            self.changed[delivery.id] = Changed(
                delivery=delivery,
                article=article,
                post=post or (before.post if before else None),
                was=before.was if before else was,
            )
        self.watch(f"{delivery.account}: {delivery.state.value.lower()}: {article.title}")

    def add_trouble(self, trouble: Trouble) -> None:
        """Note what an account could not do; the last word counts, and what is new in this run stays new."""
        with self._lock:
            before = self.troubles.get(trouble.account)
            if before is not None and before.reason == trouble.reason and not before.told_before:
                trouble = replace(trouble, told_before=False)
            self.troubles[trouble.account] = trouble

    def take(self) -> Journal:
        """What was noted so far, of which nothing is kept here."""
        with self._lock:
            taken = Journal(polled=self.polled, changed=self.changed, troubles=self.troubles)
            self.polled, self.changed, self.troubles = [], {}, {}
        return taken

    def end_wait(self, account: str) -> None:
        """What an account only waited for is over."""
        with self._lock:
            before = self.troubles.get(account)
            if before is not None and not before.failed:
                del self.troubles[account]
