"""A strict server with Tumblr's API on loopback for one blog.

    with FakeTumblr() as server:
        server.url, server.token                    # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of the blog see
        server.app, server.code                     # what a login needs; each refresh token works once

It refuses what the real one ignores: unknown keys, fields and parameters. It knows no key: each call that is taken
makes one more post.

Sources: https://www.tumblr.com/docs/en/api/v2, https://www.tumblr.com/docs/npf.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from PIL import Image

from tests.servers.scripted import Call, Reply, Scripted, as_json

_KEYS: Mapping[str, set[str]] = {
    "text": {"type", "text", "subtype", "formatting"},
    "image": {"type", "media", "alt_text"},
    "link": {"type", "url", "title", "description"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlogPost:
    """A post as a reader finds it."""

    id: str
    at: datetime
    #: As it was given.
    content: tuple[Mapping[str, Any], ...]
    tags: tuple[str, ...] = ()
    source: str = ""
    #: Format and sides of each picture.
    pictures: tuple[tuple[str, int, int], ...] = ()
    is_pinned: bool = False

    @property
    def paragraphs(self) -> list[str]:
        """Its text."""
        return [block["text"] for block in self.content if block["type"] == "text"]

    @property
    def heading(self) -> str | None:
        """Its first heading."""
        return next((block["text"] for block in self.content if block.get("subtype") == "heading1"), None)

    @property
    def cards(self) -> list[tuple[str, str, str]]:
        """Address, title and description."""
        links = (block for block in self.content if block["type"] == "link")
        return [(block["url"], block.get("title", ""), block.get("description", "")) for block in links]

    @property
    def alts(self) -> list[str]:
        """What describes its pictures."""
        return [block.get("alt_text", "") for block in self.content if block["type"] == "image"]

    @property
    def inline(self) -> list[tuple[str, str]]:
        """What leads somewhere inside its text, and where."""
        return [
            (block["text"][form["start"] : form["end"]], form["url"])
            for block in self.content
            for form in block.get("formatting", ())
        ]

    @property
    def everything(self) -> str:
        """All that a reader can find in it."""
        return json.dumps(self.content, ensure_ascii=False)


@dataclass(slots=True)
class _Refused(Exception):
    status: int
    title: str
    code: int = 0
    detail: str = ""
    body: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        error: dict[str, Any] = {"title": self.title, "code": self.code, "detail": self.detail}
        self.body = {"meta": {"status": self.status, "msg": self.title}, "response": [], "errors": [error]}


class FakeTumblr(Scripted):
    """The server; attributes are set before or between calls."""

    token = "aBcanaryTOKENx1a2b3c4d5e6f7g8h9i0jK"
    #: Key and secret of an application, and the code that a person's yes gives.
    app = ("appKEYcanary0123456789", "appSECRETcanary9876543210")
    code = "codeCANARYabcdef0123456789"
    blog = "kaltimnews"
    uuid = "t:AbCdEf123"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.most_posts = 250
        self.day_ends: int | None = None
        self.page = 20
        self.lifetime_seconds = 2520
        #: The one that works; None: nobody is logged in, or one was used twice.
        self.refresh_token: str | None = None
        self.renewals = 0
        self._posts: list[BlogPost] = []
        self._count = 798_000_000_000_000_000

    # --- what a test looks at and sets ---

    def visible(self) -> list[BlogPost]:
        """The blog's posts, the newest first but for one that is pinned."""
        with self._lock:
            newest_first = self._posts[::-1]
        return sorted(newest_first, key=lambda post: not post.is_pinned)

    def post_by_hand(self, text: str, *, is_pinned: bool = False, at: datetime | None = None) -> BlogPost:
        """A person posts in the app."""
        with self._lock:
            block = {"type": "text", "text": text}
            made = BlogPost(id=self._number(), at=at or self.clock(), content=(block,), is_pinned=is_pinned)
            self._posts.append(made)
            return made

    # --- requests ---

    def named(self, call: Call) -> str:
        named = {
            ("POST", f"/v2/blog/{self.blog}/posts"): "publish",
            ("GET", f"/v2/blog/{self.blog}/posts"): "find",
            ("POST", f"/v2/blog/{self.blog}/post/delete"): "delete",
            ("GET", "/v2/user/info"): "whoami",
            ("GET", "/v2/user/limits"): "limits",
            ("POST", "/v2/oauth2/token"): "token",
        }
        return named.get((call.method, call.path), "other")

    def reply(self, call: Call) -> Reply:
        if call.name == "token":
            return self._given(dict(parse_qsl(call.body.decode(), strict_parsing=True)))
        try:
            if self.is_revoked or call.headers.get("authorization") != f"Bearer {self.token}":
                raise _Refused(401, "Unauthorized", 1016, "Unable to authorize")
            if call.name == "other":
                raise _Refused(404, "Not Found", 0, "This blog does not exist")
            status, response = getattr(self, f"_{call.name}")(call)
        except _Refused as refused:
            return as_json(refused.body, status=refused.status)
        words = "Created" if status == 201 else "OK"
        return as_json({"meta": {"status": status, "msg": words}, "response": response}, status=status)

    def _given(self, form: Mapping[str, str]) -> Reply:
        """New tokens for a code or a refresh token; one that is used up ends the login.

        https://www.tumblr.com/docs/en/api/v2#v2oauth2token---token-exchange
        """
        app = {"client_id": self.app[0], "client_secret": self.app[1]}
        by_code = {
            "grant_type": "authorization_code",
            "code": self.code,
            "redirect_uri": form.get("redirect_uri"),
            **app,
        }
        by_refresh = {"grant_type": "refresh_token", "refresh_token": self.refresh_token, **app}
        if form != by_code and (self.refresh_token is None or form != by_refresh):
            self.refresh_token = None
            return as_json({"error": "invalid_grant", "error_description": "The token is not valid"}, status=400)
        self.renewals += form == by_refresh
        self.token, self.refresh_token = (secrets.token_hex(20) for _ in range(2))
        given = {"access_token": self.token, "refresh_token": self.refresh_token, "expires_in": self.lifetime_seconds}
        return as_json({**given, "token_type": "bearer", "scope": "basic write offline_access"})

    def _whoami(self, call: Call) -> tuple[int, object]:
        _check_params(call)
        url = f"https://{self.blog}.tumblr.com/"
        blogs = [
            {"name": "private-notes", "url": "https://private-notes.tumblr.com/", "uuid": "t:other"},
            {"name": self.blog, "url": url, "uuid": self.uuid, "primary": False},
        ]
        return 200, {"user": {"name": "private-notes", "blogs": blogs}}

    def _limits(self, call: Call) -> tuple[int, object]:
        _check_params(call)
        posts: dict[str, Any] = {"description": "the number of posts", "limit": self.most_posts, "remaining": 0}
        if self.day_ends is not None:
            posts["reset_at"] = self.day_ends
        return 200, {"user": {"posts": posts}}

    # --- posts ---

    def _number(self) -> str:
        self._count += 13
        return str(self._count)

    def _publish(self, call: Call) -> tuple[int, object]:
        _check_params(call)
        body, files = _sent(call)
        if unknown := set(body) - {"content", "tags", "state", "source_url"}:
            raise _invalid(f"unknown fields {sorted(unknown)}")
        if body.get("state") != "published":
            raise _invalid("state")
        blocks = body.get("content")
        if not isinstance(blocks, list) or not 1 <= len(blocks) <= 1_000:
            raise _invalid("content")
        pictures = tuple(picture for block in blocks if (picture := _checked(block, files)) is not None)
        if files:
            raise _invalid(f"files that no block names: {sorted(files)}")
        if sum(block["type"] == "link" for block in blocks) > 10:
            raise _invalid("too many link blocks")
        if sum(post.at > self.clock() - timedelta(days=1) for post in self._posts) >= self.most_posts:
            raise _Refused(403, "Forbidden", 8023, "You've reached the daily post limit")
        tags = tuple(tag.strip() for tag in body.get("tags", "").split(",") if tag.strip())
        if any(len(tag) > 139 for tag in tags):
            raise _invalid("tag")
        made = BlogPost(
            id=self._number(),
            at=self.clock(),
            content=tuple(blocks),
            tags=tags,
            source=body.get("source_url", ""),
            pictures=pictures,
        )
        self._posts.append(made)
        return 201, {"id": made.id, "state": "published", "display_text": "Posted"}

    def _find(self, call: Call) -> tuple[int, object]:
        params = dict(call.params)
        offset, limit = int(params.pop("offset", "0")), int(params.pop("limit", "20"))
        if params != {"npf": "true"} or not 1 <= limit <= 20:
            raise _invalid(f"unknown parameters {params}")
        page = self.visible()[offset : offset + min(limit, self.page)]
        return 200, {"posts": [self._shown(post) for post in page], "total_posts": len(self._posts)}

    def _shown(self, post: BlogPost) -> dict[str, Any]:
        shown = {
            "id": int(post.id),
            "id_string": post.id,
            "blog_name": self.blog,
            "post_url": f"https://{self.blog}.tumblr.com/post/{post.id}",
            "timestamp": int(post.at.timestamp()),
            "state": "published",
            "tags": list(post.tags),
            "content": list(post.content),
            "trail": [],
        }
        shown |= {"source_url": post.source} if post.source else {}
        return shown | ({"is_pinned": True} if post.is_pinned else {})

    def _delete(self, call: Call) -> tuple[int, object]:
        form = dict(parse_qsl(call.body.decode(), strict_parsing=True))
        if set(form) != {"id"}:
            raise _invalid("id")
        left = [post for post in self._posts if post.id != form["id"]]
        if len(left) == len(self._posts):
            raise _Refused(404, "Not Found", 0, "Post not found")
        self._posts = left
        return 200, {"id": form["id"]}


