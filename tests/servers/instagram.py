"""A strict Graph API on loopback with one professional account on Instagram.

    with FakeInstagram() as server:
        server.url, server.token, server.user       # what an account's settings need
        server.web["https://news.example/a.jpg"] = JPEG
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of the account see

It refuses what the real one ignores: unknown fields and parameters. Pictures it takes from `web` and nowhere else. A
container is published once, and expires after a day by `clock`.

Sources: https://developers.facebook.com/docs/instagram-platform/content-publishing/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-container,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from PIL import Image

from tests.servers.facebook import Refused
from tests.servers.scripted import Call, Reply, Scripted, as_json

_HASHTAG = re.compile(r"(?<![\w/&])[#\uff03](\w*[^\W\d_]\w*)")
_MENTION = re.compile(r"(?<![A-Za-z0-9])[@\uff20]([\w.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A post as a reader finds it."""

    id: str
    caption: str
    at: datetime
    picture: str
    alt: str = ""
    hashtags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


@dataclass(slots=True)
class Container:
    """A post that was prepared."""

    picture: str
    caption: str
    alt: str
    at: datetime
    #: How often it still says that it is in work; None: it comes to nothing.
    polls: int | None
    media: str | None = None


class FakeInstagram(Scripted):
    """The server; attributes are set before or between calls."""

    user = "17841400000000000"
    name = "kaltim.news"
    token = "IGAAcanaryTOKEN0a1b2c3d4e5f6a7b8c9d0"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.may_publish = True
        self.quota = 100
        #: What stands at public addresses; what a test adds as a function is asked for each address.
        self.web: dict[str, bytes] = {}
        self.fetch: Callable[[str], bytes | None] = self.web.get
        #: How often a new container says that it is in work; None: it comes to nothing.
        self.processing: int | None = 0
        self.failure = "Error: Media upload has failed with error code 2207001"
        self.page_size = 100
        self.containers: dict[str, Container] = {}
        self._posts: list[Seen] = []
        self._count = 900

    # --- what a test looks at ---

    def visible(self) -> list[Seen]:
        """All posts, the newest first."""
        with self._lock:
            return self._posts[::-1]

    def post_by_hand(self, caption: str) -> Seen:
        """A person posts with the app."""
        with self._lock:
            return self._made(caption, "camera", "")

    @property
    def sends(self) -> list[Call]:
        """The calls that may have made a post."""
        return self.called("publish")

    # --- requests ---

    def named(self, call: Call) -> str:
        last = call.path.rpartition("/")[2]
        if last == "media":
            return "create" if call.method == "POST" else "find"
        names = {"media_publish": "publish", "content_publishing_limit": "limit", self.user: "whoami"}
        return names.get(last, "permalink" if call.params.get("fields") == "permalink" else "poll")

    def reply(self, call: Call) -> Reply:
        try:
            match = re.fullmatch(r"/v\d+\.\d+/(.+)", call.path)
            if match is None:
                raise Refused(2500, "Unknown path components")
            self._admit(call)
            return as_json(self._judged(call, match[1]))
        except Refused as refused:
            return as_json({"error": refused.error}, status=refused.status)

    def _admit(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {self.token}" or self.is_revoked:
            raise Refused(190, "Error validating access token: session has expired", subcode=463, status=400)
        unknown = set(call.params) - {"fields", "limit", "after", "appsecret_proof"}
        if unknown:
            raise Refused(100, f"unknown parameters {sorted(unknown)}")

    def _judged(self, call: Call, path: str) -> object:
        node, _, edge = path.partition("/")
        if edge and node != self.user:
            raise Refused(100, f"Object with ID '{node}' does not exist", subcode=33)
        match call.method, edge:
            case "GET", "":
                return self._node(call, node)
            case "GET", "media":
                return self._list(call)
            case "GET", "content_publishing_limit":
                self._may_publish()
                return {"data": [{"quota_usage": self._used(), "config": {"quota_total": self.quota}}]}
            case "POST", "media":
                return self._create(call)
            case "POST", "media_publish":
                return self._publish(call)
        raise Refused(100, f"Unsupported {call.method} request", subcode=33)

    def _may_publish(self) -> None:
        if not self.may_publish:
            raise Refused(10, "Application does not have permission for this action", status=403)

    def _used(self) -> int:
        return sum(self.clock() - post.at < timedelta(days=1) for post in self._posts)

    def _node(self, call: Call, node: str) -> object:
        fields = call.params.get("fields")
        if node == self.user and fields == "id,username":
            return {"id": self.user, "username": self.name}
        if node in self.containers and fields == "status_code,status":
            return {"id": node, **self._status(self.containers[node])}
        found = [post for post in self._posts if post.id == node]
        if found and fields == "permalink":
            return {"id": node, "permalink": _permalink(node)}
        raise Refused(100, f"Object with ID '{node}' does not exist", subcode=33)

    # --- containers ---

    def _status(self, container: Container) -> dict[str, str]:
        if container.media is not None:
            return {"status_code": "PUBLISHED", "status": "Published: Media has been published"}
        if self.clock() - container.at > timedelta(hours=24):
            return {"status_code": "EXPIRED", "status": "Expired: Media was not published within 24 hours"}
        if container.polls is None:
            return {"status_code": "ERROR", "status": self.failure}
        if container.polls > 0:
            container.polls -= 1
            return {"status_code": "IN_PROGRESS", "status": "In Progress: Media is still being processed"}
        return {"status_code": "FINISHED", "status": "Finished: Media has been uploaded and it is ready"}

    def _create(self, call: Call) -> object:
        self._may_publish()
        fields = _fields(call, {"image_url", "caption", "alt_text"})
        caption, alt = fields.get("caption", ""), fields.get("alt_text", "")
        if len(caption) > 2_200:
            raise Refused(100, "The caption was too long", subcode=2207010)
        if len(alt) > 1_000:
            raise Refused(100, "The alt text was too long")
        if len(_HASHTAG.findall(caption)) > 5:
            raise Refused(100, "this server takes five hashtags", subcode=2207010)
        self._look_at(self.fetch(fields.get("image_url", "")))
        number = self._number()
        self.containers[number] = Container(
            picture=fields["image_url"], caption=caption, alt=alt, at=self.clock(), polls=self.processing
        )
        return {"id": number}

    def _look_at(self, content: bytes | None) -> None:
        if content is None:
            raise Refused(9004, "Only photo or video can be accepted as media type", subcode=2207052)
        if len(content) > 8_000_000:
            raise Refused(36000, "The image is too large to download", subcode=2207004)
        try:
            with Image.open(BytesIO(content)) as image:
                kind, (width, height) = image.format, image.size
        except OSError:
            kind, width, height = None, 1, 1
        if kind != "JPEG":
            raise Refused(36001, "The image format is not supported", subcode=2207005)
        if not 0.8 <= width / height <= 1.91:
            raise Refused(36003, "The aspect ratio is not supported", subcode=2207009)

    def _publish(self, call: Call) -> object:
        self._may_publish()
        fields = _fields(call, {"creation_id"})
        container = self.containers.get(fields.get("creation_id", ""))
        if container is None:
            raise Refused(24, "The requested resource does not exist", subcode=2207006)
        if self._status(container)["status_code"] != "FINISHED":
            raise Refused(9007, "Media ID is not available", subcode=2207027)
        if self._used() >= self.quota:
            raise Refused(9, "The user reached the maximum number of posts", subcode=2207042, status=403)
        container.media = self._made(container.caption, container.picture, container.alt).id
        return {"id": container.media}

    def _number(self) -> str:
        self._count += 1
        return f"1780000000000{self._count}"

    def _made(self, caption: str, picture: str, alt: str) -> Seen:
        post = Seen(
            id=self._number(),
            caption=caption,
            at=self.clock(),
            picture=picture,
            alt=alt,
            hashtags=tuple(_HASHTAG.findall(caption)),
            mentions=tuple(_MENTION.findall(caption)),
        )
        self._posts.append(post)
        return post

    def _list(self, call: Call) -> object:
        if call.params.get("fields") != "id,caption,permalink,timestamp":
            raise Refused(100, "Tried accessing nonexisting field")
        posts, start = self._posts[::-1], int(call.params.get("after", "0"))
        end = start + min(int(call.params["limit"]), self.page_size)
        answer: dict[str, Any] = {"data": [_described(post) for post in posts[start:end]]}
        if answer["data"]:
            answer["paging"] = {"cursors": {"before": str(start), "after": str(end)}}
        if end < len(posts):
            answer["paging"]["next"] = f"{self.url}/v26.0/x?access_token={self.token}"
        return answer


def _described(post: Seen) -> dict[str, Any]:
    shown = {"id": post.id, "permalink": _permalink(post.id), "timestamp": post.at.strftime("%Y-%m-%dT%H:%M:%S+0000")}
    return {**shown, "caption": post.caption} if post.caption else shown


def _permalink(media: str) -> str:
    return f"https://www.instagram.com/p/C{media[-3:]}/"


def _fields(call: Call, names: set[str]) -> dict[str, str]:
    """The fields of a request in JSON; all of them are text."""
    if call.headers.get("content-type") != "application/json":
        raise Refused(100, "this server reads JSON here")
    values = json.loads(call.body)
    if unknown := {name for name, value in values.items() if name not in names or not isinstance(value, str)}:
        raise Refused(100, f"Params {sorted(unknown)} are unknown or of a wrong type")
    return dict(values)
