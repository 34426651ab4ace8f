"""Alerts: what a person must hear of, in which words, and when it is told, told again and told to be over.

`of_account`, `of_delivery` and `of_feed` find a cause in the value that the store is about to write, so that the alert
is written in the same transaction; `quiet` finds the silence that no transaction causes. `telling` says what is to be
told of an alert now. One alert a cause, a daily reminder, one word when it is over. Knows no store, clock or channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum, auto
from itertools import pairwise

from autopublish.models import (
    BREAKER,
    NO_MONEY,
    AccountState,
    Alert,
    AlertKind,
    Cause,
    Delivery,
    Feed,
    Standing,
    State,
    Urgency,
)

#: What may heal by itself is told once it lasts so long.
SOON_AFTER = timedelta(minutes=5)
#: What lasts is told again.
REMIND_AFTER = timedelta(hours=24)
#: What is over is told once it stayed over for so long; what comes back before is the same alert.
CALM = timedelta(minutes=5)
#: What came back within a day after its end was told, and may do so again and again by itself, is told to be over only
#: once it stayed over for so long: whoever is told of it and of its end each hour soon reads neither.
CALM_OF_FLAPPING = timedelta(hours=24)
_FLAPPING = (AlertKind.ACCOUNT, AlertKind.AWAY, AlertKind.FEED, AlertKind.DISK)
#: Days before credentials end.
EXPIRY_DAYS = (14, 7, 1)

#: Failed polls in a row that are no hiccup any more.
FAILED_POLLS = 3
#: An account whose network fails so often in a row has an open circuit: it is probed from 5 minutes to an hour apart.
FAILURES = 5
#: Once a day there is a copy of the store; a run or two may be late.
COPY_WITHIN = timedelta(hours=26)
#: A store that takes more of its disk grows out of it.
MOST_OF_DISK = 0.8
#: Sites and networks may ask for a pause; a longer one is told: longer than our own back-off ever is.
LONG_WAIT_OF_FEED = timedelta(hours=24)
LONG_WAIT_OF_ACCOUNT = timedelta(minutes=70)
#: Why a delivery is HELD that the operator held knowingly,
_TOLD_ELSEWHERE = ("stopped",)
#: and why while the store may not know what was posted last: as long as that lasts, the alert of SAFE_MODE tells of it.
RESTORED = "restored"

#: Silence is judged by so many pauses at least, over so long.
LEAST_PAUSES = 10
HABIT_OVER = timedelta(days=7)
#: A pause so many times as long as the longest one before is no habit; shorter ones than the least are never told.
TIMES_LONGER = 2
LEAST_SILENCE = timedelta(hours=12)


# --- causes ----------------------------------------------------------------------------------------------------------


def of_account(standing: Standing) -> tuple[Cause, ...]:
    """What a person must hear of an account as it stands; SAFE_MODE is one alert for all, and a person's pause none."""
    return tuple(cause for cause in (_blocked(standing), _away(standing), _expiring(standing)) if cause is not None)


def _blocked(standing: Standing) -> Cause | None:
    name, reason = standing.account, standing.reason or "no reason is known"
    if standing.state is AccountState.AUTH_BLOCKED:
        words = (
            f"{name} posts nothing: {reason}. Put credentials that work in place; it goes on by itself within a minute "
            f"of a daemon or with the next run, or at once by `autopublish accounts resume {name}`"
        )
        return Cause(kind=AlertKind.ACCOUNT, subject=name, words=words, urgency=Urgency.NOW)
    if standing.state is AccountState.PAUSED and by_breaker(standing):
        words = f"{name} posts nothing: {reason}. Mend the cause, then `autopublish accounts resume {name}`"
        return Cause(kind=AlertKind.ACCOUNT, subject=name, words=words, urgency=Urgency.NOW)
    return None


def by_breaker(standing: Standing) -> bool:
    """Whether it was the program that paused the account, not a person."""
    return (standing.reason or "").startswith(BREAKER)


def _away(standing: Standing) -> Cause | None:
    if standing.state is not AccountState.ACTIVE or standing.failures < FAILURES:
        return None
    words = (
        f"{standing.account} has failed at least {FAILURES} times in a row, the last time: "
        f"{standing.reason or 'no reason is known'}. What waits is kept and tried again by itself, every "
        "hour at least"
    )
    return Cause(kind=AlertKind.AWAY, subject=standing.account, words=words)


def _expiring(standing: Standing) -> Cause | None:
    """From the moment that the end of the credentials is known; `telling` says when it is told."""
    ends = standing.identity.expires if standing.identity else None
    if ends is None:
        return None
    words = f"the credentials of {standing.account} end on {ends:%Y-%m-%d %H:%M} UTC: renew them before"
    return Cause(kind=AlertKind.EXPIRY, subject=standing.account, detail=ends.isoformat(), words=words)


#: States of deliveries that wait for a person, and how urgent that is.
_OF_STATE = {
    State.HELD: (AlertKind.HELD, Urgency.SOON),
    State.NEEDS_REVIEW: (AlertKind.REVIEW, Urgency.NOW),
    State.REJECTED: (AlertKind.REJECTED, Urgency.SOON),
}


