"""Credentials inside their transactions: what is kept is sealed before it comes here."""

from __future__ import annotations

from datetime import datetime

from autopublish.models import Kept
from autopublish.store._codec import micros, time_of
from autopublish.store._sqlite import Row, Transaction


def get(tx: Transaction, account: str) -> Kept | None:
    """What is kept of an account's login; None: nothing."""
    row = tx.row("credentials_get", account=account)
    return None if row is None else _kept_of(row)


def due(tx: Transaction, now: datetime) -> tuple[str, ...]:
    """The accounts that may send and whose credentials are to be renewed by now."""
    return tuple(sorted(row["account"] for row in tx.rows("credentials_due", now=micros(now))))


def keep(tx: Transaction, kept: Kept) -> None:
    """It is kept, in the place of what was kept before."""
    tx.run("credentials_keep", **_values(kept), platform=kept.platform, login=kept.login)


def change(tx: Transaction, was: Kept, kept: Kept) -> bool:
    """Whether it is kept in the place of `was`; if somebody else changed that, nothing is done."""
    values = {**_values(kept), "was_sealed": was.sealed, "was_tries": was.tries}
    return tx.row("credentials_change", **values) is not None


def _values(kept: Kept) -> dict[str, object]:
    return {
        "account": kept.account,
        "sealed": kept.sealed,
        "obtained": micros(kept.obtained),
        "expires": micros(kept.expires) if kept.expires else None,
        "renew_at": micros(kept.renew_at) if kept.renew_at else None,
        "tries": kept.tries,
    }


def _kept_of(row: Row) -> Kept:
    obtained = time_of(row["obtained"])
    assert obtained is not None  # the column takes no NULL
    return Kept(
        account=row["account"],
        platform=row["platform"],
        login=row["login"],
        sealed=row["sealed"],
        obtained=obtained,
        expires=time_of(row["expires"]),
        renew_at=time_of(row["renew_at"]),
        tries=row["tries"],
    )
