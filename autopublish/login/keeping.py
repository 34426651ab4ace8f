"""What a login gave is sealed and kept, and its account goes on with it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from autopublish import deliveries
from autopublish.deliveries import NotAllowed, Ruling
from autopublish.models import Account, AccountState, Credentials, Delivery, Identity, Kept, Standing
from autopublish.pipeline._parts import Connection, Parts
from autopublish.pipeline._tokens import kept_from, known_end
from autopublish.platforms._base import Platform
from autopublish.platforms._login import Login


def demand_login(account: Account, platform: Platform) -> Login:
    """How the account is logged in, which the file leaves to a login.

    Raises:
        NotAllowed: its platform has no login, or the file names what the login would give.
    """
    login = platform.login
    if login is None:
        where = f"`autopublish platforms {account.platform}` says where to get them"
        raise NotAllowed(f"there is no login on {account.platform}: the file names its secrets; {where}")
    named = [f"`{name}`" for name in login.gives if getattr(account.settings, name) is not None]
    if named:
        raise NotAllowed(f"the file names {' and '.join(named)}, which would win: remove that from the file first")
    return login


def take_over(
    parts: Parts, account: Account, platform: Platform, given: Credentials, *, actor: str, accepted: str | None
) -> Identity:
    """What the login gave is kept, and an account that was blocked goes on; gives who is logged in.

    Raises:
        NotAllowed: it is another identity than the pinned one, and not `accepted`, its name or id.
        DeliveryError: the network did not say who is logged in; nothing is kept.
    """
    identity, now = platform.whoami(), parts.clock()
    known = parts.store.standings().get(account.name)
    if known is not None and known.platform != account.platform:
        known = None  # the next run begins with it anew
    pinned = known.identity if known is not None else None
    is_other = pinned is not None and pinned.id != identity.id
    if pinned is not None and is_other and accepted not in (identity.name, identity.id):
        raise NotAllowed(
            f"you logged in as {identity.name} ({identity.id}), and this account has posted as {pinned.name} "
            f"({pinned.id}): log in as that one; if the change is meant, confirm it with --accept-identity "
            f"{identity.name}"
        )
    fresh = Kept(account=account.name, platform=account.platform, login=secrets.token_hex(8), sealed="", obtained=now)
    sealed = parts.seal(account.name, given)
    parts.store.keep_login(kept_from(given, fresh, sealed, now, renewable=platform.can_refresh()), actor=actor)
    if known is not None and (known.state is AccountState.AUTH_BLOCKED or (is_other and _is_active(known))):
        _go_on(parts, parts.connect(account), identity, actor=actor, accepted=accepted, now=now)
    return identity


def _is_active(standing: Standing) -> bool:
    return standing.state is AccountState.ACTIVE


def _go_on(
    parts: Parts, connection: Connection, identity: Identity, *, actor: str, accepted: str | None, now: datetime
) -> None:
    """The account is ACTIVE as this identity."""
    assert connection.kept is not None

    def decide(standing: Standing, rows: Sequence[Delivery]) -> Ruling:
        if _is_active(standing):
            # Another one takes its place: what was made for the old one is made anew, as after a block.
            standing = deliveries.block(standing, "logged in as another", now)
        who = known_end(connection, identity)
        return deliveries.resume(standing, rows, who, connection.fingerprint, accepted=accepted, now=now)

    parts.store.rule(connection.kept.account, decide, actor=actor, now=now)
