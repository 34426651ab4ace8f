"""A strict Graph API on loopback with one Page and one app.

    with FakeFacebook() as server:
        server.url, server.token, server.page       # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what anybody sees on the Page

It refuses what the real one ignores: unknown fields and parameters, and text where a boolean belongs. It finds
mentions, hashtags and links by rules of its own. A key does not exist: each call that is taken makes one more post.

Sources: https://developers.facebook.com/docs/graph-api/reference/page/feed/,
https://developers.facebook.com/docs/graph-api/reference/page/photos/,
https://developers.facebook.com/docs/graph-api/reference/page/published_posts/,
https://developers.facebook.com/docs/graph-api/reference/debug_token/.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import Message as Mail
from io import BytesIO
from typing import Any

from PIL import Image

from tests.servers.scripted import Call, Reply, Scripted, as_json

_HASHTAG = re.compile(r"(?<![\w/&])[#\uff03](\w*[^\W\d_]\w*)")
# A number in brackets anywhere; a name where no word ends, as in a mail address.
_MENTION = re.compile(r"[@\uff20]\[(\d+)(?::[^\]]*)?\]|(?<!\w)[@\uff20](\w+)")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:[/?#][^\s<>\"]*)?")
_PAGE_FIELDS = "id,message,created_time,attachments{unshimmed_url,target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A post as a reader finds it."""

    id: str
    text: str
    at: datetime
    #: The address whose card is shown.
    card: str | None = None
    #: Numbers of its photos.
    photos: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(slots=True)
class Photo:
    """An uploaded picture."""

    format: str
    size: tuple[int, int]
    alt: str = ""
    is_used: bool = False


class Refused(Exception):
    """The API's own refusal."""

    def __init__(self, code: int, message: str, *, subcode: int = 0, status: int = 400, **rest: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, **rest}
        if subcode:
            self.error["error_subcode"] = subcode
        self.error["fbtrace_id"] = "A1b2C3d4"


@dataclass(slots=True)
class App:
    """The app that the token was made with."""

    is_live: bool = True
    privacy_policy: str | None = "https://news.example/privacy"
    demands_proof: bool = False
    scopes: list[str] = field(
        default_factory=lambda: ["pages_show_list", "pages_manage_posts", "pages_read_engagement"]
    )
    expires_at: int = 0


