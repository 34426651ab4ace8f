"""A clock that is moved by hand, kept in a file so that a killed process and its successor share it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock:
    """The time in UTC; it stands still until it is moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self.move_to(START)

    def __call__(self) -> datetime:
        return _EPOCH + int(self.path.read_text()) * _MICROSECOND

    def move(self, **by: float) -> None:
        """Later by a `timedelta` of these arguments."""
        self.move_to(self() + timedelta(**by))

    def move_to(self, time: datetime) -> None:
        """It is this time now."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.write_text(str((time - _EPOCH) // _MICROSECOND))
        fresh.replace(self.path)
