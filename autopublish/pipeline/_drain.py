"""The verb drain: from an account's due deliveries to receipts; and verify, which looks up what is unknown.

One account is drained by one thread at a time. Each delivery goes through `_send_one`; every end of it is written to
the store before the next one begins.
"""

from __future__ import annotations

import errno
import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from autopublish import deliveries
from autopublish.alerts import by_breaker
from autopublish.clock import MOST_BACK, Opinion
from autopublish.deliveries import Settled, Step
from autopublish.disk import LITTLE_BYTES, free_bytes
from autopublish.errors import (
    ComposeError,
    ConfigError,
    DeliveryError,
    MediaError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    SecretError,
    StoreError,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    NO_MONEY,
    Account,
    AccountState,
    Article,
    Attempt,
    Delivery,
    Feed,
    Media,
    MissingAlt,
    Picture,
    Pictures,
    Post,
    ReadBack,
    Receipt,
    Resolution,
    Stage,
    Standing,
    State,
)
from autopublish.pipeline._clock import ClockWatch
from autopublish.pipeline._links import Links
from autopublish.pipeline._parts import Connection, Journal, Parts, Trouble, resolution_of, tell_bug, without_secrets
from autopublish.pipeline._tokens import is_due, known_end, log_in_anew, may_renew, renew
from autopublish.platforms._base import Platform
from autopublish.posts import admits, compose, stops_of

log = logging.getLogger(__name__)

_Answered = TypeVar("_Answered")

#: A delivery that goes so much later than the poll that showed its article has its link fetched first.
LINK_CHECK_AFTER = timedelta(minutes=1)
#: Errors of the operating system that say nothing of what was being done.
_MACHINE_IS_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO))
#: Clocks differ: a look goes back a little further than the first attempt.
LOOK_BACK = timedelta(hours=1)


#: Who waits for money is asked again after this time: somebody may have raised the budget.
ASK_FOR_MONEY = timedelta(hours=1)


class Go(Enum):
    """Whether the drain of an account goes on."""

    ON = auto()
    STOP = auto()


@dataclass(slots=True)
class Line:
    """One account while it is drained."""

    account: Account
    connection: Connection
    resolution: Resolution
    #: As last written to the store.
    standing: Standing
    #: The server was asked for its limits in this drain.
    knows_limits: bool = False
    #: The network was asked in this drain for nothing but the time.
    was_asked: bool = False
    #: When the program began to look again after a long pause, as last read from the store.
    awake_since: datetime | None = None
    #: Its tokens were renewed in this drain, or could not be.
    was_renewed: bool = False
    #: Stepped over in this drain.
    passed: set[str] = field(default_factory=set)

    @property
    def platform(self) -> Platform:
        """The account's platform, with the newest tokens."""
        return self.connection.platform


