"""A page: posts drawn in a folder of your own, the way a network would show them. Nothing leaves the machine.

Setup: none. Name a `folder` and a `title`; the folder is made with the first post. `index.html` shows the `newest`
posts, `feed.json` (JSON Feed 1.1) and `feed.xml` (RSS 2.0) the newest 50, `posts/KEY.json` keeps each post for good.
Open `index.html` in a browser, or let a web server serve the folder and give its address as `base_url`. Use it to see
what would be posted before an account exists, or as a page of news on your own site.

What is posted: what the network named by `looks_like` (bluesky, facebook, mastodon, telegram or x) would get, within
that network's usual limits, with its links, hashtags and card. Where a network hides the end of a long text, the page
shows all of it. Several accounts may share a folder: the page shows the posts of all, under the title of the one that
posted last. Give each a title or a look of its own, by which it knows its posts.

Unknown outcome: a post is a file named after its key, put in place whole or not at all. The same key again changes
nothing, so a post is neither lost nor doubled. The posts' order is that of the files' times, which are the times of the
posts: copy the folder with its times (`cp -a`).

Sources: https://www.jsonfeed.org/version/1.1/, https://www.rssboard.org/rss-specification.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final
from xml.etree import ElementTree as ET

from pydantic import Field, HttpUrl, TypeAdapter, ValidationError

from autopublish import cards
from autopublish.articles import normalise_link
from autopublish.disk import sync_names
from autopublish.errors import MediaRejected, NotSent, OutcomeUnknown, Rejected, Unauthorized
from autopublish.models import FOREVER, Identity, MediaLimits, Picture, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import Http
from autopublish.text import TextLimits, characters, graphemes, utf16_units, weighted

#: How many posts the two feeds show.
_IN_FEEDS: Final = 50
#: What a key may be, since it names a file.
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_EXTENSIONS: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
#: What XML 1.0 cannot carry. https://www.w3.org/TR/xml/#charsets
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: What a missing or unreadable picture says; whatever else goes wrong may go right later.
_NO_PICTURE: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class LooksLike(StrEnum):
    """Whose limits and whose look the posts have."""

    BLUESKY = "bluesky"
    FACEBOOK = "facebook"
    MASTODON = "mastodon"
    TELEGRAM = "telegram"
    X = "x"


_LIMITS: Final = {
    # https://github.com/bluesky-social/atproto/blob/main/lexicons/app/bsky/feed/post.json
    LooksLike.BLUESKY: TextLimits(length=300, count=graphemes, size_bytes=3000),
    # Long-standing, and what other schedulers keep to; Meta's pages for developers state none.
    LooksLike.FACEBOOK: TextLimits(length=63_206, count=characters),
    # Where the server's own settings say nothing else. https://docs.joinmastodon.org/user/posting/#text
    LooksLike.MASTODON: TextLimits(length=500, count=graphemes, url_length=23),
    # A text with the preview of its link; a caption holds less. https://core.telegram.org/bots/api#sendmessage
    LooksLike.TELEGRAM: TextLimits(length=4096, count=utf16_units),
    # https://docs.x.com/fundamentals/counting-characters
    LooksLike.X: TextLimits(length=280, count=weighted, url_length=23),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One post as the folder keeps it; its picture's path is relative to the folder."""

    key: str
    account: str
    look: str
    post: Post


