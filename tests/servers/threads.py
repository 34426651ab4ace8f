"""A strict server with the Threads API on loopback for one account.

    with FakeThreads() as server:
        server.url, server.token                    # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of the account see

It refuses what the real one ignores: unknown fields, parameters and ways to log in. It counts, links and mentions by
rules of its own. A container becomes one post, and expires after a day.

Sources: https://developers.facebook.com/docs/threads/reference/publishing,
https://developers.facebook.com/docs/threads/troubleshooting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import regex

from tests.servers.scripted import Call, Reply, Scripted, as_json

_DAY = timedelta(days=1)
_POST_FIELDS = {"id", "text", "permalink", "timestamp", "link_attachment_url"}
_URL = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)]")
_MENTION = re.compile(r"(?<![A-Za-z0-9_.])@([A-Za-z0-9_.]+)")
_TOPIC = re.compile(r"(?<![\w/])#([^\s.&\u2060]{1,50})")
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Emoji_Presentation}|\ufe0f|\u20e3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A post as a reader finds it."""

    id: str
    text: str
    at: datetime
    #: The address whose page is shown as a card.
    card: str | None = None
    topic: str | None = None
    mentions: tuple[str, ...] = ()
    by_hand: bool = False


@dataclass(slots=True)
class _Container:
    form: Mapping[str, str]
    at: datetime
    #: How many more times it is in work when somebody asks.
    in_work: int = 0
    is_broken: bool = False
    #: The post that it became.
    post: str | None = None


@dataclass(slots=True)
class _Refused(Exception):
    status: int
    code: int
    words: str
    subcode: int = 0
    body: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        error: dict[str, Any] = {"message": self.words, "type": "OAuthException", "code": self.code}
        if self.subcode:
            error |= {"error_subcode": self.subcode, "is_transient": False}
        self.body = {"error": error | {"fbtrace_id": "AkTuP0E3wNz"}}


