"""Account: a notice as a post of one of the accounts, which only the people concerned should see."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from autopublish.channels._base import Channel, Notice
from autopublish.errors import ChannelError, DeliveryError
from autopublish.models import Post, Receipt, Stage
from autopublish.text import TextLimits, clean_lines, shorten


class Network(Protocol):
    """What of an account's platform is used."""

    limits: TextLimits

    def learn_limits(self) -> None:
        """The limits are those of its own server."""

    def stage(self, post: Post, stage: Stage, /) -> Stage:
        """What must be there before the post is."""

    def publish(self, post: Post, stage: Stage, /, *, key: str) -> Receipt:
        """The post is there."""


class OfAccount(Channel):
    """One account.

    `connect` gives its platform with its secrets.
    """

    def __init__(self, name: str, connect: Callable[[], Network]) -> None:
        self._name = name
        self._connect = connect

    def tell(self, notice: Notice) -> None:
        """The network has the post."""
        try:
            network = self._connect()
            network.learn_limits()
            post = post_of(notice, network.limits)
            network.publish(post, network.stage(post, Stage()), key=key_of(notice))
        except DeliveryError as error:
            raise ChannelError(f"{self._name}: {error}") from error


def key_of(notice: Notice) -> str:
    """What the network knows the post by: the same when the notice is told again."""
    return sha256(f"alert\0{notice.id}".encode()).hexdigest()[:32]


def post_of(notice: Notice, limits: TextLimits) -> Post:
    """The notice as the network takes it, cut at its end if need be; nobody is mentioned."""
    said = limits.neutralise or str
    whole = said(clean_lines(notice.text))
    text = shorten(whole, limits.fits)
    return Post(
        text=text,
        link=None,
        title=notice.title,
        created_at=notice.at,
        published=notice.at.replace(microsecond=0),
        length=limits.measure(text),
        room=limits.length,
        shortened=() if text == whole else ("text",),
    )
