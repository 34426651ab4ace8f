"""Dates as feeds and servers write them: RFC 822 and RFC 3339, strictly enough to know an unreadable one.

Knows nothing of feeds. A date is read or it is None; it is never guessed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Before this nothing was published in a feed: an earlier date is a default (1970) or a slip.
EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)

#: https://www.rfc-editor.org/rfc/rfc822#section-5 and the unambiguous ones that sites write besides.
_ZONE_HOURS = {
    "GMT": 0, "UT": 0, "UTC": 0, "Z": 0, "WET": 0,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "CET": 1, "CEST": 2, "WEST": 1, "EET": 2, "EEST": 3, "MSK": 3,
    "WIB": 7, "WITA": 8, "WIT": 9, "JST": 9, "KST": 9,
}  # fmt: skip

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}

_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d{1,9})?)?"
_ZONE = r"(?:\s*(?P<zone>[+-]\d{2}:?\d{2}|[+-]\d{2}|[A-Za-z]{1,5}|[A-Za-z]+(?:/[A-Za-z_+\-0-9]+){1,2}))?"

#: The weekday is not read: it is redundant, and written in every language.
_RFC822 = re.compile(
    r"(?:[^\W\d_]+\.?,?\s+)?(?P<day>\d{1,2})[ -](?P<month>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4}|\d{2})\s+" + _TIME + _ZONE
)
_RFC3339 = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:[Tt\s]\s*" + _TIME + _ZONE + r")?")


@lru_cache(maxsize=512)  # a server says one Date to all who ask in a second
def parse_date(text: str | None) -> datetime | None:
    """The moment in UTC that `text` names, None if there is none that is sure and between 1995 and 9999.

    A date without a zone is taken as UTC, since feeds must write GMT or an offset and most that forget it mean that; a
    zone name that is not known to be unambiguous makes the date unreadable.
    """
    stripped = " ".join((text or "")[:80].split())
    match = _RFC822.fullmatch(stripped) or _RFC3339.fullmatch(stripped)
    if match is None:
        return None
    try:
        moment = _moment(match.groupdict())
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment >= EARLIEST else None


def _moment(parts: dict[str, str | None]) -> datetime | None:
    month, zone = _month(parts["month"] or ""), _zone(parts["zone"])
    if month is None or zone is None:
        return None
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    # 24:00:00 is the end of the day (ISO 8601) and :60 a leap second: both are the start of what follows.
    extra = timedelta(0)
    if (hour, minute, second) == (24, 0, 0):
        hour, extra = 0, timedelta(days=1)
    elif second == 60:
        second, extra = 59, timedelta(seconds=1)
    local = datetime(_year(parts["year"] or ""), month, int(parts["day"] or 0), hour, minute, second, tzinfo=zone)
    return local.astimezone(UTC) + extra


def _year(text: str) -> int:
    """Two digits are read as RFC 5322 section 4.3 says: below 50 they are of this century."""
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year


def _month(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    return _MONTHS.get(text[:3].lower())


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return UTC
    if text[0] in "+-":
        return _offset(text)
    if "/" in text:
        try:
            return ZoneInfo(text)
        except (OSError, ValueError, KeyError):
            return None
    hours = _ZONE_HOURS.get(text.upper())
    return None if hours is None else timezone(timedelta(hours=hours))


def _offset(text: str) -> tzinfo | None:
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    # The widest offset in use is +14:00.
    if int(digits[2:]) > 59 or offset > timedelta(hours=14):
        return None
    return timezone(-offset if text[0] == "-" else offset)
