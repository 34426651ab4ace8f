"""What the contract test needs of a platform: `tests/platforms/test_NAME.py` exports a `CONTRACT` of these values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from autopublish.errors import DeliveryError
from autopublish.models import Post
from autopublish.platforms._base import Platform
from tests.servers.scripted import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How a platform's server misbehaves."""

    #: From now on nothing listens there.
    unplug: Callable[[], None]
    #: The next post is read and never answered.
    silence: Callable[[], None]
    #: The failure of this name (a key of `Contract.failures`) comes next.
    fail: Callable[[str], None]
    #: The next post is answered so.
    answer: Callable[[Fault], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A post as a reader has it."""

    text: str
    #: Whom the network tells of it, by the names that it took for such.
    pinged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A platform's server, or what stands for one, with one account on it."""

    #: A new adapter for the account, as each drain has one.
    make: Callable[[], Platform]
    #: A post with link, hashtags and, where the platform takes one, a picture.
    post: Post
    #: What `publish` has sent so far (written, where there is no network), byte for byte, one entry a call.
    sent: Callable[[], list[bytes]]
    #: How many posts a reader sees.
    visible: Callable[[], int]
    #: The one post that there is.
    seen: Callable[[], Shown]
    #: What may never stand in a text.
    secrets: tuple[str, ...] = ()
    #: None for a platform without network.
    network: Network | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One platform's part of the contract test."""

    #: Opens a bench; the folder is empty and its own.
    bench: Callable[[Path], AbstractContextManager[Bench]]
    #: What a failing server makes `publish` raise, by the failure's name.
    failures: Mapping[str, type[DeliveryError]] = field(default_factory=dict)
    #: False: its network knows our key, and shows nobody what was posted.
    shows_posts: bool = True
    #: True: a post is made of what `stage` prepared, and of nothing else.
    needs_stage: bool = False
    #: False: any answer of success will do, since our own key names the post.
    reads_answer: bool = True