class FakeFacebook(Scripted):
    """The server; attributes are set before or between calls."""

    page = "104567890123456"
    name = "Kaltim News"
    token = "EAAcanaryPAGEtoken0a1b2c3d4e5f6a7b8c9d0"
    app_id = "234567890123456"
    app_secret = "0canary1secret2a3b4c5d6e7f8a9b0c1"

    def __init__(self) -> None:
        super().__init__()
        self.app = App()
        self.is_revoked = False
        #: Whom the token belongs to.
        self.owner = self.page
        #: Whether the text of the last post is refused.
        self.refuses_doubles = False
        #: How many posts one page of a list has at most, whatever was asked for.
        self.page_size = 100
        self.photos: dict[str, Photo] = {}
        self._posts: list[Seen] = []
        self._count = 700

    # --- what a test looks at ---

    def visible(self) -> list[Seen]:
        """What anybody sees, the newest first."""
        with self._lock:
            return self._posts[::-1] if self.app.is_live else []

    def post_by_hand(self, text: str, *, card: str | None = None) -> Seen:
        """A person posts on the Page."""
        with self._lock:
            return self._made(text, card=card)

    @property
    def sends(self) -> list[Call]:
        """The calls that may have made a post."""
        return self.called("publish")

    # --- requests ---

    def named(self, call: Call) -> str:
        last = call.path.rpartition("/")[2]
        if call.method == "DELETE":
            return "delete"
        names = {"feed": "publish", "photos": "photos", "me": "whoami", "published_posts": "find"}
        return {**names, "debug_token": "debug", self.app_id: "app"}.get(last, "other")

    def reply(self, call: Call) -> Reply:
        try:
            match = re.fullmatch(r"/v\d+\.\d+/(.+)", call.path)
            if match is None:
                raise Refused(2500, "Unknown path components", status=400)
            return as_json(self._judged(call, match[1]))
        except Refused as refused:
            return as_json({"error": refused.error}, status=refused.status)

    def _judged(self, call: Call, path: str) -> object:
        if call.name in ("debug", "app"):
            return self._as_app(call)
        self._admit(call)
        match call.method, path:
            case "GET", "me":
                _only(call, "fields")
                return {"id": self.owner, "name": self.name if self.owner == self.page else "Redaksi"}
            case "POST", _ if path == f"{self.page}/feed":
                return self._feed(call)
            case "POST", _ if path == f"{self.page}/photos":
                return self._photos(call)
            case "GET", _ if path == f"{self.page}/published_posts":
                return self._list(call)
            case "DELETE", _ if any(post.id == path for post in self._posts):
                self._posts = [post for post in self._posts if post.id != path]
                return {"success": True}
        raise Refused(100, f"Unsupported request. Object with ID '{path}' does not exist", subcode=33)

    def _admit(self, call: Call) -> None:
        """The token is that of the Page, and the request is signed if the app demands it."""
        if call.headers.get("authorization") != f"Bearer {self.token}" or self.is_revoked:
            raise Refused(190, "Error validating access token: the session is invalid", subcode=460, status=401)
        proof = call.params.get("appsecret_proof")
        right = hmac.new(self.app_secret.encode(), self.token.encode(), hashlib.sha256).hexdigest()
        if (proof is None and self.app.demands_proof) or proof not in (None, right):
            raise Refused(100, "API calls from the server require an appsecret_proof argument")

    def _as_app(self, call: Call) -> object:
        if call.headers.get("authorization") != f"Bearer {self.app_id}|{self.app_secret}":
            raise Refused(190, "Invalid OAuth access token signature")
        if call.name == "app":
            _only(call, "fields")
            policy = {"privacy_policy_url": self.app.privacy_policy} if self.app.privacy_policy else {}
            return {"id": self.app_id, **policy}
        _only(call, "input_token")
        is_known = call.params.get("input_token") == self.token
        told = {"expires_at": self.app.expires_at, "scopes": self.app.scopes} if is_known else {}
        return {"data": {"app_id": self.app_id, "type": "PAGE", "is_valid": is_known and not self.is_revoked, **told}}

    # --- posts ---

    def _feed(self, call: Call) -> object:
        _only(call)
        if "pages_manage_posts" not in self.app.scopes:
            raise Refused(200, "The permission pages_manage_posts is not granted", status=403)
        form = _fields(call, {"message": str, "link": str, "published": bool, "attached_media": list})
        text, link = form.get("message", ""), form.get("link")
        if not text and not link:
            raise Refused(100, "You need to provide at least one of message and link")
        if len(text) > 63_206:
            raise Refused(100, "Message is too long")
        if link is not None and not _URL.fullmatch(link):
            raise Refused(100, "link is not a valid URL", subcode=1609005)
        if self.refuses_doubles and self._posts and self._posts[-1].text == text:
            raise Refused(506, "Duplicate status message")
        photos = tuple(self._attached(media) for media in form.get("attached_media", ()))
        return {"id": self._made(text, card=None if photos else link, photos=photos).id}

    def _attached(self, media: Any) -> str:
        if not isinstance(media, dict) or set(media) != {"media_fbid"} or media["media_fbid"] not in self.photos:
            raise Refused(100, "Invalid parameter: attached_media")
        number = str(media["media_fbid"])
        if self.refuses_doubles and self.photos[number].is_used:
            raise Refused(100, "Photos are posted already", subcode=1366051)
        self.photos[number].is_used = True
        return number

    def _made(self, text: str, *, card: str | None = None, photos: tuple[str, ...] = ()) -> Seen:
        self._count += 1
        outside = _URL.sub(lambda link: " " * len(link[0]), text)
        post = Seen(
            id=f"{self.page}_{self._count}",
            text=text,
            at=self.clock(),
            card=card,
            photos=photos,
            hashtags=tuple(_HASHTAG.findall(outside)),
            mentions=tuple(number or name for number, name in _MENTION.findall(outside)),
            links=tuple(match[0].rstrip(".,:;!?)'") for match in _URL.finditer(text)),
        )
        self._posts.append(post)
        return post

    def _photos(self, call: Call) -> object:
        _only(call)
        kind = call.headers.get("content-type", "")
        form, content = _form(kind, call.body)
        if form.pop("published", None) != "false":
            raise Refused(100, "this server wants photos that nobody sees yet")
        alt = form.pop("alt_text_custom", "")
        if form or content is None:
            raise Refused(100, f"unknown fields {sorted(form)}")
        if len(content) > 4_000_000:
            raise Refused(100, "Your photos should be less than 4 MB", subcode=1366046)
        try:
            with Image.open(BytesIO(content)) as image:
                photo = Photo(format=str(image.format), size=image.size, alt=alt)
        except OSError:
            raise Refused(324, "Missing or invalid image file", subcode=2061006) from None
        self._count += 1
        self.photos[str(self._count)] = photo
        return {"id": str(self._count)}

    def _list(self, call: Call) -> object:
        _only(call, "fields", "limit", "since", "after")
        if "pages_read_engagement" not in self.app.scopes:
            raise Refused(10, "This endpoint requires the 'pages_read_engagement' permission", status=403)
        if call.params["fields"] != _PAGE_FIELDS:
            raise Refused(100, "Tried accessing nonexisting field")
        since = int(call.params["since"])
        posts = [post for post in self._posts[::-1] if post.at.timestamp() >= since]
        start = int(call.params.get("after", "0"))
        end = start + min(int(call.params["limit"]), self.page_size)
        answer: dict[str, Any] = {"data": [_described(post) for post in posts[start:end]]}
        if answer["data"]:
            answer["paging"] = {"cursors": {"before": str(start), "after": str(end)}}
        if end < len(posts):
            answer["paging"]["next"] = f"{self.url}/v26.0/x?access_token={self.token}"
        return answer


