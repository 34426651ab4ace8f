"""The adapter's contract: what the pipeline asks of a network, and what it may answer.

An adapter has no loop, sleep, log, store, clock, template or scheduler. A platform is one module named after what users
write under `platform:`; its docstring is the user's page.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from autopublish.models import Credentials, Identity, MediaLimits, Post, ReadBack, Receipt, Stage
from autopublish.platforms._http import Http
from autopublish.platforms._login import Login
from autopublish.text import TextLimits

__all__ = ["Card", "Platform", "ReadBack"]


class Card(StrEnum):
    """Who makes the card of a post's link, which shows title and picture of the page."""

    #: The post brings it along.
    OURS = "ours"
    #: The network, from what the page says of itself.
    NETWORK = "the network's"
    #: Nobody.
    NONE = "none"


class Platform(ABC):
    """One account on one network. Kept while its credentials stay the same, used by one thread at a time."""

    class Settings(BaseModel):
        """The platform's part of an account in the YAML; secrets are `SecretStr` and written as references."""

        model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    #: What users write under `platform:`; set by `platforms.load` to the module's name.
    name: ClassVar[str] = ""
    #: What posting costs, in a few words.
    cost: ClassVar[str] = "nothing"
    #: Who makes the card with title and picture behind the link.
    card: ClassVar[Card] = Card.NETWORK
    #: How `cards` draws a post of this network.
    look: str = "plain"
    #: How `accounts login` gets the secrets that the file leaves out; None: they stand in the file.
    login: ClassVar[Login | None] = None
    #: Whether what `refresh` uses up works no more afterwards, so that a call without an answer may have ended it.
    refreshes_once: ClassVar[bool] = False
    limits: TextLimits
    #: None: no pictures.
    media: MediaLimits | None = None
    #: Whether the account can post nothing without a picture.
    needs_picture: bool = False
    #: How long the network remembers our key; None: it knows none.
    key_window: timedelta | None = None
    read_back: ReadBack = ReadBack.NONE
    #: How long after an attempt's deadline a post may still appear.
    settle: timedelta = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        self.settings = settings
        self.http = http

    def learn_limits(self) -> None:  # noqa: B027 - most networks have one server
        """`limits` and `media` are those of the account's own server; where servers do not differ, nothing is asked.

        Called in each drain before its first post is composed: an adapter has no clock to tell how old its limits are.

        Raises:
            DeliveryError: the server could not be asked; nothing was posted.
        """

    @abstractmethod
    def whoami(self) -> Identity:
        """Who is logged in.

        Raises:
            DeliveryError: Unauthorized if the credentials are refused.
        """

    def permissions(self) -> tuple[str, ...] | None:
        """What the credentials lack of what posting and looking up need, in words; None: the network does not tell.

        For `check` alone, so asked only where it costs nothing.

        Raises:
            DeliveryError: the network could not be asked.
        """
        return None

    def can_refresh(self) -> bool:
        """Whether `refresh` can renew these credentials."""
        return type(self).refresh is not Platform.refresh

    def refresh(self) -> Credentials:
        """New credentials in the place of these: all values of the login, one call, never repeated.

        Raises:
            NotImplementedError: the network has no such call.
            DeliveryError: Unauthorized if only a person's login helps; NotSent if these surely stay as they are.
        """
        raise NotImplementedError

    def price(self, post: Post) -> Decimal:
        """What the network takes for the post, in dollars, as far as it is known; never less than that."""
        return Decimal(0)

    def stage(self, post: Post, stage: Stage) -> Stage:
        """Uploads and containers: repeatable, invisible, without waiting; `stage` is what an earlier call left."""
        return stage

    @abstractmethod
    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """Make the one irreversible call, one attempt; a pure function of its arguments.

        Raises:
            DeliveryError: the outcome if there is no receipt.
        """

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """Look for the post under `key` if there was an attempt, and for its link in the account's own posts.

        None means that all posts back to `since` were seen and it is absent.

        Raises:
            Undecided: the list ended too early or lags.
            DeliveryError: the look failed; it proves nothing.
        """
        raise NotImplementedError

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more, be it that somebody took it away before.

        Raises:
            NotImplementedError: the network has no such call.
            DeliveryError: it could not be taken away.
        """
        raise NotImplementedError
