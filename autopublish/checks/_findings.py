"""What is told: findings, and words that all of them use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding asks for."""

    #: Nothing.
    OK = "ok"
    #: To be known; runs do their work all the same.
    NOTE = "note"
    #: Something will not work until a person acts.
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    #: `program`, `file`, `store`, `disk`, `clock`, `alerts`, `feed`, `account` or `next run`.
    subject: str
    #: Of the feed, account or channel, the path of a file or folder; None where there is but one.
    name: str | None = None
    verdict: Verdict = Verdict.OK
    words: str
    #: What to do; None where nothing is to be done.
    remedy: str | None = None


def ahead(offset: timedelta) -> str:
    """How far a clock differs from ours, in words."""
    minutes = offset.total_seconds() / 60
    size = f"{abs(minutes):.0f} min" if abs(minutes) < 120 else f"{abs(minutes) / 60:.1f} h"
    return f"{size} {'ahead' if minutes > 0 else 'behind'}"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
