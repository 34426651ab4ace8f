"""The clock, judged by the Date of servers: whether what hangs on the time may be decided.

Values in, an opinion out. One server may be wrong by hours and proves nothing; two that tell the same other time do,
unless a third one agrees with the clock. Knows no network, store or clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum, auto

#: A clock that differs by less harms nothing: the windows of keys are kept ten minutes shorter than the networks keep
#: them, and every other rule of the program counts in hours. A clock that is merely not kept in step stays far below.
TOLERANCE = timedelta(minutes=10)
#: What the store has seen may lie so far ahead: less is a clock that was put in step, or two threads of one moment.
MOST_BACK = timedelta(minutes=5)
#: So many servers make a proof.
PROOF = 2
#: Begins the reason of an account that was stopped for the clock.
WRONG = "the clock is wrong: "


class Opinion(StrEnum):
    """What servers say of the clock."""

    #: None told its time.
    UNHEARD = auto()
    #: One at least agrees with it.
    AGREES = auto()
    #: One at least disagrees, none agrees, and they prove nothing.
    DOUBTED = auto()
    #: Two disagree with it and agree with each other, and none agrees with it.
    MISTRUSTED = auto()


def judge(offsets: Mapping[str, timedelta], tolerance: timedelta = TOLERANCE) -> Opinion:
    """What servers say of the clock; `offsets`: how far the clock of each lies ahead of ours."""
    if not offsets:
        return Opinion.UNHEARD
    if agreeing(offsets, tolerance):
        return Opinion.AGREES
    return Opinion.MISTRUSTED if true_offset(offsets, tolerance) is not None else Opinion.DOUBTED


def agreeing(offsets: Mapping[str, timedelta], tolerance: timedelta = TOLERANCE) -> int:
    """How many servers agree with the clock."""
    return sum(abs(offset) <= tolerance for offset in offsets.values())


def true_offset(offsets: Mapping[str, timedelta], tolerance: timedelta = TOLERANCE) -> timedelta | None:
    """How far the clock lies behind the time that two servers tell alike; None: no two of them do."""
    ordered = sorted(offsets.values())
    for first, second in zip(ordered, ordered[PROOF - 1 :], strict=False):
        if second - first <= tolerance:
            return first
    return None


def in_words(offset: timedelta) -> str:
    """Why an account is stopped while servers are so far ahead of the clock."""
    days, hours = abs(offset).days, abs(offset).seconds / 3600
    size = f"{days} days" if days > 1 else f"{24 * days + hours:.1f} hours"
    side = "behind" if offset > timedelta(0) else "ahead"
    return f"{WRONG}two servers agree that it is {size} {side}. Set it, and the accounts go on by themselves"