def _invalid(detail: str) -> _Refused:
    return _Refused(400, "Bad Request", 8001, f"Posting failed: {detail}")


def _checked(block: Any, files: dict[str, bytes]) -> tuple[str, int, int] | None:
    """The picture of a block that is taken; a file that it names is used up."""
    kind = str(block.get("type")) if isinstance(block, dict) else ""
    if kind not in _KEYS or not set(block) <= _KEYS[kind]:
        raise _invalid(f"a block {block}")
    if kind == "text":
        _check_text(block)
    if kind == "link" and not re.fullmatch(r"https?://[!-~]+", block["url"]):
        raise _invalid("a link's address")
    return _picture(block, files) if kind == "image" else None


def _check_text(block: Mapping[str, Any]) -> None:
    text = block["text"]
    if not isinstance(text, str) or not text or "\n" in text or len(text) > 4_096:
        raise _invalid("a paragraph")
    if block.get("subtype", "heading1") != "heading1":
        raise _invalid("a subtype")
    for form in block.get("formatting", []):
        if set(form) != {"type", "start", "end", "url"} or form["type"] != "link":
            raise _invalid("a format")
        if not 0 <= form["start"] < form["end"] <= len(text):
            raise _invalid("a format's place")


def _picture(block: Mapping[str, Any], files: dict[str, bytes]) -> tuple[str, int, int]:
    (media,) = block["media"]
    if set(media) != {"type", "identifier", "width", "height"} or media["identifier"] not in files:
        raise _invalid("a picture without its file")
    if not 0 < len(block.get("alt_text", "x")) <= 4_096:
        raise _invalid("an alt text")
    try:
        with Image.open(BytesIO(files.pop(media["identifier"]))) as image:
            found = (image.format or "", *image.size)
    except OSError:
        raise _Refused(400, "Bad Request", 8005, "Could not read the media") from None
    if found != (media["type"].rpartition("/")[2].upper(), media["width"], media["height"]):
        raise _Refused(400, "Bad Request", 8005, "The media is not what it is said to be")
    return found


def _sent(call: Call) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The post and its files."""
    kind = call.headers.get("content-type", "")
    if kind == "application/json":
        return json.loads(call.body), {}
    if not kind.startswith("multipart/form-data"):
        raise _invalid("neither JSON nor a form")
    mail = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + call.body)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    names = [str(part.get_param("name", header="content-disposition")) for part in parts]
    contents = [part.get_payload(decode=True) for part in parts]
    if names[:1] != ["json"] or len(set(names)) != len(names) or parts[0].get_filename() is not None:
        raise _invalid("the first part is not the post")
    bodies = [content if isinstance(content, bytes) else b"" for content in contents]
    return json.loads(bodies[0]), dict(zip(names[1:], bodies[1:], strict=True))


def _check_params(call: Call) -> None:
    if call.params:
        raise _invalid(f"unknown parameters {sorted(call.params)}")
