"""A person's resume of an account: the network is asked who is logged in, and the answer decides."""

from __future__ import annotations

import logging

from autopublish import deliveries
from autopublish.errors import DeliveryError, OutcomeUnknown, SecretError, StoreError
from autopublish.models import Account, Identity, Standing
from autopublish.pipeline._parts import Connection, Parts, tell_bug
from autopublish.pipeline._tokens import known_end, renewing

log = logging.getLogger(__name__)


def resume(parts: Parts, account: Account, *, actor: str, accepted: str | None) -> Standing:
    """The account is ACTIVE, as the identity that the network named; gives it as it stands.

    `accepted` is the name or id of the identity that may take the place of the pinned one.

    Raises:
        NotAllowed: nothing stops the account, it is in SAFE_MODE, or the identity is not the pinned one.
        SecretError: a secret is missing, empty or a sample; the account stays as it was.
        DeliveryError: the network did not say who is logged in; the account stays as it was.
    """
    # Before the network is asked: on some each call costs money.
    deliveries.check_resume(parts.store.standing(account.name))
    connection, identity = _who(parts, account)
    now = parts.clock()
    return parts.store.rule(
        account.name,
        lambda standing, rows: deliveries.resume(
            standing, rows, identity, connection.fingerprint, accepted=accepted, now=now
        ),
        actor=actor,
        now=now,
    )


def _who(parts: Parts, account: Account) -> tuple[Connection, Identity]:
    try:
        connection, identity = renewing(parts, account, parts.connect(account), lambda platform: platform.whoami())
        return connection, known_end(connection, identity)
    except (DeliveryError, SecretError, StoreError):
        raise
    except Exception as error:
        # A bug of ours or of a library must not end the command before the other accounts had their turn.
        tell_bug(log, "whoami failed", error, account=account.name)
        raise OutcomeUnknown(f"the program failed during the call: {type(error).__name__}") from error
