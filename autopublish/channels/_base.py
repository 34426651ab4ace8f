"""What is told, and the contract of what tells it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: A channel takes a notice within so long, or has failed.
DEADLINE: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert as a notice tells it."""

    kind: str
    #: Account, name of a feed, or empty.
    subject: str
    words: str
    since: datetime
    #: `first`, `reminder`, `all_clear`, or `test`.
    telling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one person is told at once; without secrets."""

    #: The same for what is told again because no channel took it; letters and digits.
    id: str
    at: datetime
    #: One line.
    title: str
    #: Paragraphs, and at the end where it comes from.
    text: str
    alerts: tuple[Told, ...]


class Channel(ABC):
    """One way to a person."""

    def check(self) -> None:  # noqa: B027 - some need nothing of this machine
        """What it needs on this machine is there; nothing is sent.

        Raises:
            ChannelError: it is not.
        """

    @abstractmethod
    def tell(self, notice: Notice) -> None:
        """The notice was taken by whoever carries it on.

        Raises:
            ChannelError: it was not, or nobody knows; another channel, or another try, tells it again.
        """