class Drainer:
    """Drains accounts."""

    def __init__(
        self, parts: Parts, journal: Journal, links: Links, watch: ClockWatch, *, stopping: Callable[[], bool]
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._journal = journal
        self._links = links
        self._watch = watch
        self._stopping = stopping
        #: By attempt, what became of a call that the store did not take: tried again as long as this process lives.
        self._unwritten: dict[str, tuple[Standing, Settled]] = {}

    # --- the account -------------------------------------------------------------------------------------------------

    def drain(self, name: str) -> None:
        """Look up what is unknown, then send what is due, until nothing is left that may go now."""
        account = self._parts.accounts().get(name)
        if account is None:
            return
        now = self._parts.clock()
        unknown, due = self._store.unknown(name, now), self._store.ready(name, now, most=1)
        if self._store.stop() is not None:
            due = ()  # nothing is sent; what is unknown is looked up all the same
        is_blocked = self._store.standing(name).state is AccountState.AUTH_BLOCKED
        if not unknown and not due and not is_blocked and name not in self._store.renewals(now):
            return
        line = self._open(account)
        if line is None:
            # How long nobody could look, a wrong clock does not know.
            if not deliveries.is_stopped_for_clock(self._store.standing(name)):
                self._give_up_looking(account, unknown)
            return
        for delivery in unknown:
            self._verify(line, delivery)
        if self._may_send(line) and self._has_room(line) and self._time_lets_send(line):
            self._hold_burst(line)
            while self._send_next(line) is Go.ON:
                pass

    def check_secrets(self) -> None:
        """Block every account that may work and whose secrets cannot be had; asks no network."""
        for account in self._parts.accounts().values():
            standing = self._store.standing(account.name)
            if standing.state not in (AccountState.ACTIVE, AccountState.AUTH_BLOCKED):
                continue  # it stays what a person or the program made it, and may not work anyway
            try:
                self._parts.connect(account)
            except SecretError as error:
                self._block(standing, str(error))

    def _give_up_looking(self, account: Account, unknown: Sequence[Delivery]) -> None:
        """What an account that cannot be asked leaves unknown for a day, a person decides."""
        for delivery in unknown:
            attempt = self._frozen(delivery)
            row = deliveries.unanswered(delivery, attempt, account=account, now=self._parts.clock())
            if row is not None:
                self._change(delivery, row, self._store.article(delivery.article), attempt.post)

    def _frozen(self, delivery: Delivery) -> Attempt:
        if delivery.frozen is None:
            raise AssertionError(f"delivery {delivery.id} is VERIFYING without an attempt")
        return self._store.attempt(delivery.frozen)

    def _open(self, account: Account) -> Line | None:
        """The account with its platform, if it may work; a blocked one is tried again when its credentials changed."""
        standing = self._store.standing(account.name)
        if standing.state in (AccountState.PAUSED, AccountState.SAFE_MODE):
            failed = standing.state is AccountState.SAFE_MODE
            self._trouble(standing, standing.reason or standing.state.value, failed=failed)
            return None
        try:
            connection = self._parts.connect(account)
        except SecretError as error:
            self._block(standing, str(error))
            return None
        resolution = resolution_of(account, connection.platform)
        line = Line(account=account, connection=connection, resolution=resolution, standing=standing)
        is_known = standing.state is AccountState.ACTIVE and standing.fingerprint == connection.fingerprint
        if not is_known and not self._ask_who(line, connection.fingerprint):
            return None
        self._renew_ahead(line)
        return line

    def _ask_who(self, line: Line, fingerprint: str) -> bool:
        """Whether the network takes the credentials, as the account that was pinned; pins it the first time."""
        standing, now = line.standing, self._parts.clock()
        is_new = standing.fingerprint != fingerprint
        waits = standing.not_before is not None and now < standing.not_before
        if standing.probe_at is not None and (waits or (not is_new and now < standing.probe_at)):
            self._trouble(standing, standing.reason or "blocked", told_before=True)
            return False
        if waits:
            self._waits(line)
            return False
        try:
            identity = self._renewing(line, lambda platform: platform.whoami())
        except Unauthorized as error:
            self._block(standing, str(without_secrets(error)), fingerprint=fingerprint)
            return False
        except DeliveryError as error:
            without_secrets(error)
            wait = error.wait if isinstance(error, RateLimited) else None
            after = deliveries.unreachable(standing, wait, str(error), now)
            self._save(line, after)
            self._trouble(after, f"cannot be reached: {error}", failed=False)
            return False
        if standing.identity is not None and standing.identity.id != identity.id:
            self._block(
                standing,
                f"the credentials belong to {identity.name} ({identity.id}), but this account has posted as "
                f"{standing.identity.name} ({standing.identity.id}): put those back, or use a new account name",
                fingerprint=fingerprint,
            )
            return False
        after = replace(standing, identity=known_end(line.connection, identity), fingerprint=fingerprint)
        if standing.state is not AccountState.ACTIVE:
            after = deliveries.unblock(after, now)
        self._save(line, after)
        return True

    def _block(self, standing: Standing, reason: str, *, fingerprint: str | None = None) -> None:
        """The account is blocked, by credentials of this fingerprint; None: there are none, and any others are new."""
        now = self._parts.clock()
        same = standing.state is AccountState.AUTH_BLOCKED and standing.reason == reason
        due = standing.probe_at is None or now >= standing.probe_at
        if not same or due or fingerprint != standing.fingerprint:
            after = replace(deliveries.block(standing, reason, now), fingerprint=fingerprint)
            self._store.save_standing(standing, after, now=now)
            standing = after
            log.warning("account blocked: account=%s reason=%s", standing.account, reason)
        self._trouble(standing, reason, told_before=same)

    def _save(self, line: Line, standing: Standing) -> None:
        self._store.save_standing(line.standing, standing, now=self._parts.clock())
        line.standing = standing

    def _trouble(self, standing: Standing, reason: str, *, failed: bool = True, told_before: bool = False) -> None:
        trouble = Trouble(account=standing.account, reason=reason, failed=failed, told_before=told_before)
        self._journal.add_trouble(trouble)

    def _waits(self, line: Line) -> None:
        until = line.standing.not_before
        if until is not None:
            why = f": {line.standing.reason}" if line.standing.reason else ""
            self._trouble(line.standing, f"waits until {until:%H:%M:%S} UTC before it tries again{why}", failed=False)

    def _may_send(self, line: Line) -> bool:
        now = self._parts.clock()
        if line.standing.state is not AccountState.ACTIVE or self._stopping() or self._store.stop() is not None:
            return False
        if line.standing.not_before is not None and now < line.standing.not_before:
            if self._store.ready(line.account.name, now, most=1):
                self._waits(line)
            return False
        return True

    def _has_room(self, line: Line) -> bool:
        """Whether the store's disk takes what is written of sends; if not and something waits, the account waits."""
        free = free_bytes(self._store.path.parent)
        if free is None or free >= LITTLE_BYTES:
            return True
        if self._store.ready(line.account.name, self._parts.clock(), most=1):
            least = f"less than {LITTLE_BYTES // 1_000_000} MB are free where {self._store.path} lies"
            self._machine_is_short(
                line, f"this machine is short of disk: {least}; nothing is sent before there is room"
            )
        return False

    def _machine_is_short(self, line: Line, reason: str) -> None:
        """The account waits, through no fault of its own or of a delivery: the next would fare the same."""
        self._save(line, deliveries.unreachable(line.standing, None, reason, self._parts.clock()))
        self._trouble(line.standing, reason)

    # --- tokens ------------------------------------------------------------------------------------------------------

    def _renew_ahead(self, line: Line) -> None:
        """Tokens that end soon were renewed, if that can be; those that there are still work."""
        if not is_due(line.connection, self._parts.clock()):
            return
        try:
            line.connection = renew(self._parts, line.account, line.connection)
            line.was_renewed = True
        except (DeliveryError, SecretError) as error:
            self._trouble(line.standing, f"its token could not be renewed ahead of time: {error}", failed=False)
            with suppress(SecretError):
                line.connection = self._parts.connect(line.account)
        if (identity := line.standing.identity) is not None:
            # The end of tokens that are renewed is nobody's business; of others, people hear in time.
            self._save(line, replace(line.standing, identity=known_end(line.connection, identity)))

    def _renewing(self, line: Line, ask: Callable[[Platform], _Answered]) -> _Answered:
        """What the network answers to what may be repeated: once more with new tokens where it refused the old ones.

        Raises:
            DeliveryError: as `ask`; Unauthorized only if new tokens were refused, too, or there are none.
        """
        try:
            return ask(line.platform)
        except Unauthorized as error:
            if line.connection.kept is None:
                raise
            self._renew_refused(line, without_secrets(error))
        try:
            return ask(line.platform)
        except Unauthorized as error:
            raise log_in_anew(line.account.name, str(without_secrets(error))) from error

    def _renewed_after(self, line: Line, refusal: Unauthorized) -> tuple[DeliveryError, bool]:
        """What a refused call means, and whether the same delivery goes again at once: nothing was posted by it."""
        if line.connection.kept is None:
            return refusal, False
        try:
            self._renew_refused(line, refusal)
        except Unauthorized as error:
            return error, False
        except DeliveryError as error:
            return NotSent(f"the token was refused, and could not be renewed: {error}"), False
        return refusal, True

    def _renew_refused(self, line: Line, refusal: Unauthorized) -> None:
        """The account has newer tokens than those that were refused.

        Raises:
            DeliveryError: Unauthorized if only a person's login helps, or this drain renewed them once already.
        """
        if line.was_renewed or not may_renew(line.connection):
            raise log_in_anew(line.account.name, str(refusal)) from refusal
        line.was_renewed = True
        try:
            line.connection = renew(self._parts, line.account, line.connection)
        except SecretError as error:
            raise Unauthorized(str(error)) from error
        line.knows_limits = False

    # --- the clock ---------------------------------------------------------------------------------------------------

    def ask_the_time(self, is_enough: Callable[[], bool], *, of: Collection[AccountState]) -> None:
        """One network after the other was asked who is logged in, which tells the time, too, until that is enough."""
        standings = self._store.standings()
        for account in self._parts.accounts().values():
            standing = standings.get(account.name)
            if standing is None or standing.state not in of:
                continue
            if is_enough():
                return
            try:
                self._parts.connect(account).platform.whoami()
            except (SecretError, DeliveryError):
                continue  # an error's answer tells the time as well
            except Exception as error:  # noqa: BLE001 - told and contained
                tell_bug(log, "whoami failed", error, account=account.name)

    def _time_lets_send(self, line: Line) -> bool:
        """Whether the clock is good enough to send by; where that is in doubt, the account's network is asked first."""
        if not self._store.ready(line.account.name, self._parts.clock(), most=1):
            return True
        if self._watch.keeper.opinion() is Opinion.DOUBTED and not self._ask_time(line):
            return False
        if self._watch.stop():
            return False
        return self._has_come(line)

    def _ask_time(self, line: Line) -> bool:
        """Whether the account may go on; once in a drain its network was asked, and has told the time if it does."""
        if line.was_asked:
            return True
        line.was_asked = True
        return self._ask_who(line, line.standing.fingerprint or "")

    def _has_come(self, line: Line) -> bool:
        """Whether the clock has reached what the store has seen; a resend within the window of a key rests on that."""
        known, opinion = self._store.times(line.account.name), self._watch.keeper.opinion()
        line.awake_since = known.awake_since
        if known.is_accepted and opinion is Opinion.AGREES:
            self._store.forget_accepted()
        if known.latest is None or known.latest <= self._parts.clock() + MOST_BACK:
            return True
        self._watch.keep_ahead(known.latest)
        if opinion is Opinion.UNHEARD:
            if not self._ask_time(line):
                return False
            opinion = self._watch.keeper.opinion()
        if opinion is Opinion.AGREES:
            self._watch.set_right()
            line.standing = self._store.standing(line.account.name)
            return True
        self._trouble(
            line.standing,
            f"the clock is behind what the store has seen ({known.latest:%Y-%m-%d %H:%M} UTC), and nothing is sent "
            "before it has passed that, or a server agrees with it. Set it; if it is right, `autopublish go`",
            told_before=self._watch.was_ahead,
        )
        return False

    def _hold_stale(self, line: Line, delivery: Delivery, held: Delivery, article: Article) -> Go:
        if self._is_sure_of_age(line, article):
            return self._change(delivery, held, article)
        line.passed.add(delivery.id)
        return Go.ON

    def _is_sure_of_age(self, line: Line, article: Article) -> bool:
        """Whether servers agree with the clock, or none tells the time: only then an article may be too old."""
        keeper = self._watch.keeper
        feed = self._store.feed(article.feed)
        if keeper.opinion() is Opinion.UNHEARD and _folder_of(feed) is None:
            self._links.status(article, feed)
        if keeper.opinion() in (Opinion.UNHEARD, Opinion.DOUBTED) and not self._ask_time(line):
            return False
        if self._watch.stop():
            line.standing = self._store.standing(line.account.name)
            return False
        if keeper.opinion() in (Opinion.UNHEARD, Opinion.AGREES):
            return True
        reason = "a server's clock differs from this machine's: what is too old by it waits until another one agrees"
        self._trouble(line.standing, reason, failed=False)
        return False

    def _hold_burst(self, line: Line) -> None:
        now = self._parts.clock()
        due = {row.id: row for row in self._store.ready(line.account.name, now)}
        held = deliveries.hold_burst(due.values(), line.account, now)
        for row in self._store.change_all(((due[row.id], row) for row in held), why="burst") if held else ():
            self._journal.add_change(State.READY, row, self._store.article(row.article))
            self._log(row)

    # --- one delivery ------------------------------------------------------------------------------------------------

    def _send_next(self, line: Line) -> Go:
        now = self._parts.clock()
        if not self._may_send(line):
            return Go.STOP
        ready = self._store.ready(line.account.name, now, most=1 + len(line.passed))
        due = [row for row in ready if row.id not in line.passed]
        if not due:
            return Go.STOP
        if (until := self._paced_until(line, now)) is not None:
            self._trouble(
                line.standing, f"at most as many posts as it may for now; next {until:%H:%M} UTC", failed=False
            )
            return Go.STOP
        try:
            return self._send_one(line, due[0])
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others, whatever fails
            return self._poisoned(line, due[0], error)

    def _poisoned(self, line: Line, delivery: Delivery, error: Exception) -> Go:
        """A delivery on which the program fails before its call waits for a person; the next ones go on."""
        tell_bug(log, "send failed", error, delivery=delivery.id[:8])
        article, there = self._store.article(delivery.article), self._store.delivery(delivery.id)
        if there.state is not State.READY:
            raise error  # past the intent: recovery will find it
        if isinstance(error, MemoryError | ImportError) or getattr(error, "errno", None) in _MACHINE_IS_SHORT:
            self._machine_is_short(line, f"this machine is short of memory, files or disk: {error}")
            return Go.STOP
        return self._hold(there, article, f"template: the program failed on it ({type(error).__name__})")

    def _paced_until(self, line: Line, now: datetime) -> datetime | None:
        windows = line.account.at_most
        if not windows:
            return None
        since = now - max(window.period for window in windows)
        return deliveries.pace(windows, self._store.counted(line.account.name, since), now)

    def _lacks_money(self, line: Line, post: Post) -> bool:
        """Whether the account's budgets do not pay for the post; then the account waits for an hour at most.

        Whoever raises a budget meanwhile need not wait until the old one has room again.
        """
        budgets, now = line.account.budgets, self._parts.clock()
        price = _microdollars(line.platform.price(post))
        if not budgets or not price:
            return False
        paid = self._store.paid(line.account.name, now - max(budget.period for budget in budgets))
        until = deliveries.afford(budgets, paid, price, now)
        if until is None:
            return False
        goes = f"may go on {until:%Y-%m-%d %H:%M} UTC"
        if price > min(budget.microdollars for budget in budgets):
            goes = "is more than it ever allows: raise it"
        words = f"{NO_MONEY}the next post costs ${price / 1_000_000:g}, and {goes}"
        self._save(line, deliveries.unreachable(line.standing, min(until - now, ASK_FOR_MONEY), words, now))
        self._trouble(line.standing, words, failed=False)
        return True

    def _send_one(self, line: Line, delivery: Delivery) -> Go:
        article = self._store.article(delivery.article)
        # Read after the delivery was: a stop that came in between has changed the delivery.
        stops = stops_of(article, self._store.stopped_categories())
        if (held := deliveries.hold_stopped(delivery, stops, self._parts.clock())) is not None:
            return self._change(delivery, held, article)
        frozen = self._store.attempt(delivery.frozen) if delivery.frozen else None
        try:
            # What may be live already is past all filters.
            refusal = None if frozen else admits(article, line.account, article.feeds)
        except ComposeError as error:
            return self._hold(delivery, article, f"template: {error}")
        step = deliveries.check_claim(
            delivery,
            line.account,
            attempt=frozen,
            refusal=refusal,
            first_seen=article.first_seen,
            standing=line.standing,
            resolution=deliveries.resolution_for(delivery, line.resolution),
            now=self._parts.clock(),
            awake_since=line.awake_since,
        )
        if step.step is Step.CHANGED and deliveries.is_stale(step.delivery):
            return self._hold_stale(line, delivery, step.delivery, article)
        if step.step is Step.CHANGED:
            return self._change(delivery, step.delivery, article)
        if frozen is not None:
            return self._attempt(line, delivery, article, frozen.post, frozen.stage, frozen)
        if (go := self._learn_limits(line)) is not None:
            return go
        if step.step is Step.LOOK and (go := self._look_first(line, delivery, article)) is not None:
            return go
        return self._send_new(line, delivery, article)

    def _send_new(self, line: Line, delivery: Delivery, article: Article) -> Go:
        if self._link_is_dead(article):
            return self._hold(delivery, article, "dead link")
        now = self._parts.clock()
        picture = self._picture(line, article, delivery)
        if picture is None and line.platform.needs_picture:
            return self._hold(
                delivery,
                article,
                f"picture: posts on {line.account.platform} need one, and the article has none that can be used; "
                f"`autopublish platforms {line.account.platform}` tells what can be",
            )
        try:
            post = compose(article, line.account, line.platform.limits, picture=picture, now=now)
        except ComposeError as error:
            return self._hold(delivery, article, f"{error.hold}: {error}")
        if self._lacks_money(line, post):
            return Go.STOP
        try:
            stage = self._renewing(line, lambda platform: platform.stage(post, delivery.stage or Stage()))
        except DeliveryError as error:
            settled = deliveries.stage_failed(delivery, without_secrets(error), line.standing, now)
            return self._write(line, delivery, settled, article, post)
        return self._attempt(line, delivery, article, post, stage, None)

    def _attempt(
        self, line: Line, delivery: Delivery, article: Article, post: Post, stage: Stage, frozen: Attempt | None
    ) -> Go:
        if frozen is not None and self._lacks_money(line, post):
            return Go.STOP
        now = self._parts.clock()
        row, attempt = deliveries.begin(
            delivery,
            frozen,
            attempt_id=secrets.token_hex(16),
            post=post,
            stage=stage,
            now=now,
            deadline=line.platform.http.deadline,
            microdollars=_microdollars(line.platform.price(post)),
        )
        if not self._store.intend(delivery, row, attempt, fingerprint=line.standing.fingerprint):
            return self._reread(line)
        outcome, is_renewed = self._publish(line, row, attempt, frozen), False
        if isinstance(outcome, Unauthorized):
            outcome, is_renewed = self._renewed_after(line, outcome)
        settled = deliveries.settle(
            row,
            attempt,
            outcome,
            account=line.account,
            standing=line.standing,
            resolution=deliveries.resolution_for(delivery, line.resolution),
            now=self._parts.clock(),
        )
        if is_renewed or (isinstance(outcome, NotSent) and (self._stopping() or self._store.stop() is not None)):
            # We refused it ourselves, or it goes again with new tokens: that is no failure of the account.
            settled = replace(settled, standing=line.standing)
        self._journal.add_change(delivery.state, row, article, post)
        return self._write(line, row, settled, article, post)

    def _reread(self, line: Line) -> Go:
        """Somebody changed the delivery or the account meanwhile: what they did stands."""
        before = line.standing.fingerprint
        line.standing = self._store.standing(line.account.name)
        # Where other credentials were confirmed, this connection may be somebody else's.
        return Go.ON if line.standing.fingerprint == before else Go.STOP

    def _publish(
        self, line: Line, delivery: Delivery, attempt: Attempt, frozen: Attempt | None
    ) -> Receipt | DeliveryError:
        resolution = deliveries.resolution_for(delivery, line.resolution)
        until = deliveries.resend_until(delivery, frozen, resolution) if frozen else None

        def guard() -> None:
            if self._stopping():
                raise NotSent("the program is stopping")
            if (stop := self._store.stop()) is not None:
                raise NotSent(f"everything was stopped by {stop.who}")
            now = self._parts.clock()
            if now >= attempt.deadline or (until is not None and now >= until):
                raise NotSent("the time in which this could be sent safely has passed")
            if not self._parts.leases.holds("drain", delivery.account):
                raise NotSent("another process is at work on this account")

        line.platform.http.guard = guard
        try:
            receipt = line.platform.publish(attempt.post, attempt.stage, key=attempt.key)
        except DeliveryError as error:
            return without_secrets(error)
        except Exception as error:  # noqa: BLE001 - told and contained
            # A bug of ours or of a library: what it means for the post is not known.
            tell_bug(log, "publish failed", error, delivery=delivery.id[:8])
            return OutcomeUnknown(f"the program failed during the call: {type(error).__name__}")
        finally:
            line.platform.http.guard = None
        return receipt if receipt.remote_id else OutcomeUnknown("success without an id")

    # --- before the first send ---------------------------------------------------------------------------------------

    def _learn_limits(self, line: Line) -> Go | None:
        """Once in a drain, before a post is composed: the platform has its server's limits; or the end of the drain."""
        if line.knows_limits:
            return None
        error: DeliveryError
        try:
            self._renewing(line, lambda platform: platform.learn_limits())
        except DeliveryError as failure:
            error = without_secrets(failure)
        except Exception as failure:  # noqa: BLE001 - told and contained
            tell_bug(log, "learning the limits failed", failure, account=line.account.name)
            error = OutcomeUnknown(f"the program failed on the server's limits: {type(failure).__name__}")
        else:
            line.knows_limits = True
            return None
        return self._cannot_ask(line, error, "the server's limits could not be learnt")

    def _cannot_ask(self, line: Line, error: DeliveryError, what: str) -> Go:
        """The account waits, or is blocked where its credentials are refused; its deliveries stay as they are."""
        now = self._parts.clock()
        if isinstance(error, Unauthorized):
            self._save(line, deliveries.block(line.standing, str(error), now))
            self._trouble(line.standing, str(error))
        else:
            wait = error.wait if isinstance(error, RateLimited) else None
            self._save(line, deliveries.unreachable(line.standing, wait, str(error), now))
            self._trouble(line.standing, f"{what}: {error}", failed=False)
        return Go.STOP

    def _look_first(self, line: Line, delivery: Delivery, article: Article) -> Go | None:
        """The end of this delivery if it is there already or the look failed; None: send it."""
        now = self._parts.clock()
        try:
            post = compose(article, line.account, line.platform.limits, picture=None, now=now)
        except ComposeError as error:
            return self._hold(delivery, article, f"{error.hold}: {error}")
        since = min(article.published, article.first_seen) - LOOK_BACK
        result = self._find(line, post, Stage(), deliveries.key_of(delivery), since)
        match result:
            case Receipt():
                return self._change(delivery, deliveries.found_first(delivery, result, now), article)
            case Undecided() if deliveries.rests_on_look(delivery):
                return self._hold(delivery, article, deliveries.RESTORED)
            case None | Undecided():
                return None
            case _:
                return self._cannot_ask(line, result, "could not be looked at before the first send")

    def _link_is_dead(self, article: Article) -> bool:
        """Whether a late delivery's link answers 404 or 410; any other answer is no evidence."""
        if self._parts.clock() - article.first_seen <= LINK_CHECK_AFTER or article.link is None:
            return False
        feed = self._store.feed(article.feed)
        return _folder_of(feed) is None and self._links.status(article, feed) in (404, 410)

    def _picture(self, line: Line, article: Article, delivery: Delivery) -> Picture | None:
        """The article's picture as this network takes it; none if there is no usable one: it never sinks a post."""
        limits, wanted = line.platform.media, line.account.pictures
        if limits is None or wanted is Pictures.NONE or delivery.without_picture:
            return None
        feed, pictures = self._store.feed(article.feed), self._parts.pictures()
        folder, is_private = _folder_of(feed), feed.settings.allow_private
        # Beside a local feed there is no page.
        further = self._further(article, allow_private=is_private) if wanted is Pictures.PAGE and not folder else None
        picture = pictures.of(
            article, allow_private=is_private, within=folder, skipped=delivery.pictures_skipped, further=further
        )
        if picture is None:
            return None
        if not picture.alt and line.account.missing_alt is MissingAlt.TITLE:
            picture = replace(picture, alt=article.title)
        try:
            return pictures.fitted(picture, limits)
        except MediaError as error:
            log.warning("picture not fitted: article=%s reason=%s", article.id[:8], error)
            return None

    def _further(self, article: Article, *, allow_private: bool) -> Callable[[], Sequence[Media]]:
        """Asks the article's page for pictures."""

        def ask() -> Sequence[Media]:
            from autopublish.feeds.illustrate import further

            return further(article, self._parts.client, allow_private=allow_private)

        return ask

    # --- what is unknown ---------------------------------------------------------------------------------------------

    def _verify(self, line: Line, delivery: Delivery) -> None:
        attempt, now = self._frozen(delivery), self._parts.clock()
        article = self._store.article(delivery.article)
        resolution = deliveries.resolution_for(delivery, line.resolution)
        step = deliveries.next_step(delivery, attempt, account=line.account, resolution=resolution, now=now)
        if step.step is Step.CHANGED:
            self._change(delivery, step.delivery, article, attempt.post)
        if step.step is not Step.LOOK or not self._may_look(line):
            return
        result = self._find(line, attempt.post, attempt.stage, attempt.key, attempt.key_since - LOOK_BACK)
        settled = deliveries.looked(
            delivery,
            attempt,
            result,
            account=line.account,
            standing=line.standing,
            resolution=resolution,
            now=self._parts.clock(),
        )
        self._write(line, delivery, settled, article, attempt.post)

    def _may_look(self, line: Line) -> bool:
        """Looks are under the account's back-off, and a dead token answers none."""
        waits = line.standing.not_before is not None and self._parts.clock() < line.standing.not_before
        return line.standing.state is AccountState.ACTIVE and not waits

    def _find(
        self, line: Line, post: Post, stage: Stage, key: str | None, since: datetime
    ) -> Receipt | DeliveryError | None:
        try:
            return self._renewing(line, lambda platform: platform.find(post, stage, key=key, since=since))
        except DeliveryError as error:
            return without_secrets(error)
        except Exception as error:  # noqa: BLE001 - told and contained
            tell_bug(log, "look failed", error, account=line.account.name)
            return OutcomeUnknown(f"the program failed during the look: {type(error).__name__}")

    def write_kept(self) -> None:
        """What became of calls is in the store, as far as it takes by now what it did not take before.

        Raises:
            StoreError: it still does not.
        """
        for delivery, attempt in self._store.left_sending() if self._unwritten else ():
            self._write_kept(delivery, attempt)

    def _write_kept(self, delivery: Delivery, attempt: Attempt) -> bool:
        """Whether it is known what became of this call; then the store knows it, too."""
        if attempt.id not in self._unwritten:
            return False
        standing, settled = self._unwritten[attempt.id]
        row = self._store.settle(delivery, standing, settled)
        del self._unwritten[attempt.id]
        self._journal.add_change(delivery.state, row, self._store.article(delivery.article), attempt.post)
        self._log(row)
        return True

    def recover_left_sending(self, delivery: Delivery, attempt: Attempt) -> None:
        """Settle what a dead process left in the middle of a call, or what we could not write of one."""
        if self._write_kept(delivery, attempt):
            return
        account = self._parts.accounts().get(delivery.account)
        standing, now = self._store.standing(delivery.account), self._parts.clock()
        if account is None:
            # Its platform is not known any more: nobody can look, a person decides.
            account = Account(name=delivery.account, platform=standing.platform, template="")
            resolution = Resolution(key_window=None, read_back=ReadBack.NONE, settle=timedelta(0))
        else:
            resolution = deliveries.resolution_for(delivery, resolution_of(account, self._parts.describe(account)))
        settled = deliveries.recover_after_crash(
            delivery, attempt, account=account, standing=standing, resolution=resolution, now=now
        )
        row = self._store.settle(delivery, standing, settled, why="the program ended during the call")
        self._journal.add_change(delivery.state, row, self._store.article(delivery.article), attempt.post)
        log.warning("delivery recovered: account=%s delivery=%s", delivery.account, delivery.id[:8])

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self, line: Line, was: Delivery, settled: Settled, article: Article, post: Post) -> Go:
        try:
            row = self._store.settle(was, line.standing, settled)
        except StoreError:
            if was.state is State.SENDING and settled.attempt is not None:
                self._unwritten[settled.attempt.id] = (line.standing, settled)
            raise
        line.standing = settled.standing
        self._journal.add_change(was.state, row, article, post)
        self._log(row)
        if settled.standing.state is AccountState.AUTH_BLOCKED or by_breaker(settled.standing):
            self._trouble(settled.standing, settled.standing.reason or "blocked")
        return Go.ON

    def _change(self, was: Delivery, row: Delivery, article: Article, post: Post | None = None) -> Go:
        if self._store.change(was, row):
            self._journal.add_change(was.state, row, article, post)
            self._log(row)
        return Go.ON

    def _hold(self, delivery: Delivery, article: Article, reason: str) -> Go:
        return self._change(delivery, deliveries.hold(delivery, reason, self._parts.clock()), article)

    @staticmethod
    def _log(row: Delivery) -> None:
        level = logging.INFO if row.state in (State.POSTED, State.READY, State.CANCELLED) else logging.WARNING
        log.log(
            level,
            "delivery changed: state=%s account=%s delivery=%s url=%s reason=%s",
            row.state.value,
            row.account,
            row.id[:8],
            row.receipt.url if row.receipt else None,
            row.reason,
        )


def _folder_of(feed: Feed) -> Path | None:
    """The folder of a feed that is a local file."""
    parts = urlsplit(feed.settings.url)
    return Path(unquote(parts.path)).parent if parts.scheme == "file" else None


def _microdollars(dollars: Decimal) -> int:
    """The sum in millionths of a dollar, rounded up."""
    return int((dollars * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
