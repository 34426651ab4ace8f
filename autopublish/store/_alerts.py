"""Alerts inside the transactions that cause them; `autopublish.alerts` says what is one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from autopublish import alerts
from autopublish.models import AccountState, AlertKind, Cause, Delivery, Feed, Standing, State
from autopublish.store import _switch
from autopublish.store._codec import cause_values, micros, time_of
from autopublish.store._sqlite import Row, Transaction

#: In which state what an alert is about waits.
_STATES = {AlertKind.HELD: State.HELD, AlertKind.REVIEW: State.NEEDS_REVIEW, AlertKind.REJECTED: State.REJECTED}


#: What is told once is not told again for so long, however often it is found.
NOTICES_APART = timedelta(days=30)
#: What is found again so soon after its end was told has not come to rest.
FLAPS_WITHIN = timedelta(days=1)


def found(tx: Transaction, cause: Cause, now: datetime) -> None:
    """There is an alert of the cause; of a notice, none if the same was told not long ago."""
    if cause.kind is AlertKind.NOTICE and _was_told(tx, cause, now):
        return
    tx.run("alert_raise", id=secrets.token_hex(8), **cause_values(cause), now=micros(now))


def _was_told(tx: Transaction, cause: Cause, now: datetime) -> bool:
    since = micros(now - NOTICES_APART)
    return tx.row("notice_known", subject=cause.subject, detail=cause.detail, since=since) is not None


def gone(tx: Transaction, cause: Cause, now: datetime) -> None:
    """The alert of the cause, if there is one, is over."""
    values = cause_values(cause)
    names = {name: values[name] for name in ("kind", "subject", "detail")}
    tx.run("alert_clear", **names, now=micros(now))


def account_changed(tx: Transaction, was: Standing, standing: Standing, now: datetime) -> None:
    """The alerts of an account are those of what it is now."""
    if (wait := alerts.long_wait(was, standing, now)) is not None:
        found(tx, wait, now)
    before, after = alerts.of_account(was), alerts.of_account(standing)
    if before == after:
        return
    keys = {(cause.kind, cause.detail) for cause in after}
    for cause in before:
        if (cause.kind, cause.detail) not in keys:
            gone(tx, cause, now)
    for cause in after:
        if cause not in before:
            found(tx, cause, now)


def delivery_changed(tx: Transaction, was: Delivery | None, delivery: Delivery, now: datetime) -> None:
    """The alerts of what waits for a person are those of what waits now; `was` is None for a new delivery."""
    before, after = alerts.of_delivery(was) if was else None, alerts.of_delivery(delivery)
    if after is not None and not _is_told_by_safe_mode(tx, after):
        found(tx, after, now)
    if before is not None and (after is None or before.detail != after.detail or before.kind is not after.kind):
        detail = str(cause_values(before)["detail"])
        plain = detail.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        tx.run(
            "alerts_clear_deliveries",
            kind=before.kind.value,
            subject=before.subject,
            detail=detail,
            pattern=f"{plain}:%",
            state=_STATES[before.kind].value,
            now=micros(now),
        )


def _is_told_by_safe_mode(tx: Transaction, cause: Cause) -> bool:
    return cause.detail == alerts.RESTORED and tx.row("meta_get", name="restored") is not None


def feeds_polled(tx: Transaction, feeds: Iterable[Feed], notices: Iterable[Cause] = ()) -> None:
    """The alerts of feeds are those of how they are now; what their polls had to say beside that is told, too."""
    tried = [feed for feed in feeds if feed.last_try is not None]
    now = max((feed.last_try for feed in tried if feed.last_try is not None), default=None)
    if now is None:
        return
    for feed in tried:
        if (cause := alerts.of_feed(feed)) is not None:
            found(tx, cause, now)
    for cause in notices:
        found(tx, cause, now)
    tx.run("alerts_clear_feeds", now=micros(now))


def silence(tx: Transaction, now: datetime) -> None:
    """The alerts of silence are those of the feeds and accounts that are silent against their own habit now."""
    for row in tx.rows("feeds_configured"):
        times = _times(tx, "silence_articles", feed=row["id"])
        since = alerts.quiet(times, now)
        _set(tx, alerts.quiet_feed(row["id"], row["name"], since), now)
    for row in tx.rows("accounts_all"):
        if row["configured"]:
            _set(tx, alerts.quiet_account(row["name"], _silence_of(tx, row, now)), now)


def _silence_of(tx: Transaction, account: Row, now: datetime) -> timedelta | None:
    """None, too, where nothing came that could have been posted, or a person stopped everything."""
    if _switch.everything(tx) is not None:
        return None
    times = _times(tx, "silence_posts", account=account["name"])
    if account["state"] != AccountState.ACTIVE or (since := alerts.quiet(times, now)) is None:
        return None
    return since if tx.row("silence_missed", account=account["name"], since=micros(times[0])) else None


def _times(tx: Transaction, statement: str, **values: object) -> list[datetime]:
    """The newest first."""
    return [time for row in tx.rows(statement, **values) if (time := time_of(row["at"])) is not None]


def _set(tx: Transaction, cause: Cause, now: datetime) -> None:
    """There is an alert of the cause if it has words."""
    if cause.words:
        found(tx, cause, now)
    else:
        gone(tx, cause, now)