_ENTRIES: Final = TypeAdapter(_Entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A post that the page shows, and how."""

    entry: _Entry
    card: str


class Page(Platform):
    """The posts of one account in one folder."""

    class Settings(Platform.Settings):
        """The account's keys in the configuration."""

        #: Where the page is; made with the first post.
        folder: Path
        #: What stands above the page and beside each post.
        title: Annotated[str, Field(min_length=1, max_length=200)]
        #: Whose limits and look the posts have.
        looks_like: LooksLike = LooksLike.BLUESKY
        #: How many posts `index.html` shows.
        newest: Annotated[int, Field(ge=1, le=1000)] = 100
        #: Address under which a web server shows the folder.
        base_url: HttpUrl | None = None

    settings: Settings
    card = Card.OURS
    media = MediaLimits(size_bytes=1_000_000, alt_length=1000)
    key_window = FOREVER  # the key is the file's name
    read_back = ReadBack.BY_KEY
    settle = timedelta(0)  # a file in place is seen at once

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        self.look = settings.looks_like.value
        self.limits = _LIMITS[settings.looks_like]
        self._folder = settings.folder.resolve()
        #: What the page showed last: a post's file never changes, so no drain reads or draws one twice.
        self._shown: dict[str, _Shown] = {}

    def whoami(self) -> Identity:
        """The folder and its title; nothing is made.

        Raises:
            Unauthorized: the folder may not be written or made.
        """
        there = next(place for place in (self._folder, *self._folder.parents) if os.path.lexists(place))
        if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):  # noqa: PTH112 - is_dir() raises
            raise Unauthorized(f"{there} is no folder that may be written")
        return Identity(id=str(self._folder), name=self.settings.title)

    def permissions(self) -> tuple[str, ...]:
        """None is lacking where the folder may be written."""
        return ()

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """Put the post's file in place, unless it stands there, and draw the page and its feeds anew.

        Raises:
            NotSent: the disk refused before the post's file stood.
            MediaRejected: the picture cannot be read.
            OutcomeUnknown: the post's file stands, and the page could not be drawn.
        """
        target = self._file(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder):
                if _read(target) is None:
                    _put(target, self._record(post, key), at=post.created_at)
                self._finish()
        except OSError as error:
            raise NotSent(_evidence(error)) from error
        return self._receipt(key)

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The post under `key`, or the newest of this account with the same link back to `since`.

        Raises:
            NotSent: the folder cannot be read.
        """
        try:
            if key is not None and _read(self._file(key)) is not None:
                return self._receipt(key)
            entry = next(self._with_link(post.link, since), None)
        except OSError as error:
            raise NotSent(_evidence(error)) from error
        return self._receipt(entry.key) if entry else None

    def delete(self, receipt: Receipt) -> None:
        """The post's file is not there any more, and the page and its feeds are drawn without it.

        Raises:
            DeliveryError: Rejected if it is no post of this account; NotSent if the disk refused.
        """
        if not _KEY.fullmatch(receipt.remote_id):
            raise Rejected("this is no post of the page")
        target = self._file(receipt.remote_id)
        try:
            with _locked(self._folder):
                entry = _read(target)
                if entry is not None and not self._is_ours(entry):
                    raise Rejected("this is a post of another account on the page")
                target.unlink(missing_ok=True)
                self._shown.pop(target.stem, None)
                self._finish()
        except OSError as error:
            raise NotSent(_evidence(error)) from error

    def _with_link(self, link: str | None, since: datetime) -> Iterator[_Entry]:
        """This account's posts with a link back to `since`, the newest first; none without a link."""
        wanted = _normal(link)
        for file in _files(self._folder, since=since) if wanted else ():
            entry = _read(file)
            if entry and self._is_ours(entry) and entry.post.created_at >= since and _normal(entry.post.link) == wanted:
                yield entry

    def _file(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a key names a file, and {key!r} cannot")
        return self._folder / "posts" / f"{key}.json"

    def _receipt(self, key: str) -> Receipt:
        return Receipt(remote_id=key, url=f"{self._home}#{key}")

    @property
    def _home(self) -> str:
        """The address of the page."""
        if self.settings.base_url is None:
            return (self._folder / "index.html").as_uri()
        return f"{str(self.settings.base_url).rstrip('/')}/index.html"

    def _is_ours(self, entry: _Entry) -> bool:
        return (entry.account, entry.look) == (self.settings.title, self.look)

    def _record(self, post: Post, key: str) -> bytes:
        """The content of the post's file; the picture is in the folder when this returns."""
        if post.picture is not None:
            post = replace(post, picture=replace(post.picture, path=self._keep(post.picture)))
        entry = _Entry(key=key, account=self.settings.title, look=self.look, post=post)
        return _encoded(json.dumps(_ENTRIES.dump_python(entry, mode="json"), ensure_ascii=False, indent=1))

    def _keep(self, picture: Picture) -> str:
        """Copy a picture into the folder under its content's hash; the path there.

        Raises:
            MediaRejected: it cannot be read.
        """
        try:
            content = Path(picture.path).read_bytes()
        except _NO_PICTURE as error:
            raise MediaRejected(f"the picture cannot be read: {_evidence(error)}") from error
        name = f"pictures/{sha256(content).hexdigest()}.{_EXTENSIONS.get(picture.type, 'img')}"
        target = self._folder / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            _put(target, content)
        return name

    def _finish(self) -> None:
        """Make the post's file durable, then draw `index.html`, `feed.json` and `feed.xml` of the newest posts.

        Raises:
            OutcomeUnknown: the disk refused.
        """
        try:
            sync_names(self._folder / "posts")
            shown = self._newest(max(self.settings.newest, _IN_FEEDS))
            in_feeds = [one.entry for one in shown[:_IN_FEEDS]]
            _put(self._folder / "index.html", self._index([one.card for one in shown[: self.settings.newest]]))
            _put(self._folder / "feed.json", self._json_feed(in_feeds))
            _put(self._folder / "feed.xml", self._rss(in_feeds))
        except OSError as error:
            raise OutcomeUnknown(f"the post is in place, the page is not drawn anew: {_evidence(error)}") from error

    def _newest(self, count: int) -> list[_Shown]:
        """The newest posts of all accounts in the folder, the newest first; what cannot be read is left out."""
        shown: dict[str, _Shown] = {}
        for file in _files(self._folder):
            one = self._shown.get(file.stem) or _draw(_read(file))
            if one is not None:
                shown[file.stem] = one
            if len(shown) == count:
                break
        self._shown = shown
        return list(shown.values())

    def _index(self, drawn: Sequence[str]) -> bytes:
        lead = "The newest post." if len(drawn) == 1 else f"The newest {len(drawn)} posts, as they went out."
        feeds = {"application/rss+xml": ("RSS", "feed.xml"), "application/feed+json": ("JSON Feed", "feed.json")}
        return _encoded(cards.page(drawn, title=self.settings.title, lead=lead, feeds=feeds))

    def _json_feed(self, entries: Sequence[_Entry]) -> bytes:
        # https://www.jsonfeed.org/version/1.1/
        feed: dict[str, object] = {
            "version": "https://jsonfeed.org/version/1.1",
            "title": self.settings.title,
            "home_page_url": self._home,
            **({"feed_url": self._address("feed.json")} if self.settings.base_url else {}),
            "items": [self._json_item(entry) for entry in entries],
        }
        return _encoded(json.dumps(feed, ensure_ascii=False))

    def _json_item(self, entry: _Entry) -> dict[str, object]:
        post = entry.post
        item = {
            "id": entry.key,
            "url": f"{self._home}#{entry.key}",
            "external_url": post.link,
            "title": post.title,
            "content_text": post.text,
            "summary": post.summary,
            "image": self._address(post.picture.path) if post.picture else None,
            "date_published": _second(post.created_at).isoformat().replace("+00:00", "Z"),
            "authors": [{"name": entry.account}],
            "tags": _hashtags(post),
            "language": post.languages[0] if post.languages else None,
        }
        return {name: value for name, value in item.items() if value}

    def _rss(self, entries: Sequence[_Entry]) -> bytes:
        # https://www.rssboard.org/rss-specification
        root = ET.Element("rss", {"version": "2.0"})
        channel = ET.SubElement(root, "channel")
        _add(channel, "title", self.settings.title)
        _add(channel, "link", self._home)
        _add(channel, "description", f"The newest posts of {self.settings.title}")
        for entry in entries:
            self._add_item(channel, entry)
        return _encoded('<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode"))

    def _add_item(self, channel: ET.Element, entry: _Entry) -> None:
        post = entry.post
        item = ET.SubElement(channel, "item")
        _add(item, "title", post.title or post.text)
        _add(item, "link", post.link or f"{self._home}#{entry.key}")
        _add(item, "description", post.text)
        for tag in _hashtags(post):
            _add(item, "category", tag)
        if post.picture is not None and self.settings.base_url:  # the specification asks for an http address
            facts = {"length": str(post.picture.size_bytes), "type": post.picture.type}
            ET.SubElement(item, "enclosure", {"url": self._address(post.picture.path), **facts})
        _add(item, "guid", entry.key).set("isPermaLink", "false")
        _add(item, "pubDate", format_datetime(_second(post.created_at), usegmt=True))

    def _address(self, name: str) -> str:
        """The address of a file of the folder."""
        return f"{self._home.removesuffix('index.html')}{name}"


# --- the folder ------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against every other thread and process; the kernel frees it at their death.

    Without it, an account that listed the posts earlier could write its page over that of one that came later.
    """
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(target: Path, content: bytes, *, at: datetime | None = None) -> None:
    """Put a file in place whole and durable, its time set to `at`; only the one who holds the folder may.

    The name in the folder is durable after `sync_names`. What a crash leaves is written over by the next call.
    """
    draft = target.with_name(f".{target.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            if at is not None:
                os.utime(file.fileno(), ns=(_nanoseconds(at), _nanoseconds(at)))
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError:
        with suppress(OSError):  # a full disk needs the room
            draft.unlink()
        raise


def _files(folder: Path, *, since: datetime | None = None) -> Iterator[Path]:
    """The posts' files back to a time, the newest first, none of them read; those of one time in the keys' order."""
    try:
        with os.scandir(folder / "posts") as found:
            named = [entry for entry in found if entry.name.endswith(".json") and not entry.name.startswith(".")]
            times = [(-entry.stat().st_mtime_ns, entry.path) for entry in named]
    except FileNotFoundError:
        return
    # File systems round times down, some to two seconds.
    oldest = _nanoseconds(since - timedelta(seconds=2)) if since else None
    heap = [pair for pair in times if oldest is None or -pair[0] >= oldest]
    heapq.heapify(heap)  # only the newest of many are asked for
    while heap:
        yield Path(heapq.heappop(heap)[1])


def _read(file: Path) -> _Entry | None:
    """The post in a file; None if there is no file, or none that holds a post."""
    try:
        entry = _ENTRIES.validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return entry if entry.key == file.stem else None


def _evidence(error: OSError) -> str:
    return f"{error.strerror or type(error).__name__}: {error.filename or 'the folder'}"


# --- values ----------------------------------------------------------------------------------------------------------


def _draw(entry: _Entry | None) -> _Shown | None:
    """The post as the page shows it."""
    if entry is None:
        return None
    picture = entry.post.picture
    card = cards.draw(
        entry.post,
        look=entry.look,
        account=entry.account,
        url=f"#{entry.key}",
        picture_src=picture.path if picture else None,
        anchor=entry.key,
    )
    return _Shown(entry=entry, card=card)


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = _NOT_XML.sub("", text)
    return element


def _hashtags(post: Post) -> list[str]:
    return [span.value for span in post.spans if span.kind is SpanKind.HASHTAG]


def _normal(link: str | None) -> str | None:
    return (normalise_link(link) or link) if link else None


def _nanoseconds(moment: datetime) -> int:
    """Since 1970, as file systems count."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _encoded(text: str) -> bytes:
    """UTF-8, whatever lone surrogates a feed has smuggled in."""
    return text.encode("utf-8", "replace")