def of_delivery(delivery: Delivery) -> Cause | None:
    """What a person must hear of a delivery; one cause for all of an account that wait for the same reason."""
    if delivery.state not in _OF_STATE:
        return None
    kind, urgency = _OF_STATE[delivery.state]
    detail = held_for(delivery) if kind is AlertKind.HELD else ""
    if detail in _TOLD_ELSEWHERE:
        return None
    words = delivery.reason or "no reason is known"
    return Cause(kind=kind, subject=delivery.account, detail=detail, words=words, urgency=urgency)


def held_for(delivery: Delivery) -> str:
    """Why a delivery is HELD, in the one or two words that stand before what is particular to it."""
    return (delivery.reason or "").partition(":")[0]


def in_words(cause: Cause, count: int) -> str:
    """What is told of deliveries that wait for a person, of which there are so many."""
    posts = "1 post" if count == 1 else f"{count} posts"
    name, listed = cause.subject, f"`autopublish deliveries list --account {cause.subject} --state "
    match cause.kind:
        case AlertKind.HELD:
            decide = f"{listed}held`, then `autopublish deliveries approve` or `cancel`"
            return f"{name}: {posts} held ({cause.words}). See {decide}"
        case AlertKind.REVIEW:
            decide = f"{listed}needs_review`, then `autopublish deliveries resolve`"
            return f"{name}: of {posts} nobody knows whether it is live ({cause.words}). Look at the account, {decide}"
        case AlertKind.REJECTED:
            decide = f"{listed}rejected`, then `autopublish deliveries retry` or `cancel`"
            return f"{name}: {posts} refused by the network ({cause.words}). See {decide}"
        case _:
            return cause.words


def of_feed(feed: Feed) -> Cause | None:
    """What a person must hear of a feed."""
    name, why = feed.settings.name, feed.last_error or "no reason is known"
    if feed.gone:
        words = (
            f"the feed {name} is gone for good, its site says (410), and is not asked any more: name its new address "
            "under `url`"
        )
        return Cause(kind=AlertKind.FEED, subject=feed.id, words=words, urgency=Urgency.NOW)
    if feed.failures >= FAILED_POLLS:
        words = f"the feed {name} cannot be read: {why}. It is asked again by itself, at least every six hours"
        return Cause(kind=AlertKind.FEED, subject=feed.id, words=words)
    return None


def safe_mode(why: str) -> Cause:
    """What a person must hear of a store, a program or a clock that is not to be relied on."""
    words = f"nothing is sent: {why}. Look at the accounts, then `autopublish go` lets them go on"
    return Cause(kind=AlertKind.SAFE_MODE, words=words, urgency=Urgency.NOW)


def broken_file(problems: Sequence[str]) -> Cause:
    """What a person must hear of a configuration that cannot be taken over."""
    words = f"the configuration is wrong, and the one of before stays in force: {'; '.join(problems)}"
    return Cause(kind=AlertKind.CONFIGURATION, words=words, urgency=Urgency.NOW)


def broken_program(where: str, name: str) -> Cause:
    """What a person must hear of a part of the program that fails again and again."""
    words = f"the program failed {FAILURES} times in a row ({where}: {name}): please report it; the log has more"
    return Cause(kind=AlertKind.PROGRAM, detail=where, words=words)


def old_copy(newest: datetime | None, since: datetime | None, now: datetime) -> Cause | None:
    """What a person must hear of a store whose newest good copy is old; it is at work `since` then."""
    made = newest or since
    if made is None or now - made <= COPY_WITHIN:
        return None
    age = f"is {_long(now - made)} old" if newest else "was never made"
    words = (
        f"the newest good copy of the store {age}: `autopublish run` says why none is made, and "
        "`autopublish db backup FILE` makes one on another disk"
    )
    return Cause(kind=AlertKind.COPY, words=words)


def full_disk(path: str, *, free: int | None, least: int, store: int) -> Cause | None:
    """What a person must hear of the disk of a store that has so many bytes; `free` is None if the disk does not say.

    With fewer than `least` free nothing is sent.
    """
    if free is None:
        return None
    if free < least:
        words = (
            f"only {free / 1e6:.0f} MB are free where the store lies ({path}): with less than {least / 1e6:.0f} MB "
            "nothing is sent. Free some space"
        )
        return Cause(kind=AlertKind.DISK, words=words, urgency=Urgency.NOW)
    if store > MOST_OF_DISK * (store + free):
        words = (
            f"the store {path} has {store / 1e6:.0f} MB and {free / 1e6:.0f} MB are free beside it: it soon has no "
            "room. Give it a larger disk"
        )
        return Cause(kind=AlertKind.DISK, words=words)
    return None


def moved_feed(key: str, name: str, target: str) -> Cause:
    """What a person must hear of a feed that is read at another address from now on."""
    words = f"the feed {name} has moved for good to {target} and is read there from now on: name it under `url`"
    return Cause(kind=AlertKind.NOTICE, subject=key, detail=f"moved: {target}", words=words)


