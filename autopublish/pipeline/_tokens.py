"""Tokens that end: renewed ahead of time, and once after a refusal, and written before they are used.

A call for new tokens may use up the old ones, so there is one at a time for an account in all processes, and the intent
to make it is written before it. What it gave is in the store before its first use. If nobody knows what it gave, the
old ones are tried once more; after that a person logs in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from autopublish.errors import DeliveryError, NotSent, OutcomeUnknown, RateLimited, Unauthorized
from autopublish.models import Account, Credentials, Identity, Kept
from autopublish.pipeline._parts import Connection, Parts, tell_bug, without_secrets
from autopublish.platforms._base import Platform

log = logging.getLogger(__name__)

_Answered = TypeVar("_Answered")

#: A token is renewed when less than this part of its life is left, within these bounds.
LEFT = 5
MOST_AHEAD = timedelta(days=7)
LEAST_AHEAD = timedelta(minutes=5)
#: A renewal ahead of time that failed is tried again after this time.
AGAIN = timedelta(hours=1)
#: So many calls may be without a known result where each may have used up the tokens: the first, and one more.
MOST_TRIES = 2
#: As many tries say that the network refused to renew: more calls would be refused as well.
DEAD = 1_000


def kept_from(given: Credentials, before: Kept, sealed: str, now: datetime, *, renewable: bool) -> Kept:
    """What is kept of new credentials in the place of those before; where they end, with the time of their renewal."""
    expires = renew_at = None
    if given.lifetime is not None:
        expires = now + given.lifetime
        ahead = min(max(given.lifetime / LEFT, LEAST_AHEAD), MOST_AHEAD)
        renew_at = max(expires - ahead, now) if renewable else None
    return replace(before, sealed=sealed, obtained=now, expires=expires, renew_at=renew_at, tries=0)


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether the account's tokens are to be renewed now, although they still work."""
    kept = connection.kept
    return kept is not None and kept.renew_at is not None and kept.renew_at <= now


def may_renew(connection: Connection) -> bool:
    """Whether a refusal may be met with new tokens."""
    return connection.kept is not None and connection.platform.can_refresh()


def known_end(connection: Connection, identity: Identity) -> Identity:
    """The identity with the time at which its credentials end, if somebody must do something about that."""
    kept = connection.kept
    if kept is None:
        return identity
    return replace(identity, expires=None if kept.renew_at is not None else kept.expires or identity.expires)


def log_in_anew(account: str, words: str) -> Unauthorized:
    """The credentials are dead, and what mends that."""
    return Unauthorized(f"{words}; log in anew: `autopublish accounts login {account}`")


def renewing(
    parts: Parts, account: Account, connection: Connection, ask: Callable[[Platform], _Answered]
) -> tuple[Connection, _Answered]:
    """What the network answers to what may be repeated, once more with new tokens where it refused the old ones.

    Gives the connection with the tokens that it took, too.

    Raises:
        DeliveryError: as `ask`; Unauthorized only if new tokens were refused, too, or there are none.
        SecretError: what is kept cannot be opened any more.
    """
    try:
        return connection, ask(connection.platform)
    except Unauthorized as error:
        if connection.kept is None:
            raise
        if not may_renew(connection):
            raise log_in_anew(account.name, str(without_secrets(error))) from error
    connection = renew(parts, account, connection)
    try:
        return connection, ask(connection.platform)
    except Unauthorized as error:
        raise log_in_anew(account.name, str(without_secrets(error))) from error


def renew(parts: Parts, account: Account, connection: Connection) -> Connection:
    """The account's connection with newer tokens than `connection` has, whoever renewed them.

    Raises:
        Unauthorized: only a person's login helps.
        DeliveryError: they could not be renewed now; the account may go on with those that it has, if they work.
        SecretError: what is kept cannot be opened any more.
    """
    name = account.name
    if (holder := parts.leases.take("renew", (name,)).get(name)) is not None:
        raise NotSent(f"{holder} is renewing the token")
    try:
        # Read again: who had the lock a moment ago may have done it.
        latest = parts.connect(account)
        if latest.kept is None or connection.kept is None or latest.kept.sealed != connection.kept.sealed:
            return latest
        return _renewed(parts, account, latest, latest.kept)
    finally:
        parts.leases.give_back("renew", (name,))


def _renewed(parts: Parts, account: Account, connection: Connection, kept: Kept) -> Connection:
    platform = connection.platform
    if kept.tries >= (MOST_TRIES if platform.refreshes_once else DEAD):
        parts.store.change_kept(kept, replace(kept, renew_at=None))
        words = "renewals of the token were broken off, and it may be used up"
        raise log_in_anew(account.name, words if kept.tries < DEAD else "the network refused to renew the token")
    begun = replace(kept, tries=kept.tries + 1)
    if not parts.store.change_kept(kept, begun):
        return parts.connect(account)  # a person just logged in
    try:
        given = platform.refresh()
    except DeliveryError as error:
        raise _failed(parts, begun, without_secrets(error)) from error
    except Exception as error:
        tell_bug(log, "renewal failed", error, account=account.name)
        words = f"the program failed during the renewal: {type(error).__name__}"
        raise _failed(parts, begun, OutcomeUnknown(words)) from error
    after = kept_from(given, begun, parts.seal(account.name, given), parts.clock(), renewable=platform.can_refresh())
    if parts.store.change_kept(begun, after):
        log.info("token renewed: account=%s until=%s", account.name, after.expires)
    return parts.connect(account)


def _failed(parts: Parts, begun: Kept, error: DeliveryError) -> DeliveryError:
    """The error, once the store knows what is to be known of the call."""
    log.warning("token not renewed: account=%s reason=%s", begun.account, error)
    if isinstance(error, Unauthorized):
        parts.store.change_kept(begun, replace(begun, tries=DEAD, renew_at=None))
        return log_in_anew(begun.account, f"the token cannot be renewed: {error}")
    # What surely did not leave, or was refused for its pace, has used up nothing.
    tries = begun.tries - 1 if isinstance(error, NotSent | RateLimited) else begun.tries
    renew_at = parts.clock() + _wait(error) if begun.renew_at is not None else None
    parts.store.change_kept(begun, replace(begun, tries=tries, renew_at=renew_at))
    return error


def _wait(error: DeliveryError) -> timedelta:
    return max(error.wait or AGAIN, AGAIN) if isinstance(error, RateLimited) else AGAIN