def _described(post: Seen) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": post.id, "created_time": post.at.strftime("%Y-%m-%dT%H:%M:%S+0000")}
    if post.text:
        shown["message"] = post.text
    if post.card:
        shim = "https://l.facebook.com/l.php?u=x"
        shown["attachments"] = {"data": [{"unshimmed_url": post.card, "target": {"url": shim}}]}
    return shown


def _only(call: Call, *names: str) -> None:
    unknown = set(call.params) - {*names, "appsecret_proof"}
    if unknown:
        raise Refused(100, f"unknown parameters {sorted(unknown)}")


def _fields(call: Call, kinds: dict[str, type]) -> dict[str, Any]:
    """The fields of a request in JSON, each of its type."""
    if call.headers.get("content-type") != "application/json":
        raise Refused(100, "this server reads JSON here")
    values = json.loads(call.body)
    for name, value in values.items():
        if not isinstance(value, kinds.get(name, ())):
            raise Refused(100, f"Param {name} is unknown or of a wrong type")
    return dict(values)


def _form(kind: str, body: bytes) -> tuple[dict[str, str], bytes | None]:
    """The fields of a form, and its file."""
    if not kind.startswith("multipart/form-data; boundary="):
        raise Refused(100, "unsupported content type")
    fields: dict[str, str] = {}
    file: bytes | None = None
    for part in message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload():
        assert isinstance(part, Mail)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = str(part.get_param("name", header="content-disposition"))
        if name == "source" and part.get_filename():
            file = content
        else:
            fields[name] = content.decode()
    return fields, file