class FakeThreads(Scripted):
    """The server; attributes are set before or between calls."""

    token = "THAAcanaryTOKENx1a2b3c4d5e6f7g8h9i0j"
    account = "17841400000000001"
    username = "kaltimnews"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.scopes = ["threads_basic", "threads_content_publish", "threads_delete"]
        self.token_ends: int | None = 1_800_000_000
        self.most_posts = 250
        self.page = 50
        #: Pages that cannot be read: a card of them is refused where the container is made, or where it is published.
        self.unreadable: set[str] = set()
        self.unreadable_late: set[str] = set()
        self.in_work = 0
        self.breaks = False
        #: So many publishing calls come before the container is known everywhere.
        self.races = 0
        self.loses_status = False
        self._containers: dict[str, _Container] = {}
        self._posts: list[Thread] = []
        self._count = 18_000_000_000_000_000

    # --- what a test looks at and sets ---

    def visible(self) -> list[Thread]:
        """The account's posts, the newest first."""
        with self._lock:
            return self._posts[::-1]

    def post_by_hand(self, text: str) -> Thread:
        """A person posts in the app."""
        with self._lock:
            return self._made({"text": text}, by_hand=True)

    @property
    def containers(self) -> int:
        """How many were made."""
        return len(self._containers)

    # --- requests ---

    def named(self, call: Call) -> str:
        path = call.path.removeprefix("/v1.0/")
        named = {
            ("POST", "me/threads"): "create",
            ("POST", "me/threads_publish"): "publish",
            ("GET", "me/threads"): "find",
            ("GET", "me/threads_publishing_limit"): "quota",
            ("GET", "me"): "whoami",
            ("GET", "debug_token"): "token",
        }
        if re.fullmatch(r"\d+", path):
            asked = call.params.get("fields", "")
            return {"DELETE": "delete"}.get(call.method, "status" if "status" in asked else "post")
        return named.get((call.method, path), "other")

    def reply(self, call: Call) -> Reply:
        try:
            if call.name == "other":
                raise _Refused(400, 2500, f"Unknown path components: {call.path}")
            self._check_login(call)
            return as_json(getattr(self, f"_{call.name}")(call))
        except _Refused as refused:
            return as_json(refused.body, status=refused.status)

    def _check_login(self, call: Call) -> None:
        if "access_token" in call.params:
            raise _Refused(400, 100, "a token in an address")
        if self.is_revoked or call.headers.get("authorization") != f"Bearer {self.token}":
            raise _Refused(401, 190, "Error validating access token: Session has expired")

    def _whoami(self, call: Call) -> object:
        _check_params(call, {"fields": "id,username"})
        return {"id": self.account, "username": self.username}

    def _token(self, call: Call) -> object:
        _check_params(call, {"input_token": self.token})
        facts: dict[str, Any] = {"type": "USER", "is_valid": True, "scopes": self.scopes, "user_id": self.account}
        if self.token_ends is not None:
            facts |= {"expires_at": self.token_ends, "data_access_expires_at": self.token_ends + 86_400}
        return {"data": facts}

    def _quota(self, call: Call) -> object:
        _check_params(call, {"fields": "quota_usage,config"})
        config = {"quota_total": self.most_posts, "quota_duration": 86_400}
        return {"data": [{"quota_usage": self._used(), "config": config}]}

    def _used(self) -> int:
        return sum(1 for post in self._posts if not post.by_hand and post.at > self.clock() - _DAY)

    # --- containers ---

    def _create(self, call: Call) -> object:
        form = _form(call, {"media_type", "text", "link_attachment", "topic_tag"})
        text, card, topic = form.get("text", ""), form.get("link_attachment"), form.get("topic_tag")
        if form.get("media_type") != "TEXT" or not text:
            raise _Refused(400, 100, "(#100) The parameter text is required")
        if count(text) > 500:
            raise _Refused(400, 100, "Param text must be at most 500 characters long.")
        if len({*_URL.findall(text), *([card] if card else [])}) > 5:
            raise _Refused(400, 100, "THREADS_API__LINK_LIMIT_EXCEEDED")
        if card is not None and (not _URL.fullmatch(card) or card in self.unreadable):
            raise _Refused(400, 100, "Param link_attachment is not a valid URL")
        if topic is not None and not re.fullmatch(r"[^.&]{1,50}", topic):
            raise _Refused(400, 100, "Param topic_tag is not valid")
        made = self._number()
        broken = self.breaks and card is not None
        self._containers[made] = _Container(form=form, at=self.clock(), in_work=self.in_work, is_broken=broken)
        return {"id": made}

    def _status(self, call: Call) -> object:
        _check_params(call, {"fields": "status,error_message"})
        number = call.path.rpartition("/")[2]
        container = self._containers.get(number)
        if container is None:
            raise _gone(number)
        if container.post is not None and self.loses_status:
            raise _Refused(400, 100, "(#100) Tried accessing nonexisting field (status) on node type (ThreadsMedia)")
        told = {"status": self._stands(container), "id": number}
        container.in_work = max(container.in_work - 1, 0)
        return told

    def _stands(self, container: _Container) -> str:
        if container.post is not None:
            return "PUBLISHED"
        if container.at <= self.clock() - _DAY:
            return "EXPIRED"
        if container.in_work:
            return "IN_PROGRESS"
        return "ERROR" if container.is_broken else "FINISHED"

    def _publish(self, call: Call) -> object:
        number = _form(call, {"creation_id"}).get("creation_id", "")
        container = self._containers.get(number)
        if container is None or self._stands(container) in ("PUBLISHED", "IN_PROGRESS") or self.races:
            self.races = max(self.races - 1, 0)
            raise _Refused(400, 24, "The requested resource does not exist: Media Not Found", 4279009)
        if self._stands(container) != "FINISHED":
            raise _Refused(400, 100, "Param creation_id is not a container that can be published")
        if self._used() >= self.most_posts:
            raise _Refused(400, 4, "Application request limit reached")
        if container.form.get("link_attachment") in self.unreadable_late:
            raise _Refused(400, -1, "Link preview could not be fetched", 4279047)
        post = self._made(container.form)
        container.post = post.id
        return {"id": post.id}

    # --- posts ---

    def _number(self) -> str:
        self._count += 7
        return str(self._count)

    def _made(self, form: Mapping[str, str], *, by_hand: bool = False) -> Thread:
        text = form["text"]
        links, topics = _URL.findall(text), _TOPIC.findall(text)
        post = Thread(
            id=self._number(),
            text=text,
            at=self.clock(),
            card=form.get("link_attachment") or (links[0] if links else None),
            topic=form.get("topic_tag") or (topics[0] if topics else None),
            mentions=tuple(_MENTION.findall(text)),
            by_hand=by_hand,
        )
        self._posts.append(post)
        return post

    def _post(self, call: Call) -> object:
        if set(call.params) != {"fields"} or not set(call.params["fields"].split(",")) <= _POST_FIELDS:
            raise _Refused(400, 100, f"unknown parameters {dict(call.params)}")
        return self._shown(self._found(call))

    def _found(self, call: Call) -> Thread:
        number = call.path.rpartition("/")[2]
        for post in self._posts:
            if post.id == number:
                return post
        raise _gone(number)

    def _shown(self, post: Thread) -> dict[str, Any]:
        shown = {
            "id": post.id,
            "text": post.text,
            "permalink": f"https://www.threads.net/@{self.username}/post/C{int(post.id):x}",
            "timestamp": post.at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        }
        return shown | ({"link_attachment_url": post.card} if post.card else {})

    def _find(self, call: Call) -> object:
        params = dict(call.params)
        fields, since = params.pop("fields", ""), int(params.pop("since", "0"))
        limit, after = min(int(params.pop("limit", "25")), self.page), int(params.pop("after", "0"))
        if params or not set(fields.split(",")) <= _POST_FIELDS or limit < 1:
            raise _Refused(400, 100, f"unknown parameters {params}")
        posts = [post for post in self.visible() if post.at.timestamp() >= since]
        page = posts[after : after + limit]
        paging = {"cursors": {"before": str(after), "after": str(after + limit)}} if page else {}
        return {"data": [self._shown(post) for post in page], "paging": paging}

    def _delete(self, call: Call) -> object:
        if "threads_delete" not in self.scopes:
            raise _Refused(403, 10, "(#10) Application does not have permission for this action")
        post = self._found(call)
        self._posts.remove(post)
        return {"success": True, "deleted_id": post.id}


def count(text: str) -> int:
    """As the API counts: an emoji has as many characters as bytes."""
    clusters = regex.findall(r"\X", text)
    return sum(len(part.encode()) if _EMOJI.search(part) and not part.isascii() else len(part) for part in clusters)


def _gone(number: str) -> _Refused:
    words = f"Unsupported request. Object with ID '{number}' does not exist, or cannot be loaded"
    return _Refused(400, 100, words, 33)


def _form(call: Call, known: set[str]) -> dict[str, str]:
    if call.headers.get("content-type") != "application/x-www-form-urlencoded" or call.params:
        raise _Refused(400, 100, "no form")
    form = dict(parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True))
    if unknown := set(form) - known:
        raise _Refused(400, 100, f"unknown fields {sorted(unknown)}")
    return form


def _check_params(call: Call, wanted: Mapping[str, str]) -> None:
    if dict(call.params) != dict(wanted):
        raise _Refused(400, 100, f"unknown parameters {sorted(call.params)}")