def partial_feed(key: str, name: str, why: str) -> Cause:
    """What a person must hear of a feed whose document was not read whole."""
    words = f"the feed {name} is not read whole: {why}. Let it show less, or fewer articles at a time"
    return Cause(kind=AlertKind.NOTICE, subject=key, detail="not whole", words=words)


def told_to_wait(subject: str, name: str, until: datetime, why: str) -> Cause:
    """What a person must hear of a feed or an account that was told to stay away for long."""
    words = f"{name} was told to wait until {until:%Y-%m-%d %H:%M} UTC, and does: {why}"
    return Cause(kind=AlertKind.NOTICE, subject=subject, detail=f"waits until {until:%Y-%m-%d}", words=words)


def quiet(times: Sequence[datetime], now: datetime) -> timedelta | None:
    """For how long nothing came, if that is far longer than any pause between `times` before; None: it is not.

    Whoever never came regularly, or not for long yet, has no habit and cannot break it.
    """
    ordered = sorted(times)
    pauses = [later - earlier for earlier, later in pairwise(ordered)]
    if len(pauses) < LEAST_PAUSES or ordered[-1] - ordered[0] < HABIT_OVER:
        return None
    silence = now - ordered[-1]
    return silence if silence > max(TIMES_LONGER * max(pauses), LEAST_SILENCE) else None


def quiet_feed(key: str, name: str, since: timedelta | None) -> Cause:
    """What a person must hear of a feed that shows nothing new for so long; without words if it is not silent."""
    words = (
        ""
        if since is None
        else (
            f"the feed {name} has shown no new article for {_long(since)}, far longer than ever before. It is read "
            "without an error: does the site still publish, and in this feed?"
        )
    )
    return Cause(kind=AlertKind.QUIET_FEED, subject=key, words=words)


def quiet_account(name: str, since: timedelta | None) -> Cause:
    """What a person must hear of an account that posted nothing for so long; without words if it is not silent."""
    words = (
        ""
        if since is None
        else (
            f"{name} has posted nothing for {_long(since)}, far longer than ever before, although articles came. "
            "`autopublish why` says of each what became of it"
        )
    )
    return Cause(kind=AlertKind.QUIET_ACCOUNT, subject=name, words=words)


def _long(time: timedelta) -> str:
    """A time of some hours at least."""
    days, hours = time.days, time.seconds // 3600
    return f"{days} d {hours} h" if days else f"{hours} h"


# --- when it is told -------------------------------------------------------------------------------------------------


class Telling(StrEnum):
    """What is to be told of an alert now."""

    FIRST = auto()
    REMINDER = auto()
    #: It is over; there is nothing to tell after it.
    ALL_CLEAR = auto()
    #: It is over, and nobody heard of it, or it has no end to tell: it only ends.
    END = auto()


def telling(alert: Alert, now: datetime) -> Telling | None:
    """What is to be told of an alert now; None: nothing yet."""
    if alert.cause.kind is AlertKind.NOTICE:
        return Telling.FIRST if alert.tellings == 0 else Telling.END
    if alert.over is not None:
        if alert.tellings == 0:
            return Telling.END
        is_flapping = alert.is_back and alert.cause.kind in _FLAPPING
        return Telling.ALL_CLEAR if now - alert.over >= (CALM_OF_FLAPPING if is_flapping else CALM) else None
    if alert.cause.kind is AlertKind.EXPIRY:
        return _telling_of_end(alert, now)
    if alert.tellings == 0:
        waits = alert.cause.urgency is Urgency.SOON and now - alert.raised < SOON_AFTER
        return None if waits else Telling.FIRST
    if alert.told is not None and now - alert.told >= REMIND_AFTER:
        return Telling.REMINDER
    return None


def long_wait(was: Standing, standing: Standing, now: datetime) -> Cause | None:
    """What a person must hear of an account that waits longer than by our own back-off: its network asked, or money."""
    until, reason = standing.not_before, standing.reason or ""
    if reason.startswith(NO_MONEY) and reason != was.reason:
        words = f"{standing.account} posts nothing for now: {reason}"
        return Cause(kind=AlertKind.NOTICE, subject=standing.account, detail="budget", words=words)
    if until is None or until == was.not_before or until - now <= LONG_WAIT_OF_ACCOUNT:
        return None
    return told_to_wait(standing.account, standing.account, until, standing.reason or "its network said so")


def is_ahead(alert: Alert, now: datetime) -> bool:
    """Whether it is about something of which nobody need hear for long."""
    if alert.cause.kind is not AlertKind.EXPIRY or alert.over is not None:
        return False
    return datetime.fromisoformat(alert.cause.detail) - now > timedelta(days=EXPIRY_DAYS[0])


def _telling_of_end(alert: Alert, now: datetime) -> Telling | None:
    """14, 7 and 1 days before, each once, however many of them passed unheard."""
    ends = datetime.fromisoformat(alert.cause.detail)
    passed = [mark for mark in (ends - timedelta(days=days) for days in EXPIRY_DAYS) if mark <= now]
    if not passed or (alert.told is not None and alert.told >= passed[-1]):
        return None
    return Telling.REMINDER if alert.tellings else Telling.FIRST
